//! `POST /v1/tasks`: makes a task.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hone_domain::{Scope, TaskKind, TaskPolicy};

use super::TaskBody;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTaskRequest {
    /// Letters, digits, `-`, `_` and `.`; unique in the project.
    name: String,
    /// What the task does.
    kind: TaskKind,
    /// Its policies; what is left out has the documented default.
    #[serde(default, deserialize_with = "hone_domain::object")]
    policy: TaskPolicy,
}

/// Make a task
#[utoipa::path(post, path = "/v1/tasks", tag = "tasks", security(("key" = [])), request_body = CreateTaskRequest,
    responses((status = 201, body = TaskBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    key: IdempotencyKey,
    JsonBody(request): JsonBody<CreateTaskRequest>,
) -> Result<(StatusCode, Json<TaskBody>), Problem> {
    caller.require(Scope::Admin)?;
    let CreateTaskRequest { name, kind, policy } = request;
    let task = state
        .engine
        .create_task(
            caller.project,
            &name,
            kind,
            policy,
            key.id(caller.project, "task"),
        )
        .await?;
    Ok((StatusCode::CREATED, Json(task.into())))
}
