//! `GET /v1/models/compare`: two versions on the same held-out rows.

use axum::Json;
use axum::extract::State;
use hone_domain::{DatasetId, Scope};
use uuid::Uuid;

use super::get_version;
use crate::auth::Caller;
use crate::page::Params;
use crate::problem::ProblemBody;
use crate::{AppState, Problem, ProblemKind};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CompareParams {
    /// Name of the task.
    task: String,
    /// The first version.
    a: String,
    /// The second version.
    b: String,
}

/// Two versions, measured on the held-out part of the later one's dataset.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ComparisonBody {
    /// The dataset whose held-out part both were measured on.
    dataset_id: Uuid,
    /// Rows compared.
    held_out: usize,
    a: SideBody,
    b: SideBody,
}

/// One side of a comparison.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct SideBody {
    version: String,
    accuracy: f64,
    macro_f1: f64,
    ece: f64,
    log_loss: f64,
}

/// Compare two versions on the same held-out rows
#[utoipa::path(get, path = "/v1/models/compare", tag = "models", security(("key" = [])), params(CompareParams),
    responses((status = 200, body = ComparisonBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<CompareParams>,
) -> Result<Json<ComparisonBody>, Problem> {
    caller.require(Scope::Read)?;
    let task = state.engine.get_task(caller.project, &params.task).await?;
    let mut conn = state.engine.db.read().await?;
    let a = get_version(&mut conn, task.task_id(), &params.a).await?;
    let b = get_version(&mut conn, task.task_id(), &params.b).await?;
    drop(conn);
    let later = if a.number > b.number { &a } else { &b };
    let Some(dataset_id) = later.dataset_id else {
        let detail = "these versions answer through a provider's model and have no held-out rows; compare their feedback";
        return Err(Problem::new(ProblemKind::Conflict, detail));
    };
    let dataset = state
        .engine
        .get_dataset(caller.project, DatasetId(dataset_id))
        .await?;
    let measured_a = state.engine.evaluate_version(&a, &dataset).await?;
    let measured_b = state.engine.evaluate_version(&b, &dataset).await?;
    let side = |version: String, measured: &hone_learn::Evaluation| SideBody {
        version,
        accuracy: measured.accuracy,
        macro_f1: measured.macro_f1,
        ece: measured.ece,
        log_loss: measured.log_loss,
    };
    Ok(Json(ComparisonBody {
        dataset_id: dataset.id,
        held_out: measured_a.sample_count,
        a: side(a.version, &measured_a),
        b: side(b.version, &measured_b),
    }))
}
