//! Tasks over HTTP, and the steps of the loop that are started by hand.

pub(crate) mod cascade;
pub(crate) mod create;
pub(crate) mod curate;
pub(crate) mod curve;
pub(crate) mod drift;
pub(crate) mod evaluate;
pub(crate) mod list;
pub(crate) mod preferences;
pub(crate) mod preview;
pub(crate) mod register;
pub(crate) mod show;
pub(crate) mod topics;
pub(crate) mod train;
pub(crate) mod update;

use hone_domain::{TaskKind, TaskPolicy, format_rfc3339};
use hone_storage::tasks::Task;
use uuid::Uuid;

/// A named job of a project.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct TaskBody {
    id: Uuid,
    name: String,
    kind: TaskKind,
    policy: TaskPolicy,
    created_at: String,
    updated_at: String,
}

impl From<Task> for TaskBody {
    fn from(row: Task) -> Self {
        Self {
            id: row.id,
            name: row.name,
            kind: row.kind,
            policy: row.policy,
            created_at: format_rfc3339(row.created_at_us),
            updated_at: format_rfc3339(row.updated_at_us),
        }
    }
}

/// A job that was started.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct StartedBody {
    /// The job; watch `/v1/jobs/{id}` or `/v1/jobs/{id}/events`.
    job_id: Uuid,
    /// The training run; watch `/v1/runs/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<Uuid>,
}
