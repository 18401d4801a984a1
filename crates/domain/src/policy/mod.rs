//! A task's policies: what becomes an example, when to train, what may go live, when to abstain.
//!
//! Every number has the documented default; a task overrides what it wants. Stored with the task as JSON.

mod cascade;
mod curation;
mod gateway;
mod observing;
mod plan;
mod recording;

use crate::{InvalidInput, Limits, ReviewPolicy, spelled_enum};

pub use cascade::{CascadePolicy, LABEL_PLACE};
pub use curation::{CurationPolicy, CurationStep, SourceWeights};
pub use gateway::{GatewayPolicy, ModelRoute};
pub use observing::ObservingPolicy;
pub use plan::{CanaryStep, DeploymentPlan, PromotionRule, Strategy, TrafficUnit};
pub use recording::{RecordingContent, RecordingMoment, RecordingPolicy};

/// Largest threshold of a trigger.
const MAX_THRESHOLD: i64 = 1_000_000_000;
/// Most alternatives that a prediction lists.
const MAX_ALTERNATIVES: usize = 1_000;

spelled_enum! {
    /// What a task does.
    TaskKind ("task kind") {
        /// Text to label.
        Classify = "classify",
        /// Messages to text.
        Generate = "generate",
    }
}

spelled_enum! {
    /// Why a training was started.
    TrainingTrigger ("training trigger") {
        /// Enough new samples since the last training.
        NewSamples = "new_samples",
        /// Enough new samples that a person validated since the last training.
        NewValidated = "new_validated",
        /// The live accuracy fell under the threshold.
        Accuracy = "accuracy",
        /// The last training is long enough ago and something is new.
        Age = "age",
        /// Requests have changed since the last training and something is new.
        Drift = "drift",
        /// A person asked for it.
        Manual = "manual",
        /// The clock asked for it.
        Schedule = "schedule",
    }
}

spelled_enum! {
    /// What stays together when examples are divided into the parts of a dataset. Near-duplicates always do.
    SplitBy ("way to split") {
        /// The turns of a conversation.
        Conversation = "conversation",
        /// Everything of a subject.
        Subject = "subject",
        /// The turns of a conversation, and what is held out is later than what is learned from.
        Time = "time",
    }
}

/// All policies of a task.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaskPolicy {
    /// What becomes an example.
    #[serde(deserialize_with = "crate::object")]
    pub curation: CurationPolicy,
    /// What people are asked to look at.
    #[serde(deserialize_with = "crate::object")]
    pub review: ReviewPolicy,
    /// When and how to train.
    #[serde(deserialize_with = "crate::object")]
    pub training: TrainingPolicy,
    /// What may go live.
    #[serde(deserialize_with = "crate::object")]
    pub deployment: DeploymentPolicy,
    /// How to answer.
    #[serde(deserialize_with = "crate::object")]
    pub prediction: PredictionPolicy,
    /// What is recorded.
    #[serde(deserialize_with = "crate::object")]
    pub recording: RecordingPolicy,
    /// How the gateway answers.
    #[serde(deserialize_with = "crate::object")]
    pub gateway: GatewayPolicy,
    /// Budget and rate limits.
    #[serde(deserialize_with = "crate::object")]
    pub limits: Limits,
    /// When the task's own classifier answers in place of the models behind it.
    #[serde(deserialize_with = "crate::object")]
    pub cascade: CascadePolicy,
    /// What counts as ready and as good.
    #[serde(deserialize_with = "crate::object")]
    pub observing: ObservingPolicy,
}

/// Shares of a dataset's parts; they add up to 1.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitShares {
    /// Fitted on.
    pub train: f64,
    /// For choosing settings.
    pub validation: f64,
    /// Held out: the gate compares on it.
    pub test: f64,
}

impl Default for SplitShares {
    fn default() -> Self {
        Self {
            train: 0.70,
            validation: 0.15,
            test: 0.15,
        }
    }
}

/// When and how to train.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingPolicy {
    /// Train by itself when a trigger holds.
    pub automatic: bool,
    /// Never train with fewer examples.
    pub min_samples: i64,
    /// Train after this many new examples; 0 switches the trigger off.
    pub new_samples: i64,
    /// Train after this many new examples that a person validated; 0 switches the trigger off.
    pub new_validated: i64,
    /// Train when the live accuracy falls below this (0 to 1) and something is new; 0 switches the trigger off.
    pub accuracy_below: f64,
    /// Judged interactions needed before the accuracy counts.
    pub accuracy_min_judged: i64,
    /// Train when the last training is this many hours ago and something is new; 0 switches the trigger off.
    pub max_age_hours: i64,
    /// Train when requests are found to have changed since the last training and something is new.
    pub on_drift: bool,
    /// Shares of the dataset's parts.
    #[serde(deserialize_with = "crate::object")]
    pub split: SplitShares,
    /// What stays together when examples are divided into parts.
    pub split_by: SplitBy,
    /// Name of the trainer.
    pub trainer: String,
    /// Settings of the trainer; see the user guide for those of `linear`.
    #[schema(value_type = Object)]
    pub settings: serde_json::Value,
}

impl Default for TrainingPolicy {
    fn default() -> Self {
        Self {
            automatic: true,
            min_samples: 20,
            new_samples: 100,
            new_validated: 1_000,
            accuracy_below: 0.95,
            accuracy_min_judged: 100,
            max_age_hours: 24,
            on_drift: true,
            split: SplitShares::default(),
            split_by: SplitBy::Conversation,
            trainer: "linear".to_owned(),
            settings: serde_json::Value::Object(serde_json::Map::new()),
        }
    }
}

