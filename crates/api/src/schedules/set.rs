//! `PUT /v1/schedules/{name}`: makes or changes a schedule.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::Scope;
use hone_engine::ScheduleChange;

use super::ScheduleBody;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Make a schedule, or change one: what is left out stays as it is
#[utoipa::path(put, path = "/v1/schedules/{name}", tag = "jobs", security(("key" = [])),
    params(("name" = String, Path, description = "the schedule")), request_body = ScheduleChange,
    responses((status = 200, body = ScheduleBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
    JsonBody(change): JsonBody<ScheduleChange>,
) -> Result<Json<ScheduleBody>, Problem> {
    caller.require(Scope::Operate)?;
    let schedule = state.engine.set_schedule(caller.project, &name, change).await?;
    Ok(Json(schedule.into()))
}
