//! `GET /v1/jobs`: lists background work.

use axum::Json;
use axum::extract::State;
use hone_domain::Scope;
use hone_jobs::JobState;
use hone_storage::jobs;
use uuid::Uuid;

use super::JobBody;
use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Only in this state: `queued`, `running`, `succeeded`, `dead` or `cancelled`.
    state: Option<String>,
    /// Items on a page, 1 to 500.
    limit: Option<i64>,
    /// `next` of the page before.
    after: Option<Uuid>,
}

/// List background work, latest first
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", security(("key" = [])), params(ListParams),
    responses((status = 200, body = Page<JobBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<JobBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    if let Some(name) = &params.state
        && JobState::find(name).is_none()
    {
        let states = JobState::ALL.map(JobState::as_str).join(", ");
        return Err(Problem::field(
            "/query/state",
            format!("\"{name}\" is no state; give one of {states}"),
        ));
    }
    let mut conn = state.engine.db.read().await?;
    let rows = jobs::list(
        &mut conn,
        caller.project,
        params.state.as_deref(),
        params.after,
        limit + 1,
    )
    .await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        JobBody::from,
    )))
}
