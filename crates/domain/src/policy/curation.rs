//! What becomes an example of a task: the settings of every step of curation.

use std::collections::BTreeMap;

use super::refuse;
use crate::{FeedbackSource, InvalidInput, PersonalHandling, PersonalRule, spelled_enum};

/// Largest weight of an example.
const MAX_WEIGHT: f64 = 1_000.0;
/// Longest half-life of an example, in days.
const MAX_HALF_LIFE: f64 = 36_500.0;
/// Most classifiers that say what an example is about.
const MAX_CLASSIFIERS: usize = 10;

spelled_enum! {
    /// A step of curation, in the order in which they are taken.
    CurationStep ("curation step") {
        /// What people said of the answer, and how sure the model was of it.
        Selection = "selection",
        /// The subject has opted out.
        Consent = "consent",
        /// Personal data.
        PersonalData = "personal_data",
        /// Empty, too long, or nothing to learn from it.
        Text = "text",
        /// Words that hurt.
        Moderation = "moderation",
        /// Signs of an injected instruction.
        Injection = "injection",
        /// The quality score.
        Quality = "quality",
        /// The same text as another example's.
        Duplicates = "duplicates",
        /// Nearly the same text as another example's, with the same target.
        NearDuplicates = "near_duplicates",
        /// A person decided.
        Review = "review",
    }
}

/// What becomes an example.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CurationPolicy {
    /// Curate by itself when feedback arrives.
    pub automatic: bool,
    /// Interactions rated this or higher are taken (1 to 5).
    pub min_rating: u8,
    /// Interactions with a thumb up are taken.
    pub take_thumbs_up: bool,
    /// Uncorrected interactions under this confidence are not taken (0 to 1).
    pub min_confidence: f64,
    /// Longer inputs are not taken, in characters.
    pub max_input_chars: usize,
    /// What becomes of personal data in what is learned from.
    #[serde(deserialize_with = "crate::object")]
    pub personal_data: PersonalRule,
    /// Answers whose words hurt more than this are not taken (0 to 1; 1 takes all).
    pub max_moderation: f64,
    /// Inputs whose words hurt more than this are not taken (0 to 1; 1 takes all: a model has to know how people talk).
    pub max_input_moderation: f64,
    /// Inputs with more signs of an injected instruction than this are not taken (0 to 1; 1 takes all and only flags).
    pub max_injection: f64,
    /// Examples of a lower quality score are not taken (0 to 1).
    pub min_quality: f64,
    /// Of texts that have this share of their shingles in common and the same target only the best is kept (0 to 1). What
    /// is left of those with .8 in common stays in one part of datasets. 0 keeps all, wherever they fall.
    pub near_duplicates: f64,
    /// Weight of an example that a person corrected; others weigh 1.
    pub corrected_weight: f64,
    /// By whose word it rests on, an example's weight is multiplied.
    #[serde(deserialize_with = "crate::object")]
    pub source_weights: SourceWeights,
    /// Days after which an example counts half; 0 lets none age.
    pub half_life_days: f64,
    /// Classify tasks of the project that say what an example is about, by name: such as `{"domain": "ticket-domain"}`.
    pub classifiers: BTreeMap<String, String>,
}

/// By what an example's weight is multiplied, by whose word it rests on.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SourceWeights {
    /// The person who got the answer.
    pub user: f64,
    /// A reviewer or an expert.
    pub expert: f64,
    /// A program.
    pub automated: f64,
}

impl Default for SourceWeights {
    fn default() -> Self {
        Self {
            user: 1.0,
            expert: 1.0,
            automated: 1.0,
        }
    }
}

impl SourceWeights {
    /// The factor for this source.
    pub const fn of(&self, source: FeedbackSource) -> f64 {
        match source {
            FeedbackSource::User => self.user,
            FeedbackSource::Expert => self.expert,
            FeedbackSource::Automated => self.automated,
        }
    }
}

impl Default for CurationPolicy {
    fn default() -> Self {
        Self {
            automatic: true,
            min_rating: 4,
            take_thumbs_up: true,
            min_confidence: 0.0,
            max_input_chars: 10_000,
            personal_data: PersonalRule::new(PersonalHandling::Redact),
            max_moderation: 0.9,
            max_input_moderation: 1.0,
            max_injection: 1.0,
            min_quality: 0.3,
            near_duplicates: 0.9,
            corrected_weight: 2.0,
            source_weights: SourceWeights::default(),
            half_life_days: 0.0,
            classifiers: BTreeMap::new(),
        }
    }
}

impl CurationPolicy {
    /// Checks every number; whether the classifiers are tasks is checked where tasks are known.
    pub(super) fn validate(&self) -> Result<(), InvalidInput> {
        if !(1..=5).contains(&self.min_rating) {
            return refuse("/policy/curation/min_rating", "give 1 to 5");
        }
        for (pointer, share) in [
            ("/policy/curation/min_confidence", self.min_confidence),
            ("/policy/curation/max_moderation", self.max_moderation),
            ("/policy/curation/max_input_moderation", self.max_input_moderation),
            ("/policy/curation/max_injection", self.max_injection),
            ("/policy/curation/min_quality", self.min_quality),
            ("/policy/curation/near_duplicates", self.near_duplicates),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return refuse(pointer, "give a number from 0 to 1");
            }
        }
        if self.near_duplicates > 0.0 && self.near_duplicates < 0.5 {
            return refuse(
                "/policy/curation/near_duplicates",
                "texts with less than half in common are not nearly the same; give 0 (off) or 0.5 to 1",
            );
        }
        for (pointer, weight) in [
            ("/policy/curation/corrected_weight", self.corrected_weight),
            ("/policy/curation/source_weights/user", self.source_weights.user),
            (
                "/policy/curation/source_weights/expert",
                self.source_weights.expert,
            ),
            (
                "/policy/curation/source_weights/automated",
                self.source_weights.automated,
            ),
        ] {
            if !(weight > 0.0 && weight <= MAX_WEIGHT) {
                return refuse(pointer, "give a number above 0 and up to 1000");
            }
        }
        if !(0.0..=MAX_HALF_LIFE).contains(&self.half_life_days) {
            return refuse("/policy/curation/half_life_days", "give 0 (off) to 36500 days");
        }
        if self.classifiers.len() > MAX_CLASSIFIERS {
            return refuse("/policy/curation/classifiers", "give 10 at most");
        }
        for (name, task) in &self.classifiers {
            crate::require_name("/policy/curation/classifiers", name)?;
            crate::require_name("/policy/curation/classifiers", task)?;
        }
        Ok(())
    }
}
