//! `GET /v1/tasks`: lists the tasks of the project.

use axum::Json;
use axum::extract::State;
use hone_domain::Scope;
use hone_storage::tasks;

use super::TaskBody;
use crate::auth::Caller;
use crate::{AppState, Problem};

/// List the tasks of the project, by name
#[utoipa::path(get, path = "/v1/tasks", tag = "tasks", security(("key" = [])),
    responses((status = 200, body = Vec<TaskBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
) -> Result<Json<Vec<TaskBody>>, Problem> {
    caller.require(Scope::Read)?;
    let mut conn = state.engine.db.read().await?;
    let rows = tasks::list(&mut conn, caller.project).await?;
    Ok(Json(rows.into_iter().map(TaskBody::from).collect()))
}
