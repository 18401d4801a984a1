//! Background work over HTTP.

pub(crate) mod cancel;
pub(crate) mod events;
pub(crate) mod list;
pub(crate) mod retry;
pub(crate) mod show;

use hone_domain::format_rfc3339;
use hone_storage::jobs::JobRow;
use uuid::Uuid;

/// A unit of background work.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct JobBody {
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<Uuid>,
    kind: String,
    /// `queued`, `running`, `succeeded`, `dead` or `cancelled`.
    state: String,
    attempt: i64,
    max_attempts: i64,
    /// Share done, 0 to 1.
    progress: f64,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result: Option<serde_json::Value>,
    run_at: String,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
}

impl From<JobRow> for JobBody {
    fn from(row: JobRow) -> Self {
        Self {
            id: row.id,
            task_id: row.task_id,
            kind: row.kind,
            state: row.state,
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            progress: row.progress,
            message: row.message,
            error: row.error,
            result: row.result.map(|result| result.0),
            run_at: format_rfc3339(row.run_at_us),
            created_at: format_rfc3339(row.created_at_us),
            finished_at: row.finished_at_us.map(format_rfc3339),
        }
    }
}
