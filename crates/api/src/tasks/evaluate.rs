//! `POST /v1/tasks/{task}/evaluate`: measures a version on the held-out part of a dataset.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{DatasetId, Scope};
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvaluateRequest {
    /// The version, such as `1.2.0`; the one that serves when absent.
    version: Option<String>,
    /// The dataset; the task's latest when absent.
    dataset_id: Option<Uuid>,
}

/// An evaluation of one version.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct EvaluationBody {
    /// The version measured.
    version: String,
    /// The dataset it was measured on.
    dataset_id: Uuid,
    /// Accuracy, macro averages, calibration, per-label metrics, confusion matrix and missed rows.
    #[schema(value_type = Object)]
    metrics: serde_json::Value,
}

/// Measure a version on the held-out part of a dataset
#[utoipa::path(post, path = "/v1/tasks/{task}/evaluate", tag = "loop", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")), request_body = EvaluateRequest,
    responses((status = 200, body = EvaluationBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<EvaluateRequest>,
) -> Result<Json<EvaluationBody>, Problem> {
    caller.require(Scope::Operate)?;
    let task = state.engine.get_task(caller.project, &name).await?;
    let dataset = request.dataset_id.map(DatasetId);
    let (version, dataset, evaluation) = state
        .engine
        .evaluate_by_hand(&task, request.version.as_deref(), dataset)
        .await?;
    let metrics = serde_json::to_value(&evaluation).unwrap_or_default();
    Ok(Json(EvaluationBody {
        version: version.version,
        dataset_id: dataset.id,
        metrics,
    }))
}
