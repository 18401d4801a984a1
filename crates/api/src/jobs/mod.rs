//! Background work over HTTP.

pub(crate) mod cancel;
pub(crate) mod events;
pub(crate) mod list;
pub(crate) mod retry;
pub(crate) mod show;

use hone_domain::{JobId, ProjectId, format_rfc3339};
use hone_storage::Conn;
use hone_storage::jobs::{self, JobRow};
use uuid::Uuid;

use crate::Problem;

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

/// The job of this project with this id, or a problem.
pub(crate) async fn get_job(conn: &mut Conn, project: ProjectId, id: JobId) -> Result<JobRow, Problem> {
    let found = jobs::find(conn, id)
        .await?
        .filter(|job| job.project_id == project.0);
    found.ok_or_else(|| Problem::not_found("job", id))
}
