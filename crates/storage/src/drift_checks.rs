//! What was found when requests since the last training were compared with those before it.

use hone_domain::TaskId;
use sqlx::types::Uuid;

use crate::{Conn, StorageError, StoredText};

statements! {
    INSERT = "INSERT INTO drift_checks (id, project_id, task_id, report, created_at_us) VALUES ($1, $2, $3, $4, $5)";
    LIST = "SELECT id, project_id, task_id, report, created_at_us FROM drift_checks WHERE task_id = $1 \
            ORDER BY created_at_us DESC, id DESC LIMIT $2";
    DELETE_OLD = "DELETE FROM drift_checks WHERE task_id = $1 AND id NOT IN (SELECT id FROM drift_checks \
                  WHERE task_id = $1 ORDER BY created_at_us DESC, id DESC LIMIT 100)";
}

/// One comparison.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DriftCheck {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// What was found, as JSON.
    #[sqlx(try_from = "Vec<u8>")]
    pub report: StoredText,
    /// When.
    pub created_at_us: i64,
}

/// Adds a comparison; the latest hundred of a task are kept.
pub async fn insert(conn: &mut Conn, check: &DriftCheck) -> Result<(), StorageError> {
    let report = StoredText::encode(&check.report.0);
    execute!(
        conn,
        INSERT,
        check.id,
        check.project_id,
        check.task_id,
        report.clone(),
        check.created_at_us
    )?;
    execute!(conn, DELETE_OLD, check.task_id)?;
    Ok(())
}

/// The latest comparisons of a task, latest first.
pub async fn list(conn: &mut Conn, task: TaskId, limit: i64) -> Result<Vec<DriftCheck>, StorageError> {
    Ok(rows!(fetch_all, conn, DriftCheck, LIST, task.0, limit)?)
}
