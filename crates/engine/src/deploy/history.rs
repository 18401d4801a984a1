//! Going back: which version served before the one that serves.

use hone_domain::{DeploymentKind, ModelVersionId, Stage};
use hone_storage::Conn;
use hone_storage::deployments::{self, Deployment};
use hone_storage::tasks::Task;
use hone_storage::versions::{self, ModelVersion};

use crate::EngineError;

/// Deployments looked at in one go.
const HISTORY: i64 = 50;

/// The version to go back to: below the one that serves on the stack that the task's deployments make, deprecated ones left out. A
/// rollback takes off what it leaves, so that a second one goes further back and never forward again.
pub(super) async fn previous_version(conn: &mut Conn, task: &Task) -> Result<ModelVersion, EngineError> {
    let mut history: Vec<Deployment> = Vec::new();
    loop {
        let before = history.last().and_then(|deployment| deployment.live_epoch);
        let page = deployments::list_live(conn, task.task_id(), before, HISTORY).await?;
        if page.is_empty() {
            break;
        }
        history.extend(page);
    }
    let mut stack = Vec::new();
    for deployment in history.iter().rev() {
        let version = deployment.model_version_id;
        let earlier = stack.iter().rposition(|&below| below == version);
        match earlier {
            Some(position) if deployment.kind == DeploymentKind::Rollback => stack.truncate(position + 1),
            _ => stack.push(version),
        }
    }
    for id in stack.into_iter().rev().skip(1) {
        let version = versions::get(conn, ModelVersionId(id)).await?;
        if version.stage != Stage::Deprecated {
            return Ok(version);
        }
    }
    Err(EngineError::Conflict(format!(
        "task \"{}\" has no earlier version to go back to; name a version to deploy another one",
        task.name
    )))
}
