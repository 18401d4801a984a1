//! Training runs: dataset, trainer and settings in, a model version and its evaluation out.

use hone_domain::{ProjectId, RunId, RunStatus, TaskId, TrainingTrigger};
use sqlx::types::{Json, Uuid};

use crate::{Conn, StorageError};

macro_rules! columns {
    () => {
        "id, project_id, task_id, reason, status, trainer, settings, seed, dataset_id, artifact_hash, artifact_bytes, \
         baseline_version_id, model_version_id, metrics, baseline_metrics, decision, error, created_at_us, \
         started_at_us, finished_at_us, search"
    };
}

statements! {
    INSERT = "INSERT INTO runs (id, project_id, task_id, reason, status, trainer, settings, seed, created_at_us) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    FIND = concat!("SELECT ", columns!(), " FROM runs WHERE id = $1");
    LIST = concat!("SELECT ", columns!(), " FROM runs WHERE project_id = $1 AND (task_id = $2 OR $2 IS NULL) \
            AND ((created_at_us, id) < (SELECT created_at_us, id FROM runs WHERE id = $3) OR $3 IS NULL) \
            ORDER BY created_at_us DESC, id DESC LIMIT $4");
    LIST_DECIDED = "SELECT model_version_id, decision, finished_at_us FROM runs WHERE task_id = $1 \
                    AND decision IS NOT NULL AND finished_at_us IS NOT NULL ORDER BY finished_at_us DESC, id DESC LIMIT $2";
    COUNT_UNFINISHED = "SELECT COUNT(*) FROM runs WHERE task_id = $1 AND status IN ('queued', 'running')";
    UPDATE = "UPDATE runs SET status = $2, dataset_id = $3, artifact_hash = $4, artifact_bytes = $5, \
              baseline_version_id = $6, model_version_id = $7, metrics = $8, baseline_metrics = $9, decision = $10, \
              error = $11, started_at_us = $12, finished_at_us = $13, search = $14 WHERE id = $1";
    LOCK = "UPDATE runs SET status = status WHERE id = $1";
}

/// One training run.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Run {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// Why it was started.
    #[sqlx(try_from = "String")]
    pub reason: TrainingTrigger,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub status: RunStatus,
    /// Name of the trainer.
    pub trainer: String,
    /// Settings of the trainer.
    #[sqlx(json)]
    pub settings: serde_json::Value,
    /// Seed of everything random.
    pub seed: i64,
    /// The dataset it learned from.
    pub dataset_id: Option<Uuid>,
    /// Hash of the artifact it made.
    pub artifact_hash: Option<String>,
    /// Size of the artifact it made.
    pub artifact_bytes: Option<i64>,
    /// The version that served when it was evaluated.
    pub baseline_version_id: Option<Uuid>,
    /// The version it registered.
    pub model_version_id: Option<Uuid>,
    /// Evaluation of what it made, on the held-out part.
    pub metrics: Option<Json<serde_json::Value>>,
    /// Evaluation of the baseline, on the same rows.
    pub baseline_metrics: Option<Json<serde_json::Value>>,
    /// The gate's decision with its numbers and reasons.
    pub decision: Option<Json<serde_json::Value>>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at_us: i64,
    /// When work began.
    pub started_at_us: Option<i64>,
    /// When it ended.
    pub finished_at_us: Option<i64>,
    /// What was tried, where settings were searched for.
    pub search: Option<Json<serde_json::Value>>,
}

/// Adds a run that waits for a worker.
pub async fn insert(conn: &mut Conn, run: &Run) -> Result<(), StorageError> {
    let (reason, status) = (run.reason.as_str(), run.status.as_str());
    let Run {
        id,
        project_id,
        task_id,
        trainer,
        settings,
        seed,
        created_at_us,
        ..
    } = run;
    execute!(
        conn,
        INSERT,
        id,
        project_id,
        task_id,
        reason,
        status,
        trainer,
        Json(settings),
        seed,
        created_at_us
    )?;
    Ok(())
}

/// The run with this id, if there is one.
pub async fn find(conn: &mut Conn, id: RunId) -> Result<Option<Run>, StorageError> {
    Ok(rows!(fetch_optional, conn, Run, FIND, id.0)?)
}

/// The run with this id.
pub async fn get(conn: &mut Conn, id: RunId) -> Result<Run, StorageError> {
    find(conn, id).await?.ok_or_else(|| StorageError::Missing {
        noun: "run",
        id: id.to_string(),
    })
}

/// The run with this id, which nobody else changes until the transaction ends.
pub async fn get_locked(conn: &mut Conn, id: RunId) -> Result<Run, StorageError> {
    execute!(conn, LOCK, id.0)?;
    get(conn, id).await
}

/// Runs made before `before`, latest first.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    task: Option<TaskId>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Run>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        Run,
        LIST,
        project.0,
        task.map(|task| task.0),
        before,
        limit
    )?)
}

/// What the gate decided of one run.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Decided {
    /// The version that the run registered.
    pub model_version_id: Option<Uuid>,
    /// The decision with its numbers and reasons.
    #[sqlx(json)]
    pub decision: serde_json::Value,
    /// When it was decided.
    pub finished_at_us: i64,
}

/// The decisions on the runs of a task, latest first; without the evaluations, which are long.
pub async fn list_decided(conn: &mut Conn, task: TaskId, limit: i64) -> Result<Vec<Decided>, StorageError> {
    Ok(rows!(fetch_all, conn, Decided, LIST_DECIDED, task.0, limit)?)
}

/// How many runs of a task wait or work.
pub async fn count_unfinished(conn: &mut Conn, task: TaskId) -> Result<i64, StorageError> {
    let (count,): (i64,) = rows!(fetch_one, conn, (i64,), COUNT_UNFINISHED, task.0)?;
    Ok(count)
}

/// Stores what changes of a run while it works.
pub async fn update(conn: &mut Conn, run: &Run) -> Result<(), StorageError> {
    execute!(
        conn,
        UPDATE,
        run.id,
        run.status.as_str(),
        run.dataset_id,
        &run.artifact_hash,
        run.artifact_bytes,
        run.baseline_version_id,
        run.model_version_id,
        &run.metrics,
        &run.baseline_metrics,
        &run.decision,
        &run.error,
        run.started_at_us,
        run.finished_at_us,
        &run.search
    )?;
    Ok(())
}
