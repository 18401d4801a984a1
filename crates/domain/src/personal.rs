//! What becomes of personal data: in everything that a project records, and in what a task learns from.

use crate::{InvalidInput, spelled_enum};

spelled_enum! {
    /// What becomes of a piece of personal data.
    PersonalHandling ("handling of personal data") {
        /// It stays.
        Keep = "keep",
        /// Its kind stands in its place, such as `[EMAIL]`.
        Redact = "redact",
        /// A pseudonym stands in its place, such as `[EMAIL_5f0c…]`: the same one for the same piece within a project.
        Pseudonymise = "pseudonymise",
        /// The text is not learned from.
        Reject = "reject",
    }
}

/// What becomes of personal data.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PersonalRule {
    /// What becomes of a piece.
    pub handling: PersonalHandling,
    /// Kinds that stay whatever the handling, such as `url`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept_kinds: Vec<String>,
}

impl Default for PersonalRule {
    fn default() -> Self {
        Self {
            handling: PersonalHandling::Keep,
            kept_kinds: Vec::new(),
        }
    }
}

impl PersonalRule {
    /// A rule that makes no exception.
    pub fn new(handling: PersonalHandling) -> Self {
        Self {
            handling,
            kept_kinds: Vec::new(),
        }
    }
}

/// What a project does for the privacy of those whose words it records.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectPrivacy {
    /// What becomes of personal data before anything is stored.
    #[serde(deserialize_with = "crate::object")]
    pub personal_data: PersonalRule,
}

impl ProjectPrivacy {
    /// Refuses what cannot be done when recording; the kinds are checked where they are known.
    pub fn validate(&self) -> Result<(), InvalidInput> {
        if self.personal_data.handling == PersonalHandling::Reject {
            return Err(InvalidInput::field(
                "/personal_data/handling",
                "what has happened is recorded; give keep, redact or pseudonymise, or reject in a task's curation",
            ));
        }
        Ok(())
    }
}
