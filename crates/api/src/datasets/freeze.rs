//! `POST /v1/datasets`: freezes the usable examples of a task.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hone_domain::Scope;

use super::DatasetBody;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FreezeRequest {
    /// Name of the task.
    task: String,
}

/// Freeze the usable examples of a task; gives the same dataset again when nothing has changed
#[utoipa::path(post, path = "/v1/datasets", tag = "examples", security(("key" = [])), request_body = FreezeRequest,
    responses((status = 201, body = DatasetBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    key: IdempotencyKey,
    JsonBody(request): JsonBody<FreezeRequest>,
) -> Result<(StatusCode, Json<DatasetBody>), Problem> {
    caller.require(Scope::Operate)?;
    let task = state.engine.get_task(caller.project, &request.task).await?;
    let dataset = state
        .engine
        .freeze(&task, key.id(caller.project, "dataset"))
        .await?;
    Ok((StatusCode::CREATED, Json(dataset.into())))
}
