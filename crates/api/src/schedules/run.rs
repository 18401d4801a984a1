//! `POST /v1/schedules/{name}/run` and `POST /v1/cycle`: runs by hand of what runs by the clock.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::{JobId, Scope};

use crate::auth::Caller;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct StartedJob {
    /// Look at `/v1/jobs/{id}` for what becomes of it; one that waited already is given again.
    #[schema(value_type = uuid::Uuid)]
    job_id: JobId,
}

/// Start a schedule's step now; its next time stays
#[utoipa::path(post, path = "/v1/schedules/{name}/run", tag = "jobs", security(("key" = [])),
    params(("name" = String, Path, description = "the schedule")),
    responses((status = 202, body = StartedJob), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<StartedJob>), Problem> {
    caller.require(Scope::Operate)?;
    let job_id = state.engine.run_schedule(caller.project, &name).await?;
    Ok((StatusCode::ACCEPTED, Json(StartedJob { job_id })))
}

/// Start the whole pipeline once: curation, triggers, looks at deployments
#[utoipa::path(post, path = "/v1/cycle", tag = "jobs", security(("key" = [])),
    responses((status = 202, body = StartedJob)))]
pub(crate) async fn cycle(
    caller: Caller,
    State(state): State<AppState>,
) -> Result<(StatusCode, Json<StartedJob>), Problem> {
    caller.require(Scope::Operate)?;
    let job_id = state.engine.start_cycle(caller.project).await?;
    Ok((StatusCode::ACCEPTED, Json(StartedJob { job_id })))
}
