//! `POST /v1/tasks/{task}/curate`: curates now.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::Scope;

use super::StartedBody;
use crate::auth::Caller;
use crate::page::Params;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CurateParams {
    /// Look at all examples again, because the policy has changed; what people decided stays.
    #[serde(default)]
    again: bool,
}

/// Curate everything new of a task now
#[utoipa::path(post, path = "/v1/tasks/{task}/curate", tag = "loop", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task"), CurateParams),
    responses((status = 202, body = StartedBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
    Params(params): Params<CurateParams>,
) -> Result<(StatusCode, Json<StartedBody>), Problem> {
    caller.require(Scope::Operate)?;
    let task = state.engine.get_task(caller.project, &name).await?;
    let job = state.engine.start_curation(&task, params.again).await?;
    state.worker.wake();
    Ok((
        StatusCode::ACCEPTED,
        Json(StartedBody {
            job_id: job.0,
            run_id: None,
        }),
    ))
}
