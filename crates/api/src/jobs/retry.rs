//! `POST /v1/jobs/{id}/retry`: gives a job another chance.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{JobId, Scope};

use super::JobBody;
use crate::auth::Caller;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Try a dead or cancelled job again, with the training run it belongs to
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", tag = "jobs", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the job")),
    responses((status = 200, body = JobBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<JobBody>, Problem> {
    caller.require(Scope::Operate)?;
    let id: JobId = path_id(&id)?;
    let job = state.engine.retry_job(caller.project, id).await?;
    state.worker.wake();
    Ok(Json(job.into()))
}
