//! `DELETE /v1/schedules/{name}`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::Scope;

use crate::auth::Caller;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Remove a schedule
#[utoipa::path(delete, path = "/v1/schedules/{name}", tag = "jobs", security(("key" = [])),
    params(("name" = String, Path, description = "the schedule")),
    responses((status = 204, description = "removed"), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Operate)?;
    state.engine.remove_schedule(caller.project, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
