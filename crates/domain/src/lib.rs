//! The nouns of Hone as types: ids, states with their legal transitions, policies, and the sources of time and
//! randomness that everything above receives as parameters.
//!
//! Every other crate builds on this one. It does no I/O and knows neither databases nor HTTP.

mod chat;
mod clock;
mod document;
mod entropy;
mod example;
mod feedback;
mod history;
mod ids;
mod input;
mod interaction;
mod json_text;
mod lifecycle;
mod limits;
mod metric;
mod object;
mod observed;
mod personal;
mod policy;
mod profile;
mod prompt;
mod provider;
mod review;
mod schedule;
mod scope;
mod sharing;
mod version;

pub use chat::{answer_text, content_text, last_of_user, message_of, prompt_messages};
pub use clock::{
    Clock, DAY_US, HOUR_US, MINUTE_US, ManualClock, SECOND_US, SystemClock, format_rfc3339, parse_rfc3339,
};
pub use document::Document;
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use example::NewExample;
pub use feedback::{FeedbackKind, FeedbackSource, NewFeedback, Preference};
pub use history::HistorySource;
pub use ids::{
    ConversationId, DatasetId, DeploymentId, ExampleId, FeedbackId, Ids, InteractionId, JobId,
    ModelVersionId, ProjectId, ReviewId, RunId, SubjectId, TaskId, derive_repeatable_id, derive_signing_key,
};
pub use input::{FieldError, InvalidInput, parse_json};
pub use interaction::{
    AnswerSource, Identity, InteractionStatus, MAX_TEXT_BYTES, NewInteraction, require_name, require_text,
};
pub use json_text::JsonText;
pub use lifecycle::{
    DecidedBy, DeploymentEvent, DeploymentKind, DeploymentState, ExampleOrigin, ExampleStatus,
    ExampleVerdict, IllegalTransition, RunStatus, Split, Stage,
};
pub use limits::{Allowance, LimitedQuantity, Limits};
pub use metric::{Direction, Metric, MetricGoal};
pub use object::{object, objects, optional_object};
pub use observed::{
    AlertMetric, AlertRule, AlertState, Dimension, Grain, HealthLabel, HealthStatus, Indicator,
    LATENCY_BUCKETS_US, Measure, Period, ReadinessLevel, RouteKind, Severity, SnapshotPeriod, Sums,
};
pub use personal::{PersonalHandling, PersonalRule, ProjectPrivacy};
pub use policy::{
    CanaryStep, CascadePolicy, CurationPolicy, CurationStep, DeploymentPlan, DeploymentPolicy, GateRule,
    GatewayPolicy, LABEL_PLACE, ModelRoute, ObservingPolicy, PredictionPolicy, PromotionRule,
    RecordingContent, RecordingMoment, RecordingPolicy, SourceWeights, SplitBy, SplitShares, Strategy,
    TaskKind, TaskPolicy, TrafficUnit, TrainingPolicy, TrainingTrigger,
};
pub use profile::{AnswerLength, DetailLevel, Profile};
pub use prompt::{ExampleRetrieval, PromptMessage, PromptRole, PromptSpec};
pub use provider::ProviderKind;
pub use review::{ReviewKind, ReviewPolicy, ReviewReason, ReviewState, ReviewVerdict};
pub use schedule::{MissedRuns, ScheduledAction};
pub use scope::{Scope, ScopeSet};
pub use sharing::{ArmShare, Sharing, TrafficKey};
pub use version::{ParseVersionError, Version};

/// Returned when stored or given text names no variant of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is not a {noun}; expected one of: {expected}")]
pub struct UnknownVariant {
    /// What the text should have named.
    pub noun: &'static str,
    /// The text as given.
    pub given: String,
    /// The accepted spellings, comma separated.
    pub expected: String,
}

/// Declares an enum whose variants have one spelling in JSON, in the database and in messages.
macro_rules! spelled_enum {
    ($(#[$meta:meta])* $name:ident ($noun:literal) { $($(#[$vmeta:meta])* $variant:ident = $text:tt),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize, utoipa::ToSchema,
        )]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// All variants, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The one spelling used in JSON, the database and messages.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownVariant;
            fn from_str(given: &str) -> Result<Self, $crate::UnknownVariant> {
                match given {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownVariant {
                        noun: $noun,
                        given: given.chars().take(40).collect(),
                        expected: [$($text),+].join(", "),
                    }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::UnknownVariant;
            fn try_from(given: String) -> Result<Self, $crate::UnknownVariant> { given.parse() }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }
    };
}
pub(crate) use spelled_enum;
