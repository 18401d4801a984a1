//! `GET /v1/tasks/{task}/preferences`: what preferences there are to train on.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::Scope;
use hone_engine::{PreferenceFilter, PreferenceStatistics};

use crate::auth::Caller;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Count the preferences of a task: where they come from, what is left out and why, and what length has to do with them
#[utoipa::path(get, path = "/v1/tasks/{task}/preferences", tag = "examples", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")),
    responses((status = 200, body = PreferenceStatistics), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<PreferenceStatistics>, Problem> {
    caller.require(Scope::Read)?;
    let task = state.engine.get_task(caller.project, &name).await?;
    let filter = PreferenceFilter::default();
    Ok(Json(state.engine.preference_statistics(&task, &filter).await?))
}
