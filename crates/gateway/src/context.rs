//! What a client says of a request beside the request itself: task, conversation, subject, tags and so on, as `x-hone-…`
//! headers or, for SDKs that cannot set headers, as `hone_…` in `metadata`. A header beats metadata.

use std::collections::BTreeMap;

use hone_domain::{Identity, InteractionId, TrafficKey, require_name};
use hone_engine::Routed;
use http::HeaderMap;

use crate::body::{FieldChange, Fields};
use crate::refusal::{Refusal, RefusalKind};
use crate::secret::Secret;
use crate::shadow::ShadowRequest;

const PREFIX: &str = "hone_";

/// A prompt that was made before the request is passed on.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// What the person asked.
    pub question: String,
    /// What was made of it.
    pub prompt: String,
    /// The version of the task that made it, and why that one.
    pub routed: Option<Routed>,
    /// What a shadow is to be asked beside it.
    pub shadow: Option<ShadowRequest>,
    /// The model of that version.
    pub model: Option<String>,
}

/// What a client says of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestContext {
    pub interaction_id: Option<InteractionId>,
    pub task: Option<String>,
    pub conversation: Option<String>,
    pub turn: Option<u32>,
    pub subject: Option<Identity>,
    pub tags: Vec<String>,
    pub action_type: Option<String>,
    pub target_tool: Option<String>,
    pub language: Option<String>,
    pub is_opted_out: bool,
    /// The key of a provider that the project brings itself.
    pub provider_key: Option<Secret>,
    /// The prompt that was made already.
    pub prepared: Option<Prepared>,
    /// What of the body is not for the provider: our fields in `metadata`.
    pub changes: Vec<FieldChange>,
}

impl RequestContext {
    /// By what the traffic of the task may be divided.
    pub fn traffic_key(&self) -> TrafficKey<'_> {
        TrafficKey::new(self.conversation.as_deref(), self.subject.as_ref())
    }

    /// Reads headers and metadata; names what cannot be taken.
    pub fn read(headers: &HeaderMap, fields: &Fields<'_>) -> Result<Self, Refusal> {
        let (ours, change) = split_metadata(fields)?;
        let given = Given { headers, ours: &ours };
        let user_id = given.name("subject")?.or_else(|| user_of(fields));
        let subject = match user_id {
            Some(user_id) => Some(Identity {
                user_id,
                ip_address: given.name("ip_address")?,
                user_agent: given.name("user_agent")?,
            }),
            None => None,
        };
        let tags = given.text("tags")?.unwrap_or_default();
        let tags: Vec<String> = tags
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect();
        if tags.len() > 20 {
            return Err(given.refuse("tags", "has more than 20 tags"));
        }
        for tag in &tags {
            require_name("", tag).map_err(|error| given.refuse("tags", &error.to_string()))?;
        }
        Ok(Self {
            interaction_id: given.parsed("interaction_id", "is no UUID")?.map(InteractionId),
            task: given.name("task")?,
            conversation: given.name("conversation")?,
            turn: given.parsed("turn", "is no whole number")?,
            subject,
            tags,
            action_type: given.name("action_type")?,
            target_tool: given.name("target_tool")?,
            language: given.name("language")?,
            is_opted_out: given
                .parsed("opt_out", "is neither true nor false")?
                .unwrap_or(false),
            provider_key: given.text("provider_key")?.map(|key| Secret::new(&key)),
            prepared: None,
            changes: change.into_iter().collect(),
        })
    }
}

/// Our fields of `metadata`, and, where there are some, what is left of it for the provider.
type SplitMetadata = (BTreeMap<String, String>, Option<FieldChange>);

fn split_metadata(fields: &Fields<'_>) -> Result<SplitMetadata, Refusal> {
    let Some(metadata) = fields.get("metadata").filter(|text| text.contains(PREFIX)) else {
        return Ok(SplitMetadata::default());
    };
    let Ok(mut rest) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(metadata) else {
        return Ok(SplitMetadata::default());
    };
    let names: Vec<String> = rest
        .keys()
        .filter(|key| key.starts_with(PREFIX))
        .cloned()
        .collect();
    let mut ours = BTreeMap::new();
    for name in names {
        match rest.remove(&name) {
            Some(serde_json::Value::String(text)) => ours.insert(name, text),
            Some(value @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_))) => {
                ours.insert(name, value.to_string())
            }
            _ => {
                let message = format!("metadata.{name} is no text");
                return Err(Refusal::new(RefusalKind::Invalid, message));
            }
        };
    }
    let rest = (!rest.is_empty()).then(|| serde_json::Value::Object(rest).to_string());
    Ok((ours, Some(("metadata".into(), rest))))
}

