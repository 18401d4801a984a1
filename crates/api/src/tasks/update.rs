//! `PUT /v1/tasks/{task}`: replaces a task's policies.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{Scope, TaskPolicy};

use super::TaskBody;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateTaskRequest {
    /// The policies from now on; what is left out has the documented default.
    #[serde(deserialize_with = "hone_domain::object")]
    policy: TaskPolicy,
}

/// Replace a task's policies
#[utoipa::path(put, path = "/v1/tasks/{task}", tag = "tasks", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")), request_body = UpdateTaskRequest,
    responses((status = 200, body = TaskBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<UpdateTaskRequest>,
) -> Result<Json<TaskBody>, Problem> {
    caller.require(Scope::Admin)?;
    let task = state
        .engine
        .update_policy(caller.project, &name, request.policy)
        .await?;
    Ok(Json(task.into()))
}
