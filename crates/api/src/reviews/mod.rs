//! The review queue over HTTP.

pub(crate) mod answer;
pub(crate) mod claim;
pub(crate) mod create;
pub(crate) mod decide;
pub(crate) mod list;
pub(crate) mod release;
pub(crate) mod show;
pub(crate) mod statistics;

use hone_domain::{ReviewKind, ReviewReason, ReviewState, ReviewVerdict, format_rfc3339};
use hone_engine::{NewReviewAnswer, ReviewProgress};
use hone_storage::reviews::{Review, ReviewAnswer};
use uuid::Uuid;

/// Something that people are asked about.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ReviewBody {
    id: Uuid,
    task_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    example_id: Option<Uuid>,
    /// What is asked.
    kind: ReviewKind,
    /// Why it is asked.
    reason: ReviewReason,
    /// The higher, the earlier it is asked, 0 to 1.
    priority: f64,
    /// What was asked of the model.
    input: String,
    /// What was answered; the first answer of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    /// The second answer of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    alternative: Option<String>,
    /// The label that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// The label that is suggested.
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<String>,
    /// What speaks for asking, such as probabilities and the nearest examples.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    details: Option<serde_json::Value>,
    /// How many people are to look at it, how many do now, and how many have.
    wanted: i64,
    claimed: i64,
    done: i64,
    state: ReviewState,
    /// What was decided, by whom, and how many agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    outcome: Option<serde_json::Value>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_at: Option<String>,
}

impl From<Review> for ReviewBody {
    fn from(row: Review) -> Self {
        Self {
            id: row.id,
            task_id: row.task_id,
            interaction_id: row.interaction_id,
            example_id: row.example_id,
            kind: row.kind,
            reason: row.reason,
            priority: row.priority,
            input: row.input.0,
            output: row.output.0,
            alternative: row.alternative.0,
            label: row.label,
            suggestion: row.suggestion,
            details: row.details,
            wanted: row.wanted,
            claimed: row.claimed,
            done: row.done,
            state: row.state,
            outcome: row.outcome,
            created_at: format_rfc3339(row.created_at_us),
            decided_at: row.decided_at_us.map(format_rfc3339),
        }
    }
}

/// What somebody said.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ReviewAnswerBody {
    reviewer: String,
    verdict: ReviewVerdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    /// Seconds from the claim on.
    #[serde(skip_serializing_if = "Option::is_none")]
    took_s: Option<f64>,
    created_at: String,
}

impl From<ReviewAnswer> for ReviewAnswerBody {
    fn from(row: ReviewAnswer) -> Self {
        Self {
            reviewer: row.reviewer,
            verdict: row.verdict,
            label: row.label,
            text: row.text.0,
            comment: row.comment.0,
            took_s: row.took_us.map(|us| us as f64 / 1e6),
            created_at: format_rfc3339(row.created_at_us),
        }
    }
}

/// What is said of an item.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
pub(crate) struct VerdictRequest {
    /// Of an answer: approve, correct or reject; of a pair: first, second or tie; of both: skip.
    verdict: ReviewVerdict,
    /// The right label, with `correct` in a classify task.
    label: Option<String>,
    /// The right answer, with `correct` in a generate task.
    text: Option<String>,
    /// A remark, kept with the interaction.
    comment: Option<String>,
}

impl From<VerdictRequest> for NewReviewAnswer {
    fn from(request: VerdictRequest) -> Self {
        Self {
            verdict: request.verdict,
            label: request.label,
            text: request.text,
            comment: request.comment,
        }
    }
}

/// Where an item stands after an answer.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ReviewProgressBody {
    state: ReviewState,
    /// Reviews that are there, and that are wanted.
    done: i64,
    wanted: i64,
}

impl From<ReviewProgress> for ReviewProgressBody {
    fn from(progress: ReviewProgress) -> Self {
        Self {
            state: progress.state,
            done: progress.done,
            wanted: progress.wanted,
        }
    }
}
