//! Model versions: what is registered, with lineage and stage.

use hone_domain::{ModelVersionId, ProjectId, RunId, Stage, TaskId};
use sqlx::types::{Json, Uuid};

use crate::{Conn, StorageError};

macro_rules! columns {
    () => {
        "id, project_id, task_id, run_id, dataset_id, number, version, stage, artifact_hash, artifact_bytes, \
         dataset_hash, trainer, settings, metrics, code_version, created_at_us"
    };
}

statements! {
    INSERT = concat!("INSERT INTO model_versions (", columns!(), ") VALUES \
            ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (run_id) DO NOTHING");
    FIND = concat!("SELECT ", columns!(), " FROM model_versions WHERE id = $1");
    FIND_BY_RUN = concat!("SELECT ", columns!(), " FROM model_versions WHERE run_id = $1");
    FIND_BY_VERSION = concat!("SELECT ", columns!(), " FROM model_versions WHERE task_id = $1 AND version = $2");
    FIND_LATEST = concat!("SELECT ", columns!(), " FROM model_versions WHERE task_id = $1 ORDER BY number DESC LIMIT 1");
    LIST = concat!("SELECT ", columns!(), " FROM model_versions WHERE project_id = $1 \
            AND (task_id = $2 OR $2 IS NULL) AND (id < $3 OR $3 IS NULL) ORDER BY id DESC LIMIT $4");
    LIST_OF_DATASET = concat!("SELECT ", columns!(), " FROM model_versions WHERE dataset_id = $1 ORDER BY number");
    LIST_BEYOND = "SELECT id FROM model_versions WHERE task_id = $1 AND stage <> 'deprecated' \
                   AND number <= (SELECT MAX(number) FROM model_versions WHERE task_id = $1) - $2";
    SET_STAGE = "UPDATE model_versions SET stage = $2 WHERE id = $1";
}

/// A registered, checksummed model.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ModelVersion {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// The run that made it.
    pub run_id: Uuid,
    /// The dataset it learned from; none for a version that answers through a provider's model.
    pub dataset_id: Option<Uuid>,
    /// How many versions the task had with it, from 1.
    pub number: i64,
    /// Its semantic version.
    pub version: String,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub stage: Stage,
    /// Hash of its artifact.
    pub artifact_hash: String,
    /// Size of its artifact.
    pub artifact_bytes: i64,
    /// Content hash of its dataset.
    pub dataset_hash: Option<String>,
    /// Name of its trainer.
    pub trainer: String,
    /// Settings of its trainer.
    #[sqlx(json)]
    pub settings: serde_json::Value,
    /// Its evaluation on the held-out part.
    #[sqlx(json)]
    pub metrics: serde_json::Value,
    /// Version of the program that made it.
    pub code_version: String,
    /// When it was registered.
    pub created_at_us: i64,
}

/// Registers a version; false when its run has registered one before.
pub async fn insert(conn: &mut Conn, version: &ModelVersion) -> Result<bool, StorageError> {
    let added = execute!(
        conn,
        INSERT,
        version.id,
        version.project_id,
        version.task_id,
        version.run_id,
        version.dataset_id,
        version.number,
        &version.version,
        version.stage.as_str(),
        &version.artifact_hash,
        version.artifact_bytes,
        &version.dataset_hash,
        &version.trainer,
        Json(&version.settings),
        Json(&version.metrics),
        &version.code_version,
        version.created_at_us
    )?;
    Ok(added > 0)
}

/// The version with this id, if there is one.
pub async fn find(conn: &mut Conn, id: ModelVersionId) -> Result<Option<ModelVersion>, StorageError> {
    Ok(rows!(fetch_optional, conn, ModelVersion, FIND, id.0)?)
}

/// The version with this id.
pub async fn get(conn: &mut Conn, id: ModelVersionId) -> Result<ModelVersion, StorageError> {
    find(conn, id).await?.ok_or_else(|| StorageError::Missing {
        noun: "model version",
        id: id.to_string(),
    })
}

/// The version that this run registered.
pub async fn find_by_run(conn: &mut Conn, run: RunId) -> Result<Option<ModelVersion>, StorageError> {
    Ok(rows!(fetch_optional, conn, ModelVersion, FIND_BY_RUN, run.0)?)
}

/// The version of a task with this semantic version.
pub async fn find_by_version(
    conn: &mut Conn,
    task: TaskId,
    version: &str,
) -> Result<Option<ModelVersion>, StorageError> {
    Ok(rows!(
        fetch_optional,
        conn,
        ModelVersion,
        FIND_BY_VERSION,
        task.0,
        version
    )?)
}

/// The version of a task that was registered last.
pub async fn find_latest(conn: &mut Conn, task: TaskId) -> Result<Option<ModelVersion>, StorageError> {
    Ok(rows!(fetch_optional, conn, ModelVersion, FIND_LATEST, task.0)?)
}

/// Versions with a smaller id than `before`, latest first.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    task: Option<TaskId>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ModelVersion>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        ModelVersion,
        LIST,
        project.0,
        task.map(|task| task.0),
        before,
        limit
    )?)
}

/// The versions of a task beyond the newest so many that are not deprecated yet.
pub async fn list_beyond(conn: &mut Conn, task: TaskId, newest: i64) -> Result<Vec<Uuid>, StorageError> {
    let found = rows!(fetch_all, conn, (Uuid,), LIST_BEYOND, task.0, newest)?;
    Ok(found.into_iter().map(|(id,)| id).collect())
}

/// Moves a version to a stage.
pub async fn set_stage(conn: &mut Conn, id: ModelVersionId, stage: Stage) -> Result<(), StorageError> {
    execute!(conn, SET_STAGE, id.0, stage.as_str())?;
    Ok(())
}

/// The versions that learned from a dataset, in order.
pub async fn list_of_dataset(conn: &mut Conn, dataset: Uuid) -> Result<Vec<ModelVersion>, StorageError> {
    Ok(rows!(fetch_all, conn, ModelVersion, LIST_OF_DATASET, dataset)?)
}
