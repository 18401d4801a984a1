//! `GET /v1/datasets`: lists datasets.

use axum::Json;
use axum::extract::State;
use hone_domain::Scope;
use hone_storage::datasets;

use super::DatasetBody;
use crate::auth::Caller;
use crate::page::{Page, Params, TaskListParams, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TagParam {
    /// Only those with this tag.
    tag: Option<String>,
}

/// List datasets, latest first
#[utoipa::path(get, path = "/v1/datasets", tag = "examples", security(("key" = [])), params(TaskListParams, TagParam),
    responses((status = 200, body = Page<DatasetBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<TaskListParams>,
    Params(TagParam { tag }): Params<TagParam>,
) -> Result<Json<Page<DatasetBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let task = params.task_id(&caller, &state).await?;
    let mut conn = state.engine.db.read().await?;
    let (project, tag) = (caller.project, tag.as_deref());
    let rows = datasets::list(&mut conn, project, task, tag, params.after, limit + 1).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        DatasetBody::from,
    )))
}
