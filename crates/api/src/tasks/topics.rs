//! `GET /v1/tasks/{task}/topics`: what was found among the requests of a task; `POST` of the same looks again.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::{Scope, format_rfc3339};
use hone_engine::Discovered;

use super::StartedBody;
use crate::auth::Caller;
use crate::page::Params;
use crate::problem::ProblemBody;
use crate::{AppState, Problem, ProblemKind};

const MAX_DAYS: i64 = 3_650;

/// What was found among the requests of a task.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct TopicsBody {
    /// When somebody looked last.
    found_at: String,
    #[serde(flatten)]
    found: Discovered,
}

/// Show what people ask about, what goes wrong again and again, and what they ask that no label is for
#[utoipa::path(get, path = "/v1/tasks/{task}/topics", tag = "loop", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")),
    responses((status = 200, body = TopicsBody), (status = 404, description = "nobody has looked yet", body = ProblemBody)))]
pub(crate) async fn show(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<TopicsBody>, Problem> {
    caller.require(Scope::Read)?;
    let task = state.engine.get_task(caller.project, &name).await?;
    let latest = state.engine.latest_discovery(task.task_id()).await?;
    let Some((at_us, found)) = latest else {
        let detail = format!("nobody has looked at the requests of \"{name}\" yet; POST here to do so");
        return Err(Problem::new(ProblemKind::NotFound, detail));
    };
    Ok(Json(TopicsBody {
        found_at: format_rfc3339(at_us),
        found,
    }))
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiscoverParams {
    /// Requests of the last days, 1 to 3650; 30 when absent. The latest 20,000 are looked at.
    days: Option<i64>,
}

/// Look at the latest requests of a task
#[utoipa::path(post, path = "/v1/tasks/{task}/topics", tag = "loop", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task"), DiscoverParams),
    responses((status = 202, body = StartedBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn discover(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
    Params(params): Params<DiscoverParams>,
) -> Result<(StatusCode, Json<StartedBody>), Problem> {
    caller.require(Scope::Operate)?;
    if params.days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
        return Err(Problem::field("/query/days", format!("give 1 to {MAX_DAYS}")));
    }
    let task = state.engine.get_task(caller.project, &name).await?;
    let job = state.engine.start_discovery(&task, params.days).await?;
    state.worker.wake();
    Ok((
        StatusCode::ACCEPTED,
        Json(StartedBody {
            job_id: job.0,
            run_id: None,
        }),
    ))
}
