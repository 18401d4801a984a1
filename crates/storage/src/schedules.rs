//! Schedules: jobs that are enqueued by the clock.

use hone_domain::ProjectId;
use sqlx::types::{Json, Uuid};

use crate::{Conn, StorageError};

statements! {
    UPSERT = "INSERT INTO schedules (id, project_id, name, cron, kind, payload, paused, next_at_us) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (project_id, name) DO NOTHING";
    LIST_DUE = "SELECT id, project_id, name, cron, kind, payload, paused, next_at_us FROM schedules \
                WHERE next_at_us <= $1 AND NOT paused ORDER BY next_at_us";
    LIST = "SELECT id, project_id, name, cron, kind, payload, paused, next_at_us FROM schedules \
            WHERE project_id = $1 ORDER BY name";
    ADVANCE = "UPDATE schedules SET next_at_us = $2 WHERE id = $1 AND next_at_us = $3";
}

/// A job that is enqueued by the clock.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Schedule {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its name, unique in the project.
    pub name: String,
    /// When, as a cron expression in UTC.
    pub cron: String,
    /// Kind of the job.
    pub kind: String,
    /// Payload of the job.
    #[sqlx(json)]
    pub payload: serde_json::Value,
    /// Whether it rests.
    pub paused: bool,
    /// When it is due next.
    pub next_at_us: i64,
}

/// Adds a schedule unless one with its name is there.
pub async fn insert(conn: &mut Conn, schedule: &Schedule) -> Result<bool, StorageError> {
    let Schedule {
        id,
        project_id,
        name,
        cron,
        kind,
        payload,
        paused,
        next_at_us,
    } = schedule;
    Ok(execute!(
        conn,
        UPSERT,
        id,
        project_id,
        name,
        cron,
        kind,
        Json(payload),
        paused,
        next_at_us
    )? > 0)
}

/// Schedules that are due.
pub async fn list_due(conn: &mut Conn, now_us: i64) -> Result<Vec<Schedule>, StorageError> {
    Ok(rows!(fetch_all, conn, Schedule, LIST_DUE, now_us)?)
}

/// All schedules of a project.
pub async fn list(conn: &mut Conn, project: ProjectId) -> Result<Vec<Schedule>, StorageError> {
    Ok(rows!(fetch_all, conn, Schedule, LIST, project.0)?)
}

/// Moves a schedule on; false when someone else has done so.
pub async fn advance(conn: &mut Conn, schedule: &Schedule, next_at_us: i64) -> Result<bool, StorageError> {
    Ok(execute!(conn, ADVANCE, schedule.id, next_at_us, schedule.next_at_us)? > 0)
}
