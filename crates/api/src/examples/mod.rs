//! Examples over HTTP.

pub(crate) mod create;
pub(crate) mod list;

use hone_domain::{ExampleOrigin, ExampleStatus, format_rfc3339};
use hone_storage::examples::Example;
use uuid::Uuid;

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
            created_at: format_rfc3339(row.created_at_us),
            updated_at: format_rfc3339(row.updated_at_us),
        }
    }
}
