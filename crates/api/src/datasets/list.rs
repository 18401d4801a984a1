//! `GET /v1/datasets`: lists datasets.

use axum::Json;
use axum::extract::State;
use hone_domain::Scope;
use hone_storage::datasets;
use uuid::Uuid;

use super::DatasetBody;
use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

/// Which part of a list of what belongs to a task is asked for.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskListParams {
    /// Only of this task.
    pub task: Option<String>,
    /// Items on a page, 1 to 500.
    pub limit: Option<i64>,
    /// `next` of the page before.
    pub after: Option<Uuid>,
}

impl TaskListParams {
    /// The id of the task that is named, if one is.
    pub async fn task_id(
        &self,
        caller: &Caller,
        state: &AppState,
    ) -> Result<Option<hone_domain::TaskId>, Problem> {
        match &self.task {
            Some(name) => Ok(Some(state.engine.get_task(caller.project, name).await?.task_id())),
            None => Ok(None),
        }
    }
}

/// List datasets, latest first
#[utoipa::path(get, path = "/v1/datasets", tag = "examples", security(("key" = [])), params(TaskListParams),
    responses((status = 200, body = Page<DatasetBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<TaskListParams>,
) -> Result<Json<Page<DatasetBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let task = params.task_id(&caller, &state).await?;
    let mut conn = state.engine.db.read().await?;
    let rows = datasets::list(&mut conn, caller.project, task, params.after, limit + 1).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        DatasetBody::from,
    )))
}
