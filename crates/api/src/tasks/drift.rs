//! `GET /v1/tasks/{task}/drift`: what was found when requests since the last training were compared with those before it; `POST`
//! of the same compares again.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::{ScheduledAction, Scope};
use hone_engine::DriftReport;

use super::StartedBody;
use crate::auth::Caller;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Comparisons that are shown.
const SHOWN: i64 = 30;

/// What was found, latest first.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct DriftBody {
    items: Vec<DriftReport>,
}

/// Show whether requests since the last training differ from those before it, and the words that changed
#[utoipa::path(get, path = "/v1/tasks/{task}/drift", tag = "observe", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")),
    responses((status = 200, body = DriftBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn show(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<DriftBody>, Problem> {
    caller.require(Scope::Read)?;
    let task = state.engine.get_task(caller.project, &name).await?;
    let items = state.engine.drift_reports(&task, SHOWN).await?;
    Ok(Json(DriftBody { items }))
}

/// Compare requests since the last training with those before it now
#[utoipa::path(post, path = "/v1/tasks/{task}/drift", tag = "observe", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")),
    responses((status = 202, body = StartedBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn check(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<StartedBody>), Problem> {
    caller.require(Scope::Operate)?;
    let task = state.engine.get_task(caller.project, &name).await?;
    let action = ScheduledAction::CheckDrift;
    let job = state
        .engine
        .start_action(caller.project, action, Some(task.name.clone()))
        .await?;
    state.worker.wake();
    let started = StartedBody {
        job_id: job.0,
        run_id: None,
    };
    Ok((StatusCode::ACCEPTED, Json(started)))
}
