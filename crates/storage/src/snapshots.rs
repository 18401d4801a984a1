//! Metrics of a task, frozen for a period.

use hone_domain::{ProjectId, SnapshotPeriod, TaskId};
use sqlx::types::{Json, Uuid};

use crate::{Conn, StorageError};

macro_rules! columns {
    () => {
        "id, project_id, task_id, period, from_us, to_us, body, created_at_us"
    };
}

statements! {
    INSERT = concat!("INSERT INTO snapshots (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (task_id, period, from_us, to_us) DO NOTHING");
    LAST_END = "SELECT MAX(to_us) FROM snapshots WHERE task_id = $1 AND period = $2";
    FIND = concat!("SELECT ", columns!(), " FROM snapshots WHERE project_id = $1 AND id = $2");
    LIST = concat!("SELECT ", columns!(), " FROM snapshots WHERE project_id = $1 AND (task_id = $2 OR $2 IS NULL) \
           AND (period = $3 OR $3 IS NULL) AND (created_at_us, id) < ($4, $5) \
           ORDER BY created_at_us DESC, id DESC LIMIT $6");
    PLACE = "SELECT created_at_us, id FROM snapshots WHERE project_id = $1 AND id = $2";
}

/// A task's metrics of a period.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Snapshot {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// How long the period is.
    #[sqlx(try_from = "String")]
    pub period: SnapshotPeriod,
    /// First moment of the period.
    pub from_us: i64,
    /// The moment after it.
    pub to_us: i64,
    /// The metrics.
    #[sqlx(json)]
    pub body: serde_json::Value,
    /// When it was taken.
    pub created_at_us: i64,
}

/// Keeps a snapshot; false when there is one of the same period.
pub async fn insert(conn: &mut Conn, snapshot: &Snapshot) -> Result<bool, StorageError> {
    let Snapshot {
        id,
        project_id,
        task_id,
        from_us,
        to_us,
        created_at_us,
        ..
    } = snapshot;
    let inserted = execute!(
        conn,
        INSERT,
        id,
        project_id,
        task_id,
        snapshot.period.as_str(),
        from_us,
        to_us,
        Json(&snapshot.body),
        created_at_us
    )?;
    Ok(inserted > 0)
}

/// Until when snapshots of this period reach.
pub async fn find_last_end(
    conn: &mut Conn,
    task: TaskId,
    period: SnapshotPeriod,
) -> Result<Option<i64>, StorageError> {
    let (end_us,) = rows!(fetch_one, conn, (Option<i64>,), LAST_END, task.0, period.as_str())?;
    Ok(end_us)
}

/// The snapshot with this id.
pub async fn find(conn: &mut Conn, project: ProjectId, id: Uuid) -> Result<Option<Snapshot>, StorageError> {
    Ok(rows!(fetch_optional, conn, Snapshot, FIND, project.0, id)?)
}

/// Snapshots taken before `before`, latest first. An id that is not there gives an empty list.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    task: Option<TaskId>,
    period: Option<SnapshotPeriod>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Snapshot>, StorageError> {
    let place = match before {
        None => Some(crate::AFTER_ALL),
        Some(id) => rows!(fetch_optional, conn, (i64, Uuid), PLACE, project.0, id)?,
    };
    let Some((before_us, before_id)) = place else {
        return Ok(Vec::new());
    };
    let (task, period) = (task.map(|task| task.0), period.map(SnapshotPeriod::as_str));
    Ok(rows!(
        fetch_all, conn, Snapshot, LIST, project.0, task, period, before_us, before_id, limit
    )?)
}
