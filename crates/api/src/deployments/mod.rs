//! Deployments over HTTP.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod forecast;
pub(crate) mod list;
pub(crate) mod rollback;
pub(crate) mod show;

use hone_domain::{ArmShare, DeploymentKind, DeploymentPlan, DeploymentState, format_rfc3339};
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
    state: DeploymentState,
    /// How its version comes to serve; absent where it served everything at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<DeploymentPlan>,
    /// The new versions with their shares of the traffic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    arms: Vec<ArmShare>,
    /// The step of a canary, from 0.
    step: i64,
    reason: String,
    created_at: String,
    /// When its version came to serve everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    live_at: Option<String>,
}

impl From<Deployment> for DeploymentBody {
    fn from(row: Deployment) -> Self {
        Self {
            id: row.id,
            task_id: row.task_id,
            model_version_id: row.model_version_id,
            previous_version_id: row.previous_version_id,
            kind: row.kind,
            state: row.state,
            plan: row.plan.map(|plan| plan.0),
            arms: row.arms.map(|arms| arms.0).unwrap_or_default(),
            step: row.step,
            reason: row.reason,
            created_at: format_rfc3339(row.created_at_us),
            live_at: row.live_at_us.map(format_rfc3339),
        }
    }
}
