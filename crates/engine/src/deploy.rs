//! Deployment: which version serves a task. Every decision is a new row; going back is one step.

use hone_domain::{DeploymentId, DeploymentKind, ModelVersionId, ProjectId, Stage, TaskId};
use hone_storage::deployments::{self, Deployment};
use hone_storage::tasks::Task;
use hone_storage::versions::{self, ModelVersion};
use hone_storage::{Conn, tasks};

use crate::{Engine, EngineError};

/// Deployments looked at in one go.
const HISTORY: i64 = 50;

/// What to make serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeployRequest {
    /// This version.
    Version(String),
    /// The version that served before the one that serves now, or this earlier one.
    Rollback(Option<String>),
}

impl Engine {
    /// Makes a version serve by hand, or goes back to an earlier one. The version's artifact is loaded first: one that
    /// is damaged never serves. A decision with the id that is asked for is not made twice.
    pub async fn deploy(
        &self,
        project: ProjectId,
        task_name: &str,
        request: &DeployRequest,
        reason: &str,
        id: Option<DeploymentId>,
    ) -> Result<Deployment, EngineError> {
        let mut conn = self.db.read().await?;
        if let Some(id) = id
            && let Some(earlier) = deployments::find(&mut conn, project, id).await?
        {
            return repeated(&mut conn, earlier, task_name, request).await;
        }
        let found = tasks::find_by_name(&mut conn, project, task_name).await?;
        let task = found.ok_or_else(|| EngineError::NotFound {
            noun: "task",
            id: task_name.to_owned(),
        })?;
        let version = wanted_version(&mut conn, &task, request).await?;
        drop(conn);
        self.load_model(&version).await?;
        let kind = match request {
            DeployRequest::Version(_) => DeploymentKind::Manual,
            DeployRequest::Rollback(_) => DeploymentKind::Rollback,
        };
        let mut conn = self.db.begin().await?;
        tasks::lock(&mut conn, task.task_id()).await?;
        // Another request may have been faster, perhaps this one sent twice.
        if let Some(id) = id
            && let Some(earlier) = deployments::find(&mut conn, project, id).await?
        {
            return repeated(&mut conn, earlier, task_name, request).await;
        }
        if wanted_version(&mut conn, &task, request).await?.id != version.id {
            return Err(EngineError::Conflict(format!(
                "another deployment of task \"{task_name}\" came between; look at what serves and try again"
            )));
        }
        let id = id.unwrap_or_else(|| self.ids.next());
        let deployment = self
            .deploy_in(&mut conn, &task, &version, kind, reason, id)
            .await?;
        conn.commit().await?;
        if let Err(error) = self.refresh_router().await {
            tracing::warn!(%error, "deployed, but not loaded here yet");
        }
        Ok(deployment)
    }

    /// Makes a version serve in the caller's transaction.
    pub(crate) async fn deploy_in(
        &self,
        conn: &mut Conn,
        task: &Task,
        version: &ModelVersion,
        kind: DeploymentKind,
        reason: &str,
        id: DeploymentId,
    ) -> Result<Deployment, EngineError> {
        tasks::lock(conn, task.task_id()).await?;
        let serving = deployments::find_serving(conn, task.task_id()).await?;
        let previous = serving.map(|serving| serving.model_version_id);
        if previous == Some(version.id) {
            return Err(EngineError::Conflict(format!(
                "version {} serves task \"{}\" already",
                version.version, task.name
            )));
        }
        if let Some(previous) = previous {
            versions::set_stage(conn, ModelVersionId(previous), Stage::Retired).await?;
        }
        versions::set_stage(conn, ModelVersionId(version.id), Stage::Live).await?;
        let deployment = Deployment {
            id: id.0,
            project_id: task.project_id,
            task_id: task.id,
            model_version_id: version.id,
            previous_version_id: previous,
            kind,
            reason: reason.to_owned(),
            created_at_us: self.ids.now_us(),
        };
        deployments::insert(conn, &deployment).await?;
        Ok(deployment)
    }
}

/// A decision that was made before, if it answers this request.
async fn repeated(
    conn: &mut Conn,
    earlier: Deployment,
    task_name: &str,
    request: &DeployRequest,
) -> Result<Deployment, EngineError> {
    let task = tasks::get(conn, TaskId(earlier.task_id)).await?;
    let version = versions::get(conn, ModelVersionId(earlier.model_version_id)).await?;
    let same_version = match request {
        DeployRequest::Version(name) | DeployRequest::Rollback(Some(name)) => {
            name.trim_start_matches('v') == version.version
        }
        DeployRequest::Rollback(None) => true,
    };
    let same_kind =
        (earlier.kind == DeploymentKind::Rollback) == matches!(request, DeployRequest::Rollback(_));
    if task.name == task_name && same_version && same_kind {
        Ok(earlier)
    } else {
        Err(EngineError::id_is_taken("deployment", earlier.id))
    }
}

async fn wanted_version(
    conn: &mut Conn,
    task: &Task,
    request: &DeployRequest,
) -> Result<ModelVersion, EngineError> {
    let (DeployRequest::Version(name) | DeployRequest::Rollback(Some(name))) = request else {
        return previous_version(conn, task).await;
    };
    let found = versions::find_by_version(conn, task.task_id(), name.trim_start_matches('v')).await?;
    found.ok_or_else(|| EngineError::NotFound {
        noun: "model version",
        id: format!("{}/{name}", task.name),
    })
}

/// The version to go back to: below the one that serves on the stack that the task's deployments make. A rollback takes off
/// what it leaves, so that a second one goes further back and never forward again.
async fn previous_version(conn: &mut Conn, task: &Task) -> Result<ModelVersion, EngineError> {
    let nothing = || {
        EngineError::Conflict(format!(
            "task \"{}\" has no earlier version to go back to; name a version to deploy another one",
            task.name
        ))
    };
    let mut history: Vec<Deployment> = Vec::new();
    loop {
        let before = history.last().map(|deployment| deployment.id);
        let page = deployments::list(conn, task.project(), Some(task.task_id()), before, HISTORY).await?;
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
    let previous = stack.iter().rev().nth(1).copied().ok_or_else(nothing)?;
    Ok(versions::get(conn, ModelVersionId(previous)).await?)
}
