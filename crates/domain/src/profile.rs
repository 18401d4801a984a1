//! How a person likes answers: set by hand, or learned from what they edit and rate.

use crate::{InvalidInput, require_text, spelled_enum};

/// Longest description of a style, in bytes.
const MAX_STYLE_BYTES: usize = 300;

spelled_enum! {
    /// How long answers should be.
    AnswerLength ("length") {
        /// A few sentences.
        Short = "short",
        /// A paragraph or two.
        Medium = "medium",
        /// As long as it takes.
        Long = "long",
    }
}

spelled_enum! {
    /// How much an answer should go into.
    DetailLevel ("level of detail") {
        /// The result alone.
        Brief = "brief",
        /// The result with its reasons.
        Normal = "normal",
        /// Everything that belongs to it.
        Thorough = "thorough",
    }
}

/// What a person likes; absent fields leave it open.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Style in words, such as `formal, British spelling` or `lists`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<String>,
    /// Length of answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<AnswerLength>,
    /// Level of detail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<DetailLevel>,
}

impl Profile {
    /// Checks the style.
    pub fn validate(&self) -> Result<(), InvalidInput> {
        let Some(style) = &self.style else {
            return Ok(());
        };
        require_text("/style", style)?;
        if style.len() > MAX_STYLE_BYTES || style.chars().any(char::is_control) {
            return Err(InvalidInput::field(
                "/style",
                "give one line of at most 300 bytes",
            ));
        }
        Ok(())
    }

    /// The same with what it leaves open taken from another.
    pub fn or(self, other: Self) -> Self {
        Self {
            style: self.style.or(other.style),
            length: self.length.or(other.length),
            detail: self.detail.or(other.detail),
        }
    }
}
