//! `GET /v1/runs/{id}`: one training run.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{RunId, Scope};
use hone_storage::runs;

use super::RunBody;
use crate::auth::Caller;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Show a training run with its evaluation and the gate's decision
#[utoipa::path(get, path = "/v1/runs/{id}", tag = "loop", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the run")),
    responses((status = 200, body = RunBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<RunBody>, Problem> {
    caller.require(Scope::Read)?;
    let id: RunId = path_id(&id)?;
    let run = runs::get(&mut state.engine.db.read().await?, id).await?;
    if run.project_id != caller.project.0 {
        return Err(Problem::not_found("run", id));
    }
    Ok(Json(run.into()))
}
