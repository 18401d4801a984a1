//! An interaction as a client sends it: one input and one output of a task, and what is checked before it is taken.

use crate::{ConversationId, InteractionId, InvalidInput, JsonText, SECOND_US, parse_rfc3339, spelled_enum};

/// The longest text of one field that is taken, in bytes.
pub const MAX_TEXT_BYTES: usize = 256 * 1024;
/// The longest name (task, label, conversation, tag) that is taken, in bytes.
const MAX_NAME_BYTES: usize = 200;
/// The longest network address or user agent that is taken, in bytes.
const MAX_IDENTITY_BYTES: usize = 1_000;
/// How far a client's clock may run ahead of ours.
const MAX_CLOCK_AHEAD_US: i64 = 300 * SECOND_US;

spelled_enum! {
    /// Who gave the answer.
    AnswerSource ("answer source") {
        /// A model version of Hone or of a provider.
        Model = "model",
        /// The answer cache.
        Cache = "cache",
        /// A knowledge-base entry.
        Faq = "faq",
        /// A person.
        Human = "human",
        /// Not known: brought in from elsewhere.
        Import = "import",
    }
}

spelled_enum! {
    /// How the interaction ended.
    InteractionStatus ("interaction status") {
        /// Answered.
        Ok = "ok",
        /// Handed to a person.
        Escalated = "escalated",
        /// The model was not sure enough to answer.
        Abstained = "abstained",
        /// Failed.
        Error = "error",
        /// The client went away before the answer was whole.
        Cancelled = "cancelled",
    }
}

/// The person an interaction is about, as the client knows them. Kept apart from content; never part of an example.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Identity {
    /// The client's id for the person.
    pub user_id: String,
    /// The address the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// The program the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

impl Identity {
    fn validate(&self) -> Result<(), InvalidInput> {
        require_name("/subject/user_id", &self.user_id)?;
        for (pointer, text) in [
            ("/subject/ip_address", &self.ip_address),
            ("/subject/user_agent", &self.user_agent),
        ] {
            if text.as_ref().is_some_and(|text| text.len() > MAX_IDENTITY_BYTES) {
                let detail = format!("is longer than {MAX_IDENTITY_BYTES} bytes; shorten it or leave it out");
                return Err(InvalidInput::field(pointer, detail));
            }
        }
        Ok(())
    }
}

/// One interaction to record.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInteraction {
    /// Given by the client to make recording safe to repeat; made by Hone otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub id: Option<InteractionId>,
    /// Name of the task.
    pub task: String,
    /// What was asked.
    pub input: String,
    /// What was answered, for a `generate` task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The label that was detected, for a `classify` task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Probability of the answer, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Who answered; `model` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<AnswerSource>,
    /// How it ended; `ok` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<InteractionStatus>,
    /// Name of the model that answered, such as a provider's model id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The client's name for the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Position in the conversation, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u32>,
    /// The person the interaction is about.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::optional_object"
    )]
    pub subject: Option<Identity>,
    /// Time to answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Tokens of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_input: Option<u32>,
    /// Tokens of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_output: Option<u32>,
    /// Cost in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Kind of action the answer led to, such as `appointment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_type: Option<String>,
    /// Tool the answer is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_tool: Option<String>,
    /// Language of the input (BCP 47).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Free marks, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When it happened (RFC 3339); the time of recording when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
    /// The JSON that went to the model, with its messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub request: Option<JsonText>,
    /// The JSON of an answer that is more than text, such as calls of tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub reply: Option<JsonText>,
    /// The prompt that was built from the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_prompt: Option<String>,
    /// Time to the first token of a streamed answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// What went wrong, in one word, such as `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl NewInteraction {
    /// Checks every field; `now_us` bounds how far in the future an interaction may lie.
    pub fn validate(&self, now_us: i64) -> Result<(), InvalidInput> {
        require_name("/task", &self.task)?;
        require_text("/input", &self.input)?;
        if self.input.trim().is_empty() {
            return Err(InvalidInput::field(
                "/input",
                "is empty; give the text that was asked",
            ));
        }
        if let Some(output) = &self.output {
            require_text("/output", output)?;
        }
        if let Some(prompt) = &self.structured_prompt {
            require_text("/structured_prompt", prompt)?;
        }
        for (pointer, document) in [("/request", &self.request), ("/reply", &self.reply)] {
            if let Some(document) = document {
                require_text(pointer, document.as_str())?;
            }
        }
        for (pointer, name) in [
            ("/label", &self.label),
            ("/model", &self.model),
            ("/conversation", &self.conversation),
            ("/action_type", &self.action_type),
            ("/target_tool", &self.target_tool),
            ("/language", &self.language),
            ("/error", &self.error),
        ] {
            if let Some(name) = name {
                require_name(pointer, name)?;
            }
        }
        require_between("/confidence", self.confidence, 0.0, 1.0)?;
        require_between("/latency_ms", self.latency_ms, 0.0, 86_400_000.0)?;
        require_between("/first_token_ms", self.first_token_ms, 0.0, 86_400_000.0)?;
        require_between("/cost_usd", self.cost_usd, 0.0, 1_000_000.0)?;
        if self.tags.len() > 20 {
            return Err(InvalidInput::field(
                "/tags",
                format!("has {} tags; give at most 20", self.tags.len()),
            ));
        }
        for (index, tag) in self.tags.iter().enumerate() {
            require_name(&format!("/tags/{index}"), tag)?;
        }
        if let Some(subject) = &self.subject {
            subject.validate()?;
        }
        occurred_at_us("/occurred_at", self.occurred_at.as_deref(), now_us).map(|_| ())
    }

    /// When it happened, in microseconds since the epoch; `now_us` when the client gave no time.
    pub fn occurred_at_us(&self, now_us: i64) -> i64 {
        self.occurred_at
            .as_deref()
            .and_then(parse_rfc3339)
            .unwrap_or(now_us)
    }

    /// Hash by which a repeated id is told from a repeated id with other content; only needed where the client gave
    /// the id.
    pub fn content_hash(&self) -> Option<[u8; 16]> {
        self.id.and_then(|_| hash_of(self))
    }

    /// The id of the conversation within a project, derived from the client's name for it.
    pub fn conversation_id(&self, project: crate::ProjectId) -> Option<ConversationId> {
        self.conversation
            .as_deref()
            .map(|name| ConversationId::derive(project, name))
    }
}

