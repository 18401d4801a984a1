//! Examples over HTTP.

pub(crate) mod create;
pub(crate) mod decide;
pub(crate) mod export;
pub(crate) mod list;

use std::collections::BTreeMap;

use hone_domain::{DecidedBy, ExampleOrigin, ExampleStatus, format_rfc3339};
use hone_storage::examples::Example;
use uuid::Uuid;

use crate::page::words;

/// A training item.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ExampleBody {
    id: Uuid,
    task_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction_id: Option<Uuid>,
    input: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    weight: f64,
    status: ExampleStatus,
    origin: ExampleOrigin,
    is_validated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<String>,
    /// Why it was taken or rejected.
    reason: String,
    /// The step of curation that rejected it.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// Who decided last: curation, or a person, whom curation does not overrule.
    decided_by: DecidedBy,
    /// Whose word its target rests on: `user`, `expert` or `automated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// How good it is, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<f64>,
    /// What makes it as good, each with its factor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quality_reasons: Vec<String>,
    /// Language of the input (BCP 47).
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// What the task's classifiers say it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<BTreeMap<String, String>>,
    created_at: String,
    updated_at: String,
}

impl From<Example> for ExampleBody {
    fn from(row: Example) -> Self {
        Self {
            id: row.id,
            task_id: row.task_id,
            interaction_id: row.interaction_id,
            input: row.input.0,
            label: row.label,
            target: row.target.0,
            weight: row.weight,
            status: row.status,
            origin: row.origin,
            is_validated: row.is_validated,
            split: row.split,
            reason: row.reason,
            step: row.step,
            decided_by: row.decided_by,
            source: row.source,
            quality: row.quality,
            quality_reasons: words(row.quality_reasons.as_deref()),
            language: row.language,
            topics: row.topics,
            created_at: format_rfc3339(row.created_at_us),
            updated_at: format_rfc3339(row.updated_at_us),
        }
    }
}
