//! `GET /v1/feedback`: lists feedback.

use axum::Json;
use axum::extract::State;
use hone_domain::{FeedbackKind, Scope};
use hone_storage::feedback;
use uuid::Uuid;

use super::FeedbackBody;
use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Only of this task.
    task: Option<String>,
    /// Only of this kind.
    kind: Option<FeedbackKind>,
    /// Items on a page, 1 to 500.
    limit: Option<i64>,
    /// `next` of the page before.
    after: Option<Uuid>,
}

/// List feedback, latest first
#[utoipa::path(get, path = "/v1/feedback", tag = "record", security(("key" = [])), params(ListParams),
    responses((status = 200, body = Page<FeedbackBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<FeedbackBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let task = match &params.task {
        Some(name) => Some(state.engine.get_task(caller.project, name).await?.task_id()),
        None => None,
    };
    let mut conn = state.engine.db.read().await?;
    let rows = feedback::list(
        &mut conn,
        caller.project,
        task,
        params.kind,
        params.after,
        limit + 1,
    )
    .await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        FeedbackBody::from,
    )))
}
