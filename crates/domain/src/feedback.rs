//! Feedback as a client sends it: what someone said or did about an interaction or a conversation.

use crate::interaction::{hash_of, occurred_at_us, require_name, require_text};
use crate::{FeedbackId, InteractionId, InvalidInput, spelled_enum};

spelled_enum! {
    /// What was said or done.
    FeedbackKind ("feedback kind") {
        /// Up or down.
        Thumb = "thumb",
        /// 1 to 5.
        Rating = "rating",
        /// A number with a name.
        Score = "score",
        /// The right label, the right text, or both.
        Correction = "correction",
        /// Free words.
        Comment = "comment",
        /// One answer chosen over another.
        Preference = "preference",
        /// Whether the answer was used.
        Used = "used",
        /// Whether the answer helped.
        Helpful = "helpful",
    }
}

spelled_enum! {
    /// Who said it.
    FeedbackSource ("feedback source") {
        /// The person who got the answer.
        User = "user",
        /// A reviewer.
        Expert = "expert",
        /// A program.
        Automated = "automated",
    }
}

/// One answer preferred over another, as texts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    /// The better answer.
    pub chosen: String,
    /// The worse answer.
    pub rejected: String,
}

/// One piece of feedback to record. `kind` says which of the value fields must be there.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFeedback {
    /// Given by the client to make recording safe to repeat; made by Hone otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub id: Option<FeedbackId>,
    /// The interaction that is spoken of; it may arrive later than its feedback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub interaction_id: Option<InteractionId>,
    /// The client's name for the conversation that is spoken of, where no single interaction is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// What was said or done.
    pub kind: FeedbackKind,
    /// For `thumb`: true is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// For `rating`: 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<u8>,
    /// For `score`: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For `score`: its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// For `correction`: the right label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// For `correction`: the right answer; for `comment`: the words. Allowed beside every other kind as a remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// For `preference`: the two answers.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::optional_object"
    )]
    pub preference: Option<Preference>,
    /// For `used`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<bool>,
    /// For `helpful`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helpful: Option<bool>,
    /// Who said it; `user` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<FeedbackSource>,
    /// When it was said (RFC 3339); the time of recording when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
}

impl NewFeedback {
    /// A piece of feedback of this kind with nothing else in it.
    pub fn new(kind: FeedbackKind) -> Self {
        Self {
            id: None,
            interaction_id: None,
            conversation: None,
            kind,
            up: None,
            rating: None,
            name: None,
            score: None,
            label: None,
            text: None,
            preference: None,
            used: None,
            helpful: None,
            source: None,
            occurred_at: None,
        }
    }

    /// Checks every field, and that the value that `kind` asks for is there.
    pub fn validate(&self, now_us: i64) -> Result<(), InvalidInput> {
        if self.interaction_id.is_some() == self.conversation.is_some() {
            let detail = "give either interaction_id or conversation, to say what the feedback is about";
            return Err(InvalidInput::field("/interaction_id", detail));
        }
        self.require_value()?;
        for (pointer, name) in [
            ("/conversation", &self.conversation),
            ("/label", &self.label),
            ("/name", &self.name),
        ] {
            if let Some(name) = name {
                require_name(pointer, name)?;
            }
        }
        if let Some(text) = &self.text {
            require_text("/text", text)?;
        }
        if let Some(preference) = &self.preference {
            require_text("/preference/chosen", &preference.chosen)?;
            require_text("/preference/rejected", &preference.rejected)?;
            if preference.chosen == preference.rejected {
                let detail = "is the same text as chosen; a preference needs two different answers";
                return Err(InvalidInput::field("/preference/rejected", detail));
            }
        }
        occurred_at_us("/occurred_at", self.occurred_at.as_deref(), now_us).map(|_| ())
    }

    fn require_value(&self) -> Result<(), InvalidInput> {
        let missing = |pointer: &str, what: &str| {
            Err(InvalidInput::field(
                pointer,
                format!("is missing; a {} needs {what}", self.kind),
            ))
        };
        match self.kind {
            FeedbackKind::Thumb if self.up.is_none() => missing("/up", "true for up or false for down"),
            FeedbackKind::Rating => match self.rating {
                None => missing("/rating", "a whole number from 1 to 5"),
                Some(1..=5) => Ok(()),
                Some(rating) => Err(InvalidInput::field(
                    "/rating",
                    format!("is {rating}; give 1 to 5"),
                )),
            },
            FeedbackKind::Score if self.name.is_none() => missing("/name", "the name of what is scored"),
            FeedbackKind::Score => match self.score {
                Some(score) if score.is_finite() => Ok(()),
                _ => missing("/score", "a finite number"),
            },
            FeedbackKind::Correction if self.label.is_none() && self.text.is_none() => {
                missing("/label", "the right label, the right text, or both")
            }
            FeedbackKind::Comment if self.text.is_none() => missing("/text", "the words"),
            FeedbackKind::Preference if self.preference.is_none() => {
                missing("/preference", "chosen and rejected")
            }
            FeedbackKind::Used if self.used.is_none() => missing("/used", "true or false"),
            FeedbackKind::Helpful if self.helpful.is_none() => missing("/helpful", "true or false"),
            _ => Ok(()),
        }
    }

    /// The value as one number: 1 or 0 for thumbs, used and helpful; the rating or the score; none for words.
    pub fn value(&self) -> Option<f64> {
        let from_bool = |flag: Option<bool>| flag.map(|flag| f64::from(u8::from(flag)));
        match self.kind {
            FeedbackKind::Thumb => from_bool(self.up),
            FeedbackKind::Rating => self.rating.map(f64::from),
            FeedbackKind::Score => self.score,
            FeedbackKind::Used => from_bool(self.used),
            FeedbackKind::Helpful => from_bool(self.helpful),
            FeedbackKind::Correction | FeedbackKind::Comment | FeedbackKind::Preference => None,
        }
    }

    /// When it was said, in microseconds since the epoch; `now_us` when the client gave no time.
    pub fn occurred_at_us(&self, now_us: i64) -> i64 {
        self.occurred_at
            .as_deref()
            .and_then(crate::parse_rfc3339)
            .unwrap_or(now_us)
    }

    /// Hash by which a repeated id is told from a repeated id with other content.
    pub fn content_hash(&self) -> Option<[u8; 16]> {
        self.id.and_then(|_| hash_of(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_asks_for_its_value() {
        for &kind in FeedbackKind::ALL {
            let bare = NewFeedback {
                conversation: Some("chat-1".to_owned()),
                ..NewFeedback::new(kind)
            };
            assert!(bare.validate(0).is_err(), "a bare {kind} was taken");
        }
        let rating = NewFeedback {
            conversation: Some("chat-1".to_owned()),
            rating: Some(6),
            ..NewFeedback::new(FeedbackKind::Rating)
        };
        assert_eq!(rating.validate(0).unwrap_err().0[0].pointer, "/rating");
        assert!(
            NewFeedback {
                rating: Some(5),
                ..rating
            }
            .validate(0)
            .is_ok()
        );
    }

    #[test]
    fn feedback_is_about_exactly_one_thing() {
        let thumb = NewFeedback {
            up: Some(true),
            ..NewFeedback::new(FeedbackKind::Thumb)
        };
        assert_eq!(thumb.validate(0).unwrap_err().0[0].pointer, "/interaction_id");
    }
}
