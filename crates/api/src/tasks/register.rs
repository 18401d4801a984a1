//! `POST /v1/tasks/{task}/versions`: a version of a generate task.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::{PromptSpec, Scope};

use crate::auth::Caller;
use crate::body::JsonBody;
use crate::models::ModelBody;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

/// What was registered.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct RegisteredBody {
    version: ModelBody,
    /// Whether it serves already, as the first version of a task does.
    deployed: bool,
}

/// Register a version of a generate task
///
/// A provider's model with its prompt, parameters and examples. Deployed, compared and rolled back like a trained one:
/// `POST /v1/deployments`.
#[utoipa::path(post, path = "/v1/tasks/{task}/versions", tag = "models", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")),
    request_body = PromptSpec,
    responses((status = 201, body = RegisteredBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(task): Path<String>,
    key: IdempotencyKey,
    JsonBody(spec): JsonBody<PromptSpec>,
) -> Result<(StatusCode, Json<RegisteredBody>), Problem> {
    caller.require(Scope::Operate)?;
    let (version, deployed) = state
        .engine
        .register_prompt(
            caller.project,
            &task,
            spec,
            key.id(caller.project, "model version"),
        )
        .await?;
    let version = version.into();
    Ok((StatusCode::CREATED, Json(RegisteredBody { version, deployed })))
}
