//! Alerts, and the silences in which nobody is told of them.

use hone_domain::{AlertState, ProjectId, Severity, TaskId};
use sqlx::types::Uuid;

use crate::{Conn, StorageError};

macro_rules! columns {
    () => {
        "id, project_id, task_id, rule, value, severity, state, measured, message, advice, is_told, since_us, fired_at_us, \
         resolved_at_us, updated_at_us"
    };
}

statements! {
    INSERT = concat!("INSERT INTO alerts (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
             $14, $15) ON CONFLICT DO NOTHING");
    UPDATE = "UPDATE alerts SET severity = $2, state = $3, measured = $4, message = $5, advice = $6, is_told = $7, \
              fired_at_us = $8, resolved_at_us = $9, updated_at_us = $10 WHERE id = $1";
    DELETE = "DELETE FROM alerts WHERE id = $1";
    FIND = concat!("SELECT ", columns!(), " FROM alerts WHERE project_id = $1 AND id = $2");
    LIST_OPEN = concat!("SELECT ", columns!(), " FROM alerts WHERE project_id = $1 \
                AND state IN ('pending', 'firing') ORDER BY since_us, id");
    LIST = concat!("SELECT ", columns!(), " FROM alerts WHERE project_id = $1 AND (task_id = $2 OR $2 IS NULL) \
           AND (state = $3 OR $3 IS NULL) AND (since_us, id) < ($4, $5) ORDER BY since_us DESC, id DESC LIMIT $6");
    PLACE = "SELECT since_us, id FROM alerts WHERE project_id = $1 AND id = $2";
    INSERT_SILENCE = "INSERT INTO alert_silences (id, project_id, rule, task_id, until_us, reason, created_at_us) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING";
    LIST_SILENCES = "SELECT id, project_id, rule, task_id, until_us, reason, created_at_us FROM alert_silences \
                     WHERE project_id = $1 AND until_us > $2 ORDER BY until_us, id";
    DELETE_SILENCE = "DELETE FROM alert_silences WHERE project_id = $1 AND id = $2";
}

/// A rule that held, or something that happened.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Alert {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// The task it is about.
    pub task_id: Option<Uuid>,
    /// Name of the rule, or of what happened.
    pub rule: String,
    /// Which version, action type, label or source it is about; empty for all.
    pub value: String,
    /// How bad it is.
    #[sqlx(try_from = "String")]
    pub severity: Severity,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: AlertState,
    /// The metric's value when it was last looked at.
    pub measured: Option<f64>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: String,
    /// Whether people were told that it fires.
    pub is_told: bool,
    /// Since when its rule holds.
    pub since_us: i64,
    /// When it began to fire.
    pub fired_at_us: Option<i64>,
    /// When its rule ceased to hold.
    pub resolved_at_us: Option<i64>,
    /// When it was last looked at.
    pub updated_at_us: i64,
}

/// A time in which nobody is told of some alerts.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Silence {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Only of this rule.
    pub rule: Option<String>,
    /// Only of this task.
    pub task_id: Option<Uuid>,
    /// Until when.
    pub until_us: i64,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created_at_us: i64,
}

/// Adds an alert; false when one of the same rule, task and value is open.
pub async fn insert(conn: &mut Conn, alert: &Alert) -> Result<bool, StorageError> {
    let inserted = execute!(
        conn,
        INSERT,
        alert.id,
        alert.project_id,
        alert.task_id,
        &alert.rule,
        &alert.value,
        alert.severity.as_str(),
        alert.state.as_str(),
        alert.measured,
        &alert.message,
        &alert.advice,
        alert.is_told,
        alert.since_us,
        alert.fired_at_us,
        alert.resolved_at_us,
        alert.updated_at_us
    )?;
    Ok(inserted > 0)
}

/// Stores an alert as it stands now.
pub async fn update(conn: &mut Conn, alert: &Alert) -> Result<(), StorageError> {
    execute!(
        conn,
        UPDATE,
        alert.id,
        alert.severity.as_str(),
        alert.state.as_str(),
        alert.measured,
        &alert.message,
        &alert.advice,
        alert.is_told,
        alert.fired_at_us,
        alert.resolved_at_us,
        alert.updated_at_us
    )?;
    Ok(())
}

/// Removes an alert that never fired.
pub async fn delete(conn: &mut Conn, id: Uuid) -> Result<(), StorageError> {
    execute!(conn, DELETE, id)?;
    Ok(())
}

/// The alert with this id.
pub async fn find(conn: &mut Conn, project: ProjectId, id: Uuid) -> Result<Option<Alert>, StorageError> {
    Ok(rows!(fetch_optional, conn, Alert, FIND, project.0, id)?)
}

/// The alerts whose rules hold, oldest first.
pub async fn list_open(conn: &mut Conn, project: ProjectId) -> Result<Vec<Alert>, StorageError> {
    Ok(rows!(fetch_all, conn, Alert, LIST_OPEN, project.0)?)
}

/// Alerts since before `before`, latest first. An id that is not there gives an empty list.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    task: Option<TaskId>,
    state: Option<AlertState>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Alert>, StorageError> {
    let place = match before {
        None => Some(crate::AFTER_ALL),
        Some(id) => rows!(fetch_optional, conn, (i64, Uuid), PLACE, project.0, id)?,
    };
    let Some((before_us, before_id)) = place else {
        return Ok(Vec::new());
    };
    let (task, state) = (task.map(|task| task.0), state.map(AlertState::as_str));
    Ok(rows!(
        fetch_all, conn, Alert, LIST, project.0, task, state, before_us, before_id, limit
    )?)
}

/// Adds a silence; one that is there is left as it is.
pub async fn insert_silence(conn: &mut Conn, silence: &Silence) -> Result<(), StorageError> {
    execute!(
        conn,
        INSERT_SILENCE,
        silence.id,
        silence.project_id,
        silence.rule.clone(),
        silence.task_id,
        silence.until_us,
        &silence.reason,
        silence.created_at_us
    )?;
    Ok(())
}

/// The silences that last beyond this moment.
pub async fn list_silences(
    conn: &mut Conn,
    project: ProjectId,
    now_us: i64,
) -> Result<Vec<Silence>, StorageError> {
    Ok(rows!(fetch_all, conn, Silence, LIST_SILENCES, project.0, now_us)?)
}

/// Ends a silence; false when there is none with this id.
pub async fn delete_silence(conn: &mut Conn, project: ProjectId, id: Uuid) -> Result<bool, StorageError> {
    Ok(execute!(conn, DELETE_SILENCE, project.0, id)? > 0)
}
