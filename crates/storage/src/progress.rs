//! Counters kept up as things come, so that triggers cost the same at any size: what has come since the last training, and
//! the inbox of curation.

use hone_domain::{InteractionId, ProjectId, TaskId};
use sqlx::types::Uuid;

use crate::{Conn, StorageError};

statements! {
    ADD_PROGRESS = "UPDATE task_progress SET usable_examples = usable_examples + $2, new_examples = new_examples + $3, \
                    new_validated = new_validated + $4, new_judged = new_judged + $5, new_correct = new_correct + $6 \
                    WHERE task_id = $1";
    GET_PROGRESS = "SELECT usable_examples, new_examples, new_validated, new_judged, new_correct, last_trained_at_us \
                    FROM task_progress WHERE task_id = $1";
    GET_NEAR_SEQ = "SELECT near_seq FROM task_progress WHERE task_id = $1";
    SET_NEAR_SEQ = "UPDATE task_progress SET near_seq = $2 WHERE task_id = $1";
    START_TRAINING = "UPDATE task_progress SET \
                      new_examples = CASE WHEN new_examples > $2 THEN new_examples - $2 ELSE 0 END, \
                      new_validated = CASE WHEN new_validated > $3 THEN new_validated - $3 ELSE 0 END, \
                      new_judged = CASE WHEN new_judged > $4 THEN new_judged - $4 ELSE 0 END, \
                      new_correct = CASE WHEN new_correct > $5 THEN new_correct - $5 ELSE 0 END, \
                      last_trained_at_us = $6 WHERE task_id = $1";
    PUSH_INBOX = "INSERT INTO curation_inbox (project_id, interaction_id, task_id) VALUES ($1, $2, $3) \
                  ON CONFLICT (project_id, interaction_id) DO UPDATE SET task_id = excluded.task_id";
    LIST_INBOX = "SELECT interaction_id FROM curation_inbox WHERE task_id = $1 ORDER BY interaction_id LIMIT $2";
    TAKE_INBOX = "DELETE FROM curation_inbox WHERE project_id = $1 AND interaction_id = $2";
    HAS_INBOX = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM curation_inbox WHERE task_id = $1 LIMIT 1) AS first_row";
}

/// What has come since the last training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Progress {
    /// Examples that training may use.
    pub usable_examples: i64,
    /// Of those, new since the last training.
    pub new_examples: i64,
    /// Of the new ones, those that a person validated.
    pub new_validated: i64,
    /// Judgements of answers (thumbs and corrections) since the last training.
    pub new_judged: i64,
    /// Of those, that the answer was right.
    pub new_correct: i64,
    /// When the last training was started.
    pub last_trained_at_us: Option<i64>,
}

/// Adds to a task's counters; all fields but the time.
pub async fn add(conn: &mut Conn, task: TaskId, change: &Progress) -> Result<(), StorageError> {
    let Progress {
        usable_examples,
        new_examples,
        new_validated,
        new_judged,
        new_correct,
        ..
    } = change;
    execute!(
        conn,
        ADD_PROGRESS,
        task.0,
        usable_examples,
        new_examples,
        new_validated,
        new_judged,
        new_correct
    )?;
    Ok(())
}

/// The last place in the order in which the task's examples became usable. Read and set under the task's lock.
pub async fn get_near_seq(conn: &mut Conn, task: TaskId) -> Result<i64, StorageError> {
    let (seq,): (i64,) = rows!(fetch_one, conn, (i64,), GET_NEAR_SEQ, task.0)?;
    Ok(seq)
}

/// Sets that place.
pub async fn set_near_seq(conn: &mut Conn, task: TaskId, seq: i64) -> Result<(), StorageError> {
    execute!(conn, SET_NEAR_SEQ, task.0, seq)?;
    Ok(())
}

/// A task's counters.
pub async fn get(conn: &mut Conn, task: TaskId) -> Result<Progress, StorageError> {
    let found = rows!(fetch_optional, conn, Progress, GET_PROGRESS, task.0)?;
    found.ok_or_else(|| StorageError::Missing {
        noun: "task",
        id: task.to_string(),
    })
}

/// Takes what a training that starts has learned from off the counters; two that start at once may have counted the same.
pub async fn start_training(
    conn: &mut Conn,
    task: TaskId,
    counted: &Progress,
    now_us: i64,
) -> Result<(), StorageError> {
    let Progress {
        new_examples,
        new_validated,
        new_judged,
        new_correct,
        ..
    } = counted;
    execute!(
        conn,
        START_TRAINING,
        task.0,
        new_examples,
        new_validated,
        new_judged,
        new_correct,
        now_us
    )?;
    Ok(())
}

/// Notes that curation has to look at an interaction. An entry that is there is locked until the transaction ends, so that
/// curation does not take it before what is to be looked at is there.
pub async fn push_inbox(
    conn: &mut Conn,
    project: ProjectId,
    task: TaskId,
    interaction: InteractionId,
) -> Result<(), StorageError> {
    execute!(conn, PUSH_INBOX, project.0, interaction.0, task.0)?;
    Ok(())
}

/// Interactions that curation has to look at.
pub async fn list_inbox(
    conn: &mut Conn,
    task: TaskId,
    limit: i64,
) -> Result<Vec<InteractionId>, StorageError> {
    let found = rows!(fetch_all, conn, (Uuid,), LIST_INBOX, task.0, limit)?;
    Ok(found.into_iter().map(|(id,)| InteractionId(id)).collect())
}

/// Whether curation has anything to look at.
pub async fn has_inbox(conn: &mut Conn, task: TaskId) -> Result<bool, StorageError> {
    let (count,): (i64,) = rows!(fetch_one, conn, (i64,), HAS_INBOX, task.0)?;
    Ok(count > 0)
}

/// Takes an interaction out of the inbox; false when another worker has.
pub async fn take_inbox(
    conn: &mut Conn,
    project: ProjectId,
    interaction: InteractionId,
) -> Result<bool, StorageError> {
    Ok(execute!(conn, TAKE_INBOX, project.0, interaction.0)? > 0)
}
