//! `GET /v1/snapshots`.

use axum::Json;
use axum::extract::State;
use hone_domain::{Scope, SnapshotPeriod};
use hone_storage::snapshots::{self, Snapshot};
use hone_storage::tasks;
use uuid::Uuid;

use super::SnapshotBody;
use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SnapshotListParams {
    /// Only of this task.
    task: Option<String>,
    /// Only of periods of this length.
    period: Option<SnapshotPeriod>,
    /// Items on a page, 1 to 500.
    limit: Option<i64>,
    /// `next` of the page before.
    after: Option<Uuid>,
}

/// List snapshots, latest first
#[utoipa::path(get, path = "/v1/snapshots", tag = "observe", security(("key" = [])), params(SnapshotListParams),
    responses((status = 200, body = Page<SnapshotBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<SnapshotListParams>,
) -> Result<Json<Page<SnapshotBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let task = match &params.task {
        Some(name) => Some(state.engine.get_task(caller.project, name).await?.task_id()),
        None => None,
    };
    let mut conn = state.engine.db.read().await?;
    let all = tasks::list(&mut conn, caller.project).await?;
    let (period, after) = (params.period, params.after);
    let rows = snapshots::list(&mut conn, caller.project, task, period, after, limit + 1).await?;
    let key = |row: &Snapshot| row.id.to_string();
    Ok(Json(Page::new(rows, limit, key, |row| {
        SnapshotBody::of(row, &all)
    })))
}