/// The person in the fields that the protocols have for it.
fn user_of(fields: &Fields<'_>) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Metadata {
        user_id: String,
    }
    let of_anthropic = || {
        let metadata: Metadata = serde_json::from_str(fields.get("metadata")?).ok()?;
        Some(metadata.user_id)
    };
    let found = fields
        .text("safety_identifier")
        .or_else(|| fields.text("user"))
        .or_else(of_anthropic)?;
    // Set for the provider, not for us: what we cannot take is no reason to refuse.
    require_name("", &found).is_ok().then_some(found)
}

struct Given<'a> {
    headers: &'a HeaderMap,
    ours: &'a BTreeMap<String, String>,
}

impl Given<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        let header = format!("x-hone-{}", name.replace('_', "-"));
        if let Some(value) = self.headers.get(header) {
            let text = std::str::from_utf8(value.as_bytes());
            let text = text.map_err(|_| self.refuse(name, "is no UTF-8"))?.trim();
            return Ok((!text.is_empty()).then(|| text.to_owned()));
        }
        Ok(self.ours.get(&format!("{PREFIX}{name}")).cloned())
    }

    /// A text that can be a name.
    fn name(&self, name: &str) -> Result<Option<String>, Refusal> {
        let text = self.text(name)?;
        if let Some(text) = &text {
            require_name("", text).map_err(|error| self.refuse(name, &error.to_string()))?;
        }
        Ok(text)
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str, problem: &str) -> Result<Option<T>, Refusal> {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|_| self.refuse(name, problem)))
            .transpose()
    }

    #[expect(clippy::unused_self, reason = "reads as what was given being refused")]
    fn refuse(&self, name: &str, problem: &str) -> Refusal {
        let header = name.replace('_', "-");
        let message = format!("x-hone-{header} (metadata hone_{name}) {problem}");
        Refusal::new(RefusalKind::Invalid, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(headers: &[(&'static str, &str)], body: &'static str) -> Result<RequestContext, Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        RequestContext::read(&map, &Fields::read(&Bytes::from(body)).unwrap())
    }

    #[test]
    fn headers_beat_metadata_and_ours_does_not_reach_the_provider() {
        let body = r#"{"metadata":{"hone_conversation":"c1","hone_opt_out":"true","mine":"1"},"user":"u1"}"#;
        let context = read(&[("x-hone-conversation", "c2"), ("x-hone-tags", "a, b")], body).unwrap();
        assert_eq!(context.conversation.as_deref(), Some("c2"));
        assert_eq!(context.tags, ["a", "b"]);
        assert!(context.is_opted_out);
        assert_eq!(context.subject.unwrap().user_id, "u1");
        assert_eq!(
            context.changes,
            [("metadata".into(), Some(r#"{"mine":"1"}"#.to_owned()))]
        );
        let context = read(&[], r#"{"metadata":{"hone_task":"a"}}"#).unwrap();
        assert_eq!(
            (context.task.as_deref(), context.changes),
            (Some("a"), vec![("metadata".into(), None)])
        );
        let untouched = read(&[], r#"{"metadata":{"user_id":"u2"}}"#).unwrap();
        assert_eq!(untouched.changes, []);
        assert_eq!(untouched.subject.unwrap().user_id, "u2");
    }

    #[test]
    fn what_cannot_be_taken_is_named() {
        for (name, value) in [
            ("x-hone-interaction-id", "7"),
            ("x-hone-turn", "-1"),
            ("x-hone-opt-out", "maybe"),
        ] {
            let error = read(&[(name, value)], "{}").unwrap_err();
            assert!(error.message.starts_with(name), "{}", error.message);
        }
        let body = r#"{"metadata":{"hone_conversation":"a\r\nx-evil: 1"}}"#;
        assert!(read(&[], body).unwrap_err().message.contains("control character"));
    }
}
