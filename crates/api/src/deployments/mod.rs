//! Deployments over HTTP.

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod rollback;

use hone_domain::{DeploymentKind, format_rfc3339};
use hone_storage::deployments::Deployment;
use uuid::Uuid;

/// One decision about what serves a task.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct DeploymentBody {
    id: Uuid,
    task_id: Uuid,
    /// The version that serves from then on.
    model_version_id: Uuid,
    /// The version that served before.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_version_id: Option<Uuid>,
    kind: DeploymentKind,
    reason: String,
    created_at: String,
}

impl From<Deployment> for DeploymentBody {
    fn from(row: Deployment) -> Self {
        Self {
            id: row.id,
            task_id: row.task_id,
            model_version_id: row.model_version_id,
            previous_version_id: row.previous_version_id,
            kind: row.kind,
            reason: row.reason,
            created_at: format_rfc3339(row.created_at_us),
        }
    }
}
