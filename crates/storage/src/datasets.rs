//! Datasets: frozen sets of examples. Their rows lie in the artifact store under their content hash.

use hone_domain::{DatasetId, ProjectId, TaskId};
use sqlx::types::{Json, Uuid};

use crate::{Conn, StorageError};

statements! {
    INSERT = "INSERT INTO datasets (id, project_id, task_id, content_hash, size_bytes, example_count, statistics, \
              created_at_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (task_id, content_hash) DO NOTHING";
    FIND = "SELECT id, project_id, task_id, content_hash, size_bytes, example_count, statistics, created_at_us \
            FROM datasets WHERE project_id = $1 AND id = $2";
    FIND_BY_HASH = "SELECT id, project_id, task_id, content_hash, size_bytes, example_count, statistics, created_at_us \
                    FROM datasets WHERE task_id = $1 AND content_hash = $2";
    LIST = "SELECT id, project_id, task_id, content_hash, size_bytes, example_count, statistics, created_at_us \
            FROM datasets WHERE project_id = $1 AND (task_id = $2 OR $2 IS NULL) \
            AND ((created_at_us, id) < (SELECT created_at_us, id FROM datasets WHERE id = $3) OR $3 IS NULL) \
            ORDER BY created_at_us DESC, id DESC LIMIT $4";
}

/// A frozen set of examples.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Dataset {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// BLAKE3 of its rows, in hexadecimal: the artifact's name.
    pub content_hash: String,
    /// Size of the artifact.
    pub size_bytes: i64,
    /// Number of examples.
    pub example_count: i64,
    /// Counts by part and label.
    #[sqlx(json)]
    pub statistics: serde_json::Value,
    /// When it was frozen.
    pub created_at_us: i64,
}

/// Adds a dataset; gives the one that is stored, which is an earlier one when its contents are the same.
pub async fn insert(conn: &mut Conn, dataset: &Dataset) -> Result<Dataset, StorageError> {
    let Dataset {
        id,
        project_id,
        task_id,
        content_hash,
        size_bytes,
        example_count,
        statistics,
        created_at_us,
    } = dataset;
    execute!(
        conn,
        INSERT,
        id,
        project_id,
        task_id,
        content_hash,
        size_bytes,
        example_count,
        Json(statistics),
        created_at_us
    )?;
    Ok(rows!(
        fetch_one,
        conn,
        Dataset,
        FIND_BY_HASH,
        task_id,
        content_hash
    )?)
}

/// The dataset with this id.
pub async fn find(
    conn: &mut Conn,
    project: ProjectId,
    id: DatasetId,
) -> Result<Option<Dataset>, StorageError> {
    Ok(rows!(fetch_optional, conn, Dataset, FIND, project.0, id.0)?)
}

/// Datasets made before `before`, latest first.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    task: Option<TaskId>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Dataset>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        Dataset,
        LIST,
        project.0,
        task.map(|task| task.0),
        before,
        limit
    )?)
}