pub(crate) fn hash_of(document: &impl serde::Serialize) -> Option<[u8; 16]> {
    let bytes = serde_json::to_vec(document).ok()?;
    let mut hash = [0; 16];
    hash.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
    Some(hash)
}

/// Refuses a text that is too long or cannot be stored.
pub fn require_text(pointer: &str, text: &str) -> Result<(), InvalidInput> {
    if text.len() > MAX_TEXT_BYTES {
        let detail = format!("has {} bytes; at most {MAX_TEXT_BYTES} are taken", text.len());
        return Err(InvalidInput::field(pointer, detail));
    }
    if text.contains('\0') {
        return Err(InvalidInput::field(
            pointer,
            "contains a NUL character, which cannot be stored; remove it",
        ));
    }
    Ok(())
}

/// Refuses a name that is empty, too long or has characters that do not show.
pub fn require_name(pointer: &str, name: &str) -> Result<(), InvalidInput> {
    if name.trim().is_empty() {
        return Err(InvalidInput::field(
            pointer,
            "is empty; give a name or leave the field out",
        ));
    }
    if name.len() > MAX_NAME_BYTES {
        let detail = format!("has {} bytes; at most {MAX_NAME_BYTES} are taken", name.len());
        return Err(InvalidInput::field(pointer, detail));
    }
    if name.chars().any(char::is_control) {
        return Err(InvalidInput::field(
            pointer,
            "contains a control character; remove it",
        ));
    }
    Ok(())
}

fn require_between(pointer: &str, value: Option<f64>, low: f64, high: f64) -> Result<(), InvalidInput> {
    match value {
        Some(value) if !(low..=high).contains(&value) => Err(InvalidInput::field(
            pointer,
            format!("is {value}; give a number from {low} to {high}"),
        )),
        _ => Ok(()),
    }
}

pub(crate) fn occurred_at_us(pointer: &str, given: Option<&str>, now_us: i64) -> Result<i64, InvalidInput> {
    let Some(text) = given else { return Ok(now_us) };
    let Some(time_us) = parse_rfc3339(text) else {
        let detail = "is no RFC 3339 time; write it like 2026-01-18T07:00:00Z";
        return Err(InvalidInput::field(pointer, detail));
    };
    if time_us > now_us + MAX_CLOCK_AHEAD_US {
        return Err(InvalidInput::field(
            pointer,
            "lies more than five minutes in the future; check the clock",
        ));
    }
    if time_us < 0 {
        return Err(InvalidInput::field(pointer, "lies before 1970; check the clock"));
    }
    Ok(time_us)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_json;
    use proptest::prelude::*;

    const NOW_US: i64 = 1_768_719_600_000_000;

    fn refused_field(json: &str) -> String {
        let error = parse_json::<NewInteraction>(json.as_bytes())
            .and_then(|interaction| interaction.validate(NOW_US))
            .expect_err("should be refused");
        error.0[0].pointer.clone()
    }

    #[test]
    fn refusals_name_the_field() {
        for (json, pointer) in [
            (r#"{"task":"intent","input":7}"#, "/input"),
            (r#"{"task":"intent"}"#, "/input"),
            (
                r#"{"task":"intent","input":"hello","subject":{}}"#,
                "/subject/user_id",
            ),
            (r#"{"task":"intent","input":"  "}"#, "/input"),
            (r#"{"task":"","input":"hello"}"#, "/task"),
            (
                r#"{"task":"intent","input":"hello","confidence":1.5}"#,
                "/confidence",
            ),
            (
                r#"{"task":"intent","input":"hello","subject":{"user_id":3}}"#,
                "/subject/user_id",
            ),
            (r#"{"task":"intent","input":"hello","tags":["a",""]}"#, "/tags/1"),
            (
                r#"{"task":"intent","input":"hello","occurred_at":"2126-01-01T00:00:00Z"}"#,
                "/occurred_at",
            ),
            (
                r#"{"task":"intent","input":"hello","occurred_at":"soon"}"#,
                "/occurred_at",
            ),
            (r#"{"task":"intent","input":"a\u0000b"}"#, "/input"),
            (r#"{"task":"intent","input":"hello","colour":"red"}"#, "/colour"),
        ] {
            assert_eq!(refused_field(json), pointer, "{json}");
        }
    }

    #[test]
    fn invalid_utf8_is_said_plainly() {
        let error = parse_json::<NewInteraction>(b"{\"task\":\"a\",\"input\":\"\xff\"}").unwrap_err();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused_without_panic(document in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(interaction) = parse_json::<NewInteraction>(&document) {
                let _ = interaction.validate(NOW_US);
            }
        }

        #[test]
        fn what_is_taken_survives_writing_and_reading(task in "[a-z]{1,20}", input in "\\PC{1,80}", confidence in 0.0..=1.0f64) {
            let interaction = NewInteraction { task, input, confidence: Some(confidence), ..NewInteraction::default() };
            let written = serde_json::to_vec(&interaction).unwrap();
            prop_assert_eq!(parse_json::<NewInteraction>(&written).unwrap(), interaction);
        }
    }
}
