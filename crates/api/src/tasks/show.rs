//! `GET /v1/tasks/{task}`: one task with its policies, counters and what serves it.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{Scope, format_rfc3339};
use hone_storage::progress;

use super::TaskBody;
use crate::auth::Caller;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// A task with where it stands.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct TaskDetail {
    #[serde(flatten)]
    task: TaskBody,
    /// The version that serves, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    serving: Option<String>,
    /// Examples that training may use.
    usable_examples: i64,
    /// Of those, new since the last training.
    new_examples: i64,
    /// Of the new ones, those that a person validated.
    new_validated: i64,
    /// When the last training was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_trained_at: Option<String>,
}

/// Show a task with its policies and where it stands
#[utoipa::path(get, path = "/v1/tasks/{task}", tag = "tasks", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")),
    responses((status = 200, body = TaskDetail), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<TaskDetail>, Problem> {
    caller.require(Scope::Read)?;
    let task = state.engine.get_task(caller.project, &name).await?;
    let counters = progress::get(&mut state.engine.db.read().await?, task.task_id()).await?;
    let serving = state
        .engine
        .served(&task)
        .ok()
        .map(|served| served.version.version.clone());
    Ok(Json(TaskDetail {
        task: (*task).clone().into(),
        serving,
        usable_examples: counters.usable_examples,
        new_examples: counters.new_examples,
        new_validated: counters.new_validated,
        last_trained_at: counters.last_trained_at_us.map(format_rfc3339),
    }))
}
