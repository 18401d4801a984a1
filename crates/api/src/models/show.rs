//! `GET /v1/models/{task}/{version}`: one version.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::Scope;

use super::{ModelBody, get_version};
use crate::auth::Caller;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Show a model version with its lineage and metrics
#[utoipa::path(get, path = "/v1/models/{task}/{version}", tag = "models", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task"), ("version" = String, Path, description = "such as 1.2.0")),
    responses((status = 200, body = ModelBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path((task, version)): Path<(String, String)>,
) -> Result<Json<ModelBody>, Problem> {
    caller.require(Scope::Read)?;
    let task = state.engine.get_task(caller.project, &task).await?;
    let mut conn = state.engine.db.read().await?;
    Ok(Json(
        get_version(&mut conn, task.task_id(), &version).await?.into(),
    ))
}
