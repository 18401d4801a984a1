//! `GET /v1/examples`: lists the examples of a task.

use axum::Json;
use axum::extract::State;
use hone_domain::{CurationStep, ExampleStatus, FeedbackSource, Scope, parse_rfc3339};
use hone_storage::examples::{self, Filter};
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
    /// Only those that this step of curation rejected.
    step: Option<CurationStep>,
    /// Only those that rest on this one's word.
    source: Option<FeedbackSource>,
    /// Only of this quality and better, 0 to 1.
    min_quality: Option<f64>,
    /// Only made then or later (RFC 3339).
    from: Option<String>,
    /// Only made before (RFC 3339).
    until: Option<String>,
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
    let filter = Filter {
        status: params.status,
        label: params.label,
        step: params.step,
        source: params.source,
        min_quality: params.min_quality,
        from_us: time("/query/from", params.from.as_deref())?,
        until_us: time("/query/until", params.until.as_deref())?,
    };
    let mut conn = state.engine.db.read().await?;
    let rows = examples::list(&mut conn, task, &filter, params.after, limit + 1).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        ExampleBody::from,
    )))
}

/// A time in a query, refused with a problem that names it.
pub(super) fn time(pointer: &str, given: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(given) = given else { return Ok(None) };
    let refused = || {
        Problem::field(
            pointer,
            format!("\"{given}\" is no time; write it as 2026-01-31T12:00:00Z"),
        )
    };
    parse_rfc3339(given).map(Some).ok_or_else(refused)
}
