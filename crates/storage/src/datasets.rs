//! Datasets: frozen sets of examples. Their rows lie in the artifact store under their content hash.

use hone_domain::{DatasetId, ProjectId, TaskId};
use sqlx::types::{Json, Uuid};

use crate::{Conn, StorageError};

statements! {
    INSERT = "INSERT INTO datasets (id, project_id, task_id, content_hash, size_bytes, example_count, statistics, \
              created_at_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (task_id, content_hash) DO NOTHING";
    FIND = "SELECT id, project_id, task_id, content_hash, size_bytes, example_count, statistics, created_at_us \
            FROM datasets WHERE project_id = $1 AND id = $2";
    FIND_ANYWHERE = "SELECT id, project_id, task_id, content_hash, size_bytes, example_count, statistics, created_at_us \
            FROM datasets WHERE id = $1";
    FIND_BY_HASH = "SELECT id, project_id, task_id, content_hash, size_bytes, example_count, statistics, created_at_us \
                    FROM datasets WHERE task_id = $1 AND content_hash = $2";
    LIST = "SELECT id, project_id, task_id, content_hash, size_bytes, example_count, statistics, created_at_us \
            FROM datasets WHERE project_id = $1 AND (task_id = $2 OR $2 IS NULL) \
            AND ((created_at_us, id) < (SELECT created_at_us, id FROM datasets WHERE id = $3) OR $3 IS NULL) \
            AND (id IN (SELECT dataset_id FROM dataset_tags WHERE project_id = $1 AND tag = $4) OR $4 IS NULL) \
            ORDER BY created_at_us DESC, id DESC LIMIT $5";
    ADD_TAG = "INSERT INTO dataset_tags (dataset_id, tag, project_id, created_at_us) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (dataset_id, tag) DO NOTHING";
    REMOVE_TAG = "DELETE FROM dataset_tags WHERE dataset_id = $1 AND tag = $2";
    LIST_TAGS = "SELECT tag FROM dataset_tags WHERE dataset_id = $1 ORDER BY tag";
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

/// The dataset with this id, whichever project it belongs to: whether an id is free.
pub async fn find_anywhere(conn: &mut Conn, id: DatasetId) -> Result<Option<Dataset>, StorageError> {
    Ok(rows!(fetch_optional, conn, Dataset, FIND_ANYWHERE, id.0)?)
}

/// Datasets made before `before`, latest first; those with a tag or all.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    task: Option<TaskId>,
    tag: Option<&str>,
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
        tag,
        limit
    )?)
}

/// Gives a dataset a tag; one that it has stays.
pub async fn add_tag(conn: &mut Conn, dataset: &Dataset, tag: &str, now_us: i64) -> Result<(), StorageError> {
    execute!(conn, ADD_TAG, dataset.id, tag, dataset.project_id, now_us)?;
    Ok(())
}

/// Takes a tag off a dataset; false when it has none such.
pub async fn remove_tag(conn: &mut Conn, dataset: &Dataset, tag: &str) -> Result<bool, StorageError> {
    Ok(execute!(conn, REMOVE_TAG, dataset.id, tag)? > 0)
}

/// The tags of a dataset.
pub async fn list_tags(conn: &mut Conn, dataset: Uuid) -> Result<Vec<String>, StorageError> {
    let found = rows!(fetch_all, conn, (String,), LIST_TAGS, dataset)?;
    Ok(found.into_iter().map(|(tag,)| tag).collect())
}
