//! Deployments: which version serves a task, and how it came to.

use hone_domain::{DeploymentId, DeploymentKind, ProjectId, TaskId};
use sqlx::types::Uuid;

use crate::{Conn, StorageError};

statements! {
    INSERT = "INSERT INTO deployments (id, project_id, task_id, model_version_id, previous_version_id, kind, reason, \
              created_at_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    SERVE = "INSERT INTO serving (task_id, project_id, model_version_id, deployment_id, epoch) VALUES ($1, $2, $3, $4, 1) \
             ON CONFLICT (task_id) DO UPDATE SET model_version_id = excluded.model_version_id, \
             deployment_id = excluded.deployment_id, epoch = serving.epoch + 1";
    LIST = "SELECT id, project_id, task_id, model_version_id, previous_version_id, kind, reason, created_at_us \
            FROM deployments WHERE project_id = $1 AND (task_id = $2 OR $2 IS NULL) \
            AND ((created_at_us, id) < (SELECT created_at_us, id FROM deployments WHERE id = $3) OR $3 IS NULL) \
            ORDER BY created_at_us DESC, id DESC LIMIT $4";
    FIND = "SELECT id, project_id, task_id, model_version_id, previous_version_id, kind, reason, created_at_us \
            FROM deployments WHERE project_id = $1 AND id = $2";
    FIND_SERVING = "SELECT task_id, model_version_id, deployment_id, epoch FROM serving WHERE task_id = $1";
    LIST_SERVING = "SELECT task_id, model_version_id, deployment_id, epoch FROM serving ORDER BY task_id";
}

/// One decision about what serves a task.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Deployment {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// The version that serves from then on.
    pub model_version_id: Uuid,
    /// The version that served before.
    pub previous_version_id: Option<Uuid>,
    /// How it came about.
    #[sqlx(try_from = "String")]
    pub kind: DeploymentKind,
    /// Why, in words.
    pub reason: String,
    /// When.
    pub created_at_us: i64,
}

/// Which version serves a task now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Serving {
    /// The task.
    pub task_id: Uuid,
    /// The version.
    pub model_version_id: Uuid,
    /// The decision behind it.
    pub deployment_id: Uuid,
    /// Rises with every deployment of the task.
    pub epoch: i64,
}

/// Makes a version serve its task and keeps the decision.
pub async fn insert(conn: &mut Conn, deployment: &Deployment) -> Result<(), StorageError> {
    let Deployment {
        id,
        project_id,
        task_id,
        model_version_id,
        previous_version_id,
        reason,
        ..
    } = deployment;
    let kind = deployment.kind.as_str();
    execute!(
        conn,
        INSERT,
        id,
        project_id,
        task_id,
        model_version_id,
        previous_version_id,
        kind,
        reason,
        deployment.created_at_us
    )?;
    execute!(conn, SERVE, task_id, project_id, model_version_id, id)?;
    Ok(())
}

/// Deployments made before `before`, latest first.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    task: Option<TaskId>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Deployment>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        Deployment,
        LIST,
        project.0,
        task.map(|task| task.0),
        before,
        limit
    )?)
}

/// The deployment with this id.
pub async fn find(
    conn: &mut Conn,
    project: ProjectId,
    id: DeploymentId,
) -> Result<Option<Deployment>, StorageError> {
    Ok(rows!(fetch_optional, conn, Deployment, FIND, project.0, id.0)?)
}

/// What serves this task.
pub async fn find_serving(conn: &mut Conn, task: TaskId) -> Result<Option<Serving>, StorageError> {
    Ok(rows!(fetch_optional, conn, Serving, FIND_SERVING, task.0)?)
}

/// What serves each task.
pub async fn list_serving(conn: &mut Conn) -> Result<Vec<Serving>, StorageError> {
    Ok(rows!(fetch_all, conn, Serving, LIST_SERVING)?)
}
