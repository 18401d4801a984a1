//! Deployments: which versions serve a task, how they share its traffic, and everything that happened to a deployment.

use hone_domain::{
    ArmShare, DeploymentEvent, DeploymentId, DeploymentKind, DeploymentPlan, DeploymentState, ProjectId,
    Sharing, TaskId,
};
use sqlx::types::{Json, Uuid};

use crate::{Conn, StorageError};

macro_rules! columns {
    () => {
        "id, project_id, task_id, model_version_id, previous_version_id, kind, reason, created_at_us, state, plan, arms, \
         step, step_at_us, turn, look, live_at_us, live_epoch"
    };
}

statements! {
    INSERT = concat!("INSERT INTO deployments (", columns!(), ") VALUES \
            ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)");
    UPDATE = "UPDATE deployments SET model_version_id = $2, state = $3, arms = $4, step = $5, step_at_us = $6, look = $7, \
              live_at_us = $8, previous_version_id = $9, live_epoch = $10 WHERE id = $1";
    SERVE = "INSERT INTO serving (task_id, project_id, model_version_id, deployment_id, sharing, epoch) \
             VALUES ($1, $2, $3, $4, $5, 1) \
             ON CONFLICT (task_id) DO UPDATE SET model_version_id = excluded.model_version_id, \
             deployment_id = excluded.deployment_id, sharing = excluded.sharing, epoch = serving.epoch + 1";
    LIST = concat!("SELECT ", columns!(), " FROM deployments WHERE project_id = $1 AND (task_id = $2 OR $2 IS NULL) \
            AND ((created_at_us, id) < (SELECT created_at_us, id FROM deployments WHERE id = $3) OR $3 IS NULL) \
            ORDER BY created_at_us DESC, id DESC LIMIT $4");
    LIST_LIVE = concat!("SELECT ", columns!(), " FROM deployments WHERE task_id = $1 AND live_epoch IS NOT NULL \
            AND (live_epoch < $2 OR $2 IS NULL) ORDER BY live_epoch DESC LIMIT $3");
    LIST_SHARING = concat!("SELECT ", columns!(), " FROM deployments WHERE project_id = $1 \
            AND state IN ('running', 'paused') ORDER BY id");
    FIND = concat!("SELECT ", columns!(), " FROM deployments WHERE project_id = $1 AND id = $2");
    FIND_SHARING = concat!("SELECT ", columns!(), " FROM deployments WHERE task_id = $1 AND state IN ('running', 'paused')");
    COUNT_TURNS = "SELECT COUNT(*) FROM deployments WHERE task_id = $1 AND turn > 0";
    FIND_SERVING = "SELECT task_id, model_version_id, deployment_id, sharing, epoch FROM serving WHERE task_id = $1";
    LIST_SERVING = "SELECT task_id, model_version_id, deployment_id, sharing, epoch FROM serving ORDER BY task_id";
    INSERT_EVENT = "INSERT INTO deployment_events (id, project_id, task_id, deployment_id, event, state, step, reason, \
                    created_at_us, number) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, COUNT(*) + 1 \
                    FROM deployment_events WHERE deployment_id = $4";
    LIST_EVENTS = "SELECT id, project_id, task_id, deployment_id, event, state, step, reason, created_at_us \
                   FROM deployment_events WHERE deployment_id = $1 ORDER BY number";
}

/// One decision about what serves a task, and what became of it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Deployment {
    /// Its id; also what its traffic is divided by, so that each deployment divides it anew.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// The version that it is about; of several, the first one, and the one that won in the end.
    pub model_version_id: Uuid,
    /// The version that served before.
    pub previous_version_id: Option<Uuid>,
    /// How it came about.
    #[sqlx(try_from = "String")]
    pub kind: DeploymentKind,
    /// Why, in words.
    pub reason: String,
    /// When it was asked for.
    pub created_at_us: i64,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: DeploymentState,
    /// How its versions come to serve; all at once where absent.
    pub plan: Option<Json<DeploymentPlan>>,
    /// The new versions with their present shares of the traffic.
    pub arms: Option<Json<Vec<ArmShare>>>,
    /// The present step, from 0.
    pub step: i64,
    /// When that step began.
    pub step_at_us: i64,
    /// Its number among the deployments of the task that were decided on live traffic, from 1; 0 for others.
    pub turn: i64,
    /// What the last look at its outcomes said.
    pub look: Option<Json<serde_json::Value>>,
    /// When its version came to serve everything.
    pub live_at_us: Option<i64>,
    /// The epoch of its task at which that was: the order that no clock disturbs.
    pub live_epoch: Option<i64>,
}

impl Deployment {
    /// The new versions with their shares of the traffic; none where it went live all at once.
    pub fn arms(&self) -> &[ArmShare] {
        self.arms.as_ref().map_or(&[], |arms| arms.0.as_slice())
    }
}

/// Which version serves a task now.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Serving {
    /// The task.
    pub task_id: Uuid,
    /// The version.
    pub model_version_id: Uuid,
    /// The decision behind it.
    pub deployment_id: Uuid,
    /// The deployment that shares the traffic with it, if one does.
    pub sharing: Option<Json<Sharing>>,
    /// Rises with every change of what serves the task.
    pub epoch: i64,
}

