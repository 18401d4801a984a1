//! `GET /v1/examples`: lists the examples of a task.

use axum::Json;
use axum::extract::State;
use hone_domain::{ExampleStatus, Scope};
use hone_storage::examples;
use uuid::Uuid;

use super::ExampleBody;
use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Name of the task.
    task: String,
    /// Only with this status.
    status: Option<ExampleStatus>,
    /// Only with this label.
    label: Option<String>,
    /// Items on a page, 1 to 500.
    limit: Option<i64>,
    /// `next` of the page before.
    after: Option<Uuid>,
}

/// List the examples of a task with the reason of each decision, latest first
#[utoipa::path(get, path = "/v1/examples", tag = "examples", security(("key" = [])), params(ListParams),
    responses((status = 200, body = Page<ExampleBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<ExampleBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let task = state
        .engine
        .get_task(caller.project, &params.task)
        .await?
        .task_id();
    let mut conn = state.engine.db.read().await?;
    let label = params.label.as_deref();
    let rows = examples::list(&mut conn, task, params.status, label, params.after, limit + 1).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        ExampleBody::from,
    )))
}
