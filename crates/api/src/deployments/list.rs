//! `GET /v1/deployments`: the history of what served.

use axum::Json;
use axum::extract::State;
use hone_domain::Scope;
use hone_storage::deployments;

use super::DeploymentBody;
use crate::auth::Caller;
use crate::page::{Page, Params, TaskListParams, checked_limit};
use crate::{AppState, Problem};

/// List deployments, latest first
#[utoipa::path(get, path = "/v1/deployments", tag = "models", security(("key" = [])), params(TaskListParams),
    responses((status = 200, body = Page<DeploymentBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<TaskListParams>,
) -> Result<Json<Page<DeploymentBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let task = params.task_id(&caller, &state).await?;
    let mut conn = state.engine.db.read().await?;
    let rows = deployments::list(&mut conn, caller.project, task, params.after, limit + 1).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        DeploymentBody::from,
    )))
}