/// Something that happened to a deployment.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct EventRow {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// Its deployment.
    pub deployment_id: Uuid,
    /// What happened.
    #[sqlx(try_from = "String")]
    pub event: DeploymentEvent,
    /// Where the deployment stood afterwards.
    #[sqlx(try_from = "String")]
    pub state: DeploymentState,
    /// The step it was in afterwards.
    pub step: i64,
    /// Why, in words.
    pub reason: String,
    /// When.
    pub created_at_us: i64,
}

/// Keeps a decision.
pub async fn insert(conn: &mut Conn, deployment: &Deployment) -> Result<(), StorageError> {
    execute!(
        conn,
        INSERT,
        deployment.id,
        deployment.project_id,
        deployment.task_id,
        deployment.model_version_id,
        deployment.previous_version_id,
        deployment.kind.as_str(),
        &deployment.reason,
        deployment.created_at_us,
        deployment.state.as_str(),
        deployment.plan.as_ref(),
        deployment.arms.as_ref(),
        deployment.step,
        deployment.step_at_us,
        deployment.turn,
        deployment.look.as_ref(),
        deployment.live_at_us,
        deployment.live_epoch
    )?;
    Ok(())
}

/// Writes what may change of a decision.
pub async fn update(conn: &mut Conn, deployment: &Deployment) -> Result<(), StorageError> {
    execute!(
        conn,
        UPDATE,
        deployment.id,
        deployment.model_version_id,
        deployment.state.as_str(),
        deployment.arms.as_ref(),
        deployment.step,
        deployment.step_at_us,
        deployment.look.as_ref(),
        deployment.live_at_us,
        deployment.previous_version_id,
        deployment.live_epoch
    )?;
    Ok(())
}

/// Makes a version serve a task, with what shares its traffic; its epoch is counted here.
pub async fn serve(
    conn: &mut Conn,
    project: ProjectId,
    task: TaskId,
    version: Uuid,
    deployment: Uuid,
    sharing: Option<&Sharing>,
) -> Result<(), StorageError> {
    execute!(
        conn,
        SERVE,
        task.0,
        project.0,
        version,
        deployment,
        sharing.map(Json)
    )?;
    Ok(())
}

/// Deployments asked for before `before`, latest first.
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

/// Deployments of a task that went live before this epoch, latest first.
pub async fn list_live(
    conn: &mut Conn,
    task: TaskId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Deployment>, StorageError> {
    Ok(rows!(
        fetch_all, conn, Deployment, LIST_LIVE, task.0, before, limit
    )?)
}

/// The deployments of a project that share traffic.
pub async fn list_sharing(conn: &mut Conn, project: ProjectId) -> Result<Vec<Deployment>, StorageError> {
    Ok(rows!(fetch_all, conn, Deployment, LIST_SHARING, project.0)?)
}

/// The deployment with this id.
pub async fn find(
    conn: &mut Conn,
    project: ProjectId,
    id: DeploymentId,
) -> Result<Option<Deployment>, StorageError> {
    Ok(rows!(fetch_optional, conn, Deployment, FIND, project.0, id.0)?)
}

/// The deployment that shares a task's traffic.
pub async fn find_sharing(conn: &mut Conn, task: TaskId) -> Result<Option<Deployment>, StorageError> {
    Ok(rows!(fetch_optional, conn, Deployment, FIND_SHARING, task.0)?)
}

/// How many deployments of a task were decided on live traffic, or are being.
pub async fn count_turns(conn: &mut Conn, task: TaskId) -> Result<i64, StorageError> {
    let (count,): (i64,) = rows!(fetch_one, conn, (i64,), COUNT_TURNS, task.0)?;
    Ok(count)
}

/// What serves this task.
pub async fn find_serving(conn: &mut Conn, task: TaskId) -> Result<Option<Serving>, StorageError> {
    Ok(rows!(fetch_optional, conn, Serving, FIND_SERVING, task.0)?)
}

/// What serves each task.
pub async fn list_serving(conn: &mut Conn) -> Result<Vec<Serving>, StorageError> {
    Ok(rows!(fetch_all, conn, Serving, LIST_SERVING)?)
}

/// Keeps what happened to a deployment, after everything before. Called under the task's lock.
pub async fn insert_event(conn: &mut Conn, event: &EventRow) -> Result<(), StorageError> {
    execute!(
        conn,
        INSERT_EVENT,
        event.id,
        event.project_id,
        event.task_id,
        event.deployment_id,
        event.event.as_str(),
        event.state.as_str(),
        event.step,
        &event.reason,
        event.created_at_us
    )?;
    Ok(())
}

/// What happened to a deployment, in order.
pub async fn list_events(conn: &mut Conn, deployment: DeploymentId) -> Result<Vec<EventRow>, StorageError> {
    Ok(rows!(fetch_all, conn, EventRow, LIST_EVENTS, deployment.0)?)
}
