//! Schedules: jobs that are enqueued by the clock.

use hone_domain::{MissedRuns, ProjectId};
use sqlx::types::{Json, Uuid};

use crate::{Conn, StorageError};

macro_rules! columns {
    () => {
        "id, project_id, name, cron, kind, payload, paused, next_at_us, time_zone, missed, last_at_us"
    };
}

statements! {
    INSERT = concat!("INSERT INTO schedules (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT (project_id, name) DO NOTHING");
    LIST_DUE = concat!("SELECT ", columns!(), " FROM schedules WHERE next_at_us <= $1 AND NOT paused ORDER BY next_at_us");
    LIST = concat!("SELECT ", columns!(), " FROM schedules WHERE project_id = $1 ORDER BY name");
    FIND = concat!("SELECT ", columns!(), " FROM schedules WHERE project_id = $1 AND name = $2");
    UPDATE = "UPDATE schedules SET cron = $2, kind = $3, payload = $4, paused = $5, next_at_us = $6, time_zone = $7, \
              missed = $8 WHERE id = $1";
    ADVANCE = "UPDATE schedules SET next_at_us = $2, last_at_us = COALESCE($4, last_at_us) WHERE id = $1 AND next_at_us = $3";
    NOTE_RUN = "UPDATE schedules SET last_at_us = $2 WHERE id = $1";
    DELETE = "DELETE FROM schedules WHERE project_id = $1 AND name = $2";
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
    /// When, as a cron expression in its time zone.
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
    /// Name of the time zone that its expression is in.
    pub time_zone: String,
    /// What becomes of runs that were missed.
    #[sqlx(try_from = "String")]
    pub missed: MissedRuns,
    /// When it was run last.
    pub last_at_us: Option<i64>,
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
        time_zone,
        missed,
        last_at_us,
    } = schedule;
    Ok(execute!(
        conn,
        INSERT,
        id,
        project_id,
        name,
        cron,
        kind,
        Json(payload),
        paused,
        next_at_us,
        time_zone,
        missed.as_str(),
        last_at_us
    )? > 0)
}

/// Writes what may change of a schedule.
pub async fn update(conn: &mut Conn, schedule: &Schedule) -> Result<(), StorageError> {
    execute!(
        conn,
        UPDATE,
        schedule.id,
        &schedule.cron,
        &schedule.kind,
        Json(&schedule.payload),
        schedule.paused,
        schedule.next_at_us,
        &schedule.time_zone,
        schedule.missed.as_str()
    )?;
    Ok(())
}

/// Schedules that are due.
pub async fn list_due(conn: &mut Conn, now_us: i64) -> Result<Vec<Schedule>, StorageError> {
    Ok(rows!(fetch_all, conn, Schedule, LIST_DUE, now_us)?)
}

/// All schedules of a project.
pub async fn list(conn: &mut Conn, project: ProjectId) -> Result<Vec<Schedule>, StorageError> {
    Ok(rows!(fetch_all, conn, Schedule, LIST, project.0)?)
}

/// The schedule of a project with this name.
pub async fn find(conn: &mut Conn, project: ProjectId, name: &str) -> Result<Option<Schedule>, StorageError> {
    Ok(rows!(fetch_optional, conn, Schedule, FIND, project.0, name)?)
}

/// Moves a schedule on, with the time of the run if there was one; false when someone else has done so.
pub async fn advance(
    conn: &mut Conn,
    schedule: &Schedule,
    next_at_us: i64,
    ran_at_us: Option<i64>,
) -> Result<bool, StorageError> {
    Ok(execute!(
        conn,
        ADVANCE,
        schedule.id,
        next_at_us,
        schedule.next_at_us,
        ran_at_us
    )? > 0)
}

/// Notes that a schedule was run by hand.
pub async fn note_run(conn: &mut Conn, schedule: &Schedule, at_us: i64) -> Result<(), StorageError> {
    execute!(conn, NOTE_RUN, schedule.id, at_us)?;
    Ok(())
}

/// Removes a schedule; false when there is none of this name.
pub async fn delete(conn: &mut Conn, project: ProjectId, name: &str) -> Result<bool, StorageError> {
    Ok(execute!(conn, DELETE, project.0, name)? > 0)
}
