//! `GET /v1/reviews`: lists what waits for people, and what they have decided.

use axum::Json;
use axum::extract::State;
use hone_domain::{ReviewKind, ReviewReason, ReviewState, Scope};
use hone_storage::reviews::{self, Filter};
use uuid::Uuid;

use super::ReviewBody;
use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Name of the task.
    task: String,
    /// Only in this state; open ones when absent.
    state: Option<ReviewState>,
    /// Only for this reason.
    reason: Option<ReviewReason>,
    /// Only of this kind.
    kind: Option<ReviewKind>,
    /// Only with this label.
    label: Option<String>,
    /// Items on a page, 1 to 500.
    limit: Option<i64>,
    /// `next` of the page before.
    after: Option<Uuid>,
}

/// List what waits for people, in the order in which they are asked; or what they have decided, latest first
#[utoipa::path(get, path = "/v1/reviews", tag = "reviews", security(("key" = [])), params(ListParams),
    responses((status = 200, body = Page<ReviewBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<ReviewBody>>, Problem> {
    caller
        .require(Scope::Edit)
        .or_else(|_| caller.require(Scope::Read))?;
    let limit = checked_limit(params.limit)?;
    let task = state
        .engine
        .get_task(caller.project, &params.task)
        .await?
        .task_id();
    let filter = Filter {
        reason: params.reason,
        kind: params.kind,
        label: params.label,
    };
    let wanted = Some(params.state.unwrap_or(ReviewState::Open));
    let mut conn = state.engine.db.read().await?;
    let rows = reviews::list(&mut conn, task, wanted, &filter, params.after, limit + 1).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        ReviewBody::from,
    )))
}
