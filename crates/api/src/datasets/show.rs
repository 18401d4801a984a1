//! `GET /v1/datasets/{id}`: one dataset.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::Scope;

use super::DatasetBody;
use crate::auth::Caller;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Show a dataset with its statistics
#[utoipa::path(get, path = "/v1/datasets/{id}", tag = "examples", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the dataset")),
    responses((status = 200, body = DatasetBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<DatasetBody>, Problem> {
    caller.require(Scope::Read)?;
    let dataset = state.engine.get_dataset(caller.project, path_id(&id)?).await?;
    Ok(Json(dataset.into()))
}
