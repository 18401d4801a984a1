//! Tasks: the named jobs of a project, with their policies.

use hone_domain::{ProjectId, TaskId, TaskKind, TaskPolicy};
use sqlx::types::{Json, Uuid};

use crate::{Conn, StorageError};

statements! {
    INSERT = "INSERT INTO tasks (id, project_id, name, kind, policy, created_at_us, updated_at_us) \
              VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    INSERT_PROGRESS = "INSERT INTO task_progress (task_id, project_id, usable_examples, new_examples, new_validated, \
                       new_judged, new_correct, last_trained_at_us) VALUES ($1, $2, 0, 0, 0, 0, 0, NULL)";
    FIND_BY_NAME = "SELECT id, project_id, name, kind, policy, created_at_us, updated_at_us \
                    FROM tasks WHERE project_id = $1 AND name = $2";
    FIND = "SELECT id, project_id, name, kind, policy, created_at_us, updated_at_us FROM tasks WHERE id = $1";
    LIST = "SELECT id, project_id, name, kind, policy, created_at_us, updated_at_us \
            FROM tasks WHERE project_id = $1 ORDER BY name";
    LIST_PAGE = "SELECT id, project_id, name, kind, policy, created_at_us, updated_at_us \
                 FROM tasks WHERE project_id = $1 AND name > $2 ORDER BY name LIMIT $3";
    LOCK = "UPDATE tasks SET updated_at_us = updated_at_us WHERE id = $1";
    UPDATE_POLICY = "UPDATE tasks SET policy = $3, updated_at_us = $4 WHERE project_id = $1 AND id = $2";
}

/// A named job of a project.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Task {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its name, unique in the project.
    pub name: String,
    /// What it does.
    #[sqlx(try_from = "String")]
    pub kind: TaskKind,
    /// Its policies.
    #[sqlx(json)]
    pub policy: TaskPolicy,
    /// When it was made.
    pub created_at_us: i64,
    /// When its policies last changed.
    pub updated_at_us: i64,
}

impl Task {
    /// Its id, typed.
    pub fn task_id(&self) -> TaskId {
        TaskId(self.id)
    }

    /// The id of its project, typed.
    pub fn project(&self) -> ProjectId {
        ProjectId(self.project_id)
    }
}

/// Adds a task with its counters; false when the name or the id is taken.
pub async fn insert(conn: &mut Conn, task: &Task) -> Result<bool, StorageError> {
    let Task {
        id,
        project_id,
        name,
        kind,
        policy,
        created_at_us,
        updated_at_us,
    } = task;
    let added = execute!(
        conn,
        INSERT,
        id,
        project_id,
        name,
        kind.as_str(),
        Json(policy),
        created_at_us,
        updated_at_us
    )? > 0;
    if added {
        execute!(conn, INSERT_PROGRESS, id, project_id)?;
    }
    Ok(added)
}

/// The task with this name.
pub async fn find_by_name(
    conn: &mut Conn,
    project: ProjectId,
    name: &str,
) -> Result<Option<Task>, StorageError> {
    Ok(rows!(fetch_optional, conn, Task, FIND_BY_NAME, project.0, name)?)
}

/// The task with this id.
pub async fn get(conn: &mut Conn, id: TaskId) -> Result<Task, StorageError> {
    let found = rows!(fetch_optional, conn, Task, FIND, id.0)?;
    found.ok_or_else(|| StorageError::Missing {
        noun: "task",
        id: id.to_string(),
    })
}

/// All tasks of a project, by name.
pub async fn list(conn: &mut Conn, project: ProjectId) -> Result<Vec<Task>, StorageError> {
    Ok(rows!(fetch_all, conn, Task, LIST, project.0)?)
}

/// Tasks of a project whose names come after `after`, by name.
pub async fn list_page(
    conn: &mut Conn,
    project: ProjectId,
    after: &str,
    limit: i64,
) -> Result<Vec<Task>, StorageError> {
    Ok(rows!(fetch_all, conn, Task, LIST_PAGE, project.0, after, limit)?)
}

/// Lets no other transaction register or deploy a version of this task until the caller's one ends.
pub async fn lock(conn: &mut Conn, id: TaskId) -> Result<(), StorageError> {
    execute!(conn, LOCK, id.0)?;
    Ok(())
}

/// Replaces a task's policies.
pub async fn update_policy(
    conn: &mut Conn,
    project: ProjectId,
    id: TaskId,
    policy: &TaskPolicy,
    now_us: i64,
) -> Result<bool, StorageError> {
    Ok(execute!(conn, UPDATE_POLICY, project.0, id.0, Json(policy), now_us)? > 0)
}
