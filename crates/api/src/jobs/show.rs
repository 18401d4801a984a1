//! `GET /v1/jobs/{id}`: one job.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::Scope;
use hone_engine::get_job;

use super::JobBody;
use crate::auth::Caller;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Show a job with its progress
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the job")),
    responses((status = 200, body = JobBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<JobBody>, Problem> {
    caller.require(Scope::Read)?;
    let mut conn = state.engine.db.read().await?;
    Ok(Json(
        get_job(&mut conn, caller.project, path_id(&id)?).await?.into(),
    ))
}
