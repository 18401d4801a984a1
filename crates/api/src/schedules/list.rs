//! `GET /v1/schedules`.

use axum::Json;
use axum::extract::State;
use hone_domain::Scope;
use hone_storage::schedules;

use super::ScheduleBody;
use crate::auth::Caller;
use crate::page::Page;
use crate::{AppState, Problem};

/// List what runs by the clock
#[utoipa::path(get, path = "/v1/schedules", tag = "jobs", security(("key" = [])),
    responses((status = 200, body = Page<ScheduleBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
) -> Result<Json<Page<ScheduleBody>>, Problem> {
    caller.require(Scope::Read)?;
    let rows = schedules::list(&mut state.engine.db.read().await?, caller.project).await?;
    let items = rows.into_iter().map(ScheduleBody::from).collect();
    Ok(Json(Page { items, next: None }))
}
