//! A local classifier in front of an expensive model: it answers where it is certified to be wrong seldom enough.

use super::refuse;
use crate::InvalidInput;

/// What stands for the label in an answer.
pub const LABEL_PLACE: &str = "{label}";

/// When a classify task's own classifier answers in place of the model behind it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CascadePolicy {
    /// Whether it may.
    pub enabled: bool,
    /// Share of its answers that may be wrong, 0 to 0.5.
    pub max_error: f64,
    /// How sure the certificate must be, 0.5 to 1.
    pub confidence: f64,
    /// Share of its answers that the model behind is asked for too, to measure the real disagreement, 0 to 1.
    pub shadow_share: f64,
    /// What an answer looks like, with `{label}` where the label stands: a text, or JSON such as `{"intent":"{label}"}`.
    pub answer: String,
}

impl Default for CascadePolicy {
    fn default() -> Self {
        Self {
            enabled: false,
            max_error: 0.02,
            confidence: 0.95,
            shadow_share: 0.05,
            answer: LABEL_PLACE.to_owned(),
        }
    }
}

impl CascadePolicy {
    pub(super) fn validate(&self) -> Result<(), InvalidInput> {
        if !(self.max_error > 0.0 && self.max_error <= 0.5) {
            return refuse("/policy/cascade/max_error", "give a number above 0, at most 0.5");
        }
        if !(0.5..1.0).contains(&self.confidence) {
            return refuse("/policy/cascade/confidence", "give a number from 0.5 to below 1");
        }
        if !(0.0..=1.0).contains(&self.shadow_share) {
            return refuse("/policy/cascade/shadow_share", "give a number from 0 to 1");
        }
        if self.answer.matches(LABEL_PLACE).count() != 1 || self.answer.len() > 2_000 {
            return refuse(
                "/policy/cascade/answer",
                "write {label} once where the label stands",
            );
        }
        Ok(())
    }
}
