//! `POST /v1/tasks/{task}/train`: starts a training run now.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use hone_domain::Scope;

use super::StartedBody;
use crate::auth::Caller;
use crate::body::optional_json;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

/// All fields may be left out, and so may the body.
#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TrainRequest {
    /// Settings of the trainer for this run; the task's when absent.
    #[schema(value_type = Option<Object>)]
    settings: Option<serde_json::Value>,
}

/// Start a training run now: freeze, train, evaluate, register, and deploy where the gate and the task's policy say so
#[utoipa::path(post, path = "/v1/tasks/{task}/train", tag = "loop", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")), request_body = Option<TrainRequest>,
    responses((status = 202, body = StartedBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<StartedBody>), Problem> {
    caller.require(Scope::Operate)?;
    let key = IdempotencyKey::of(request.headers())?;
    let request: TrainRequest = optional_json(request, &state).await?;
    let task = state.engine.get_task(caller.project, &name).await?;
    let run = state
        .engine
        .start_training(&task, request.settings, key.id(caller.project, "run"))
        .await?;
    state.worker.wake();
    Ok((
        StatusCode::ACCEPTED,
        Json(StartedBody {
            // The job that trains has the id of its run.
            job_id: run.0,
            run_id: Some(run.0),
        }),
    ))
}
