//! `POST /v1/tasks/{task}/evaluate`: measures a version on the held-out part of a dataset.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use hone_domain::{DatasetId, Scope};
use uuid::Uuid;

use super::StartedBody;
use crate::auth::Caller;
use crate::body::optional_json;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// All fields may be left out, and so may the body.
#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EvaluateRequest {
    /// The version, such as `1.2.0`; the one that serves when absent.
    version: Option<String>,
    /// The dataset; the task's latest when absent.
    dataset_id: Option<Uuid>,
}

/// Measure a version on the held-out part of a dataset; the job's result holds the evaluation
#[utoipa::path(post, path = "/v1/tasks/{task}/evaluate", tag = "loop", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")), request_body = Option<EvaluateRequest>,
    responses((status = 202, body = StartedBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<StartedBody>), Problem> {
    caller.require(Scope::Operate)?;
    let EvaluateRequest { version, dataset_id } = optional_json(request, &state).await?;
    let task = state.engine.get_task(caller.project, &name).await?;
    let job = state
        .engine
        .start_evaluation(&task, version.as_deref(), dataset_id.map(DatasetId))
        .await?;
    state.worker.wake();
    let started = StartedBody {
        job_id: job.0,
        run_id: None,
    };
    Ok((StatusCode::ACCEPTED, Json(started)))
}
