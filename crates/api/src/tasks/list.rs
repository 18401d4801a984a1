//! `GET /v1/tasks`: lists the tasks of the project.

use axum::Json;
use axum::extract::State;
use hone_domain::{Scope, require_text};
use hone_storage::tasks;

use super::TaskBody;
use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Items on a page, 1 to 500.
    limit: Option<i64>,
    /// `next` of the page before.
    after: Option<String>,
}

/// List the tasks of the project, by name
#[utoipa::path(get, path = "/v1/tasks", tag = "tasks", security(("key" = [])), params(ListParams),
    responses((status = 200, body = Page<TaskBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<TaskBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let after = params.after.unwrap_or_default();
    require_text("/query/after", &after)?;
    let mut conn = state.engine.db.read().await?;
    let rows = tasks::list_page(&mut conn, caller.project, &after, limit + 1).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.name.clone(),
        TaskBody::from,
    )))
}
