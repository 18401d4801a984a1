//! `GET /v1/datasets/{id}/export`: a dataset as a file.

use axum::extract::{Path, State};
use axum::response::Response;
use hone_domain::Scope;

use crate::auth::Caller;
use crate::examples::export::{ExportParams, streamed};
use crate::page::{Params, path_id};
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Export a dataset as a file, for us or for other tools, whole or filtered
#[utoipa::path(get, path = "/v1/datasets/{id}/export", tag = "examples", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the dataset"), ExportParams),
    responses((status = 200, description = "the rows"), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Params(params): Params<ExportParams>,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let request = params.request()?;
    if request.format.is_of_preferences() {
        let detail = "preferences come from feedback, not from datasets; ask /v1/examples/export for them";
        return Err(Problem::field("/query/format", detail));
    }
    let dataset = state.engine.get_dataset(caller.project, path_id(&id)?).await?;
    Ok(streamed(
        request.format,
        state.engine.export_dataset(dataset, request),
    ))
}
