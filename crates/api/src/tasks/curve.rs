//! `GET /v1/tasks/{task}/curve`: the learning curve.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{Scope, format_rfc3339};
use hone_engine::learning_curve;
use uuid::Uuid;

use crate::auth::Caller;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// One evaluated run.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct CurvePointBody {
    /// When it was evaluated.
    at: String,
    /// The version it registered.
    model_version_id: Option<Uuid>,
    /// Accuracy on the held-out rows.
    accuracy: f64,
    /// macro-F1 on the held-out rows.
    macro_f1: f64,
    /// Whether the gate accepted it.
    accepted: bool,
    /// Rows held out.
    held_out: usize,
}

/// Show the learning curve of a task: its evaluated runs, oldest first
#[utoipa::path(get, path = "/v1/tasks/{task}/curve", tag = "tasks", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")),
    responses((status = 200, body = Vec<CurvePointBody>), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<Vec<CurvePointBody>>, Problem> {
    caller.require(Scope::Read)?;
    let task = state.engine.get_task(caller.project, &name).await?;
    let points = learning_curve(&state.engine.db, task.task_id()).await?;
    let bodies = points.into_iter().map(|point| CurvePointBody {
        at: format_rfc3339(point.at_us),
        model_version_id: point.model_version_id,
        accuracy: point.accuracy,
        macro_f1: point.macro_f1,
        accepted: point.accepted,
        held_out: point.held_out,
    });
    Ok(Json(bodies.collect()))
}
