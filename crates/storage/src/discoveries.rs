//! What was found among the requests of a task, one row each time that somebody looked.

use hone_domain::TaskId;
use sqlx::types::Uuid;

use crate::{Conn, StorageError, StoredText};

statements! {
    INSERT = "INSERT INTO discoveries (id, project_id, task_id, result, created_at_us) VALUES ($1, $2, $3, $4, $5)";
    FIND_LATEST = "SELECT id, project_id, task_id, result, created_at_us FROM discoveries WHERE task_id = $1 \
                   ORDER BY created_at_us DESC, id DESC LIMIT 1";
    DELETE_OLD = "DELETE FROM discoveries WHERE task_id = $1 AND id NOT IN (SELECT id FROM discoveries \
                  WHERE task_id = $1 ORDER BY created_at_us DESC, id DESC LIMIT 10)";
}

/// What was found.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Discovery {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// What was found, as JSON.
    #[sqlx(try_from = "Vec<u8>")]
    pub result: StoredText,
    /// When.
    pub created_at_us: i64,
}

/// Adds what was found; the latest ten of a task are kept.
pub async fn insert(conn: &mut Conn, discovery: &Discovery) -> Result<(), StorageError> {
    let Discovery {
        id,
        project_id,
        task_id,
        created_at_us,
        ..
    } = discovery;
    let result = StoredText::encode(&discovery.result.0);
    execute!(
        conn,
        INSERT,
        id,
        project_id,
        task_id,
        result.clone(),
        created_at_us
    )?;
    execute!(conn, DELETE_OLD, task_id)?;
    Ok(())
}

/// What was found last.
pub async fn find_latest(conn: &mut Conn, task: TaskId) -> Result<Option<Discovery>, StorageError> {
    Ok(rows!(fetch_optional, conn, Discovery, FIND_LATEST, task.0)?)
}
