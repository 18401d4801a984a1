//! `GET /v1/datasets/compare`: what came, went and changed from one dataset to another.

use axum::Json;
use axum::extract::State;
use hone_domain::Scope;
use hone_engine::DatasetComparison;

use crate::auth::Caller;
use crate::page::Params;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CompareParams {
    /// The dataset before: its id or a tag.
    a: String,
    /// The dataset after: its id or a tag.
    b: String,
}

/// Compare two datasets: what came, what went, whose label or part changed
#[utoipa::path(get, path = "/v1/datasets/compare", tag = "examples", security(("key" = [])), params(CompareParams),
    responses((status = 200, body = DatasetComparison), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<CompareParams>,
) -> Result<Json<DatasetComparison>, Problem> {
    caller.require(Scope::Read)?;
    let engine = &state.engine;
    let before = engine.find_dataset(caller.project, None, &params.a).await?;
    let after = engine.find_dataset(caller.project, None, &params.b).await?;
    Ok(Json(engine.compare_datasets(&before, &after).await?))
}