spelled_enum! {
    /// What the gate asks of a later version.
    GateRule ("gate rule") {
        /// It is shown not to be worse by more than the margin.
        NonInferior = "non_inferior",
        /// It is shown to be better.
        Superior = "superior",
        /// Its measured macro-F1 is not below by more than the margin, however uncertain.
        Documented = "documented",
    }
}

/// What may go live.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentPolicy {
    /// Deploy by itself when the gate accepts.
    pub automatic: bool,
    /// How a later version is compared with the live one on the held-out rows.
    pub gate: GateRule,
    /// How far its macro-F1 may be below the live one's.
    pub max_f1_drop: f64,
    /// The chance at which the gate may take a version for better than it is (above 0, below 0.5).
    pub gate_error: f64,
    /// How a version that the gate accepts comes to serve; the first one of a task serves at once.
    #[serde(deserialize_with = "crate::object")]
    pub plan: DeploymentPlan,
    /// This many calls of a new version that fail one after the other roll it back; 0 switches that off.
    pub failures_in_a_row: i64,
    /// For so many hours after a version went live its failures roll it back.
    pub watch_hours: i64,
    /// Versions beyond the newest so many are deprecated, never the one that serves; 0 keeps all.
    pub keep_versions: i64,
}

impl Default for DeploymentPolicy {
    fn default() -> Self {
        Self {
            automatic: true,
            gate: GateRule::NonInferior,
            max_f1_drop: 0.05,
            gate_error: 0.05,
            plan: DeploymentPlan::default(),
            failures_in_a_row: 10,
            watch_hours: 24,
            keep_versions: 20,
        }
    }
}

/// How to answer.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PredictionPolicy {
    /// Abstain when the probability of the best label is lower (0 to 1).
    pub abstain_below: f64,
    /// How many alternatives to return.
    pub alternatives: usize,
    /// Record predictions unless the request says otherwise.
    pub record: bool,
}

impl Default for PredictionPolicy {
    fn default() -> Self {
        Self {
            abstain_below: 0.0,
            alternatives: 3,
            record: true,
        }
    }
}

impl TaskPolicy {
    /// Checks every number; the trainer's own settings are checked by the trainer.
    pub fn validate(&self) -> Result<(), InvalidInput> {
        self.curation.validate()?;
        self.review.validate()?;
        let training = &self.training;
        for (pointer, share) in [
            ("/policy/training/accuracy_below", training.accuracy_below),
            ("/policy/deployment/max_f1_drop", self.deployment.max_f1_drop),
            ("/policy/prediction/abstain_below", self.prediction.abstain_below),
            ("/policy/training/split/train", training.split.train),
            ("/policy/training/split/validation", training.split.validation),
            ("/policy/training/split/test", training.split.test),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return refuse(pointer, "give a number from 0 to 1");
            }
        }
        let gate_error = self.deployment.gate_error;
        if !(gate_error > 0.0 && gate_error < 0.5) {
            return refuse(
                "/policy/deployment/gate_error",
                "give a number above 0 and below 0.5",
            );
        }
        self.deployment.plan.validate("/policy/deployment/plan")?;
        for (pointer, count) in [
            (
                "/policy/deployment/failures_in_a_row",
                self.deployment.failures_in_a_row,
            ),
            ("/policy/deployment/watch_hours", self.deployment.watch_hours),
            ("/policy/deployment/keep_versions", self.deployment.keep_versions),
        ] {
            if !(0..=MAX_THRESHOLD).contains(&count) {
                return refuse(pointer, "give 0 (off) to 1000000000");
            }
        }
        let total = training.split.train + training.split.validation + training.split.test;
        if (total - 1.0).abs() > 1e-6 || training.split.train <= 0.0 || training.split.test <= 0.0 {
            return refuse(
                "/policy/training/split",
                "give three shares that add up to 1, with train and test above 0",
            );
        }
        if !(2..=MAX_THRESHOLD).contains(&training.min_samples) {
            return refuse("/policy/training/min_samples", "give 2 to 1000000000");
        }
        for (pointer, count) in [
            ("/policy/training/new_samples", training.new_samples),
            ("/policy/training/new_validated", training.new_validated),
            (
                "/policy/training/accuracy_min_judged",
                training.accuracy_min_judged,
            ),
            ("/policy/training/max_age_hours", training.max_age_hours),
        ] {
            if !(0..=MAX_THRESHOLD).contains(&count) {
                return refuse(pointer, "give 0 (off) to 1000000000");
            }
        }
        if self.prediction.alternatives > MAX_ALTERNATIVES {
            return refuse("/policy/prediction/alternatives", "give 0 to 1000");
        }
        self.recording.validate()?;
        self.gateway.validate()?;
        self.cascade.validate()?;
        self.observing.validate()?;
        self.limits.validate("/policy/limits")
    }
}

fn refuse(pointer: &str, detail: &str) -> Result<(), InvalidInput> {
    Err(InvalidInput::field(pointer, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_documented_ones_and_valid() {
        let policy = TaskPolicy::default();
        policy.validate().unwrap();
        assert_eq!(
            (policy.training.min_samples, policy.training.new_samples),
            (20, 100)
        );
        assert_eq!(
            (policy.training.new_validated, policy.training.max_age_hours),
            (1_000, 24)
        );
    }

    #[test]
    fn a_partial_policy_keeps_the_other_defaults() {
        let policy: TaskPolicy = serde_json::from_str(r#"{"training":{"new_samples":50}}"#).unwrap();
        assert_eq!(policy.training.new_samples, 50);
        assert_eq!(policy.training.min_samples, 20);
        for wrong in [
            r#"{"trainning":{}}"#,
            "[]",
            r#"{"curation":[false]}"#,
            r#"{"training":{"split":[1,0,0]}}"#,
        ] {
            assert!(
                crate::parse_json::<TaskPolicy>(wrong.as_bytes()).is_err(),
                "{wrong}"
            );
        }
    }
}
