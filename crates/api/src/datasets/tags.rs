//! `PUT` and `DELETE /v1/datasets/{id}/tags/{tag}`: names of datasets.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::Scope;

use crate::auth::Caller;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Give a dataset a tag
#[utoipa::path(put, path = "/v1/datasets/{id}/tags/{tag}", tag = "examples", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the dataset"), ("tag" = String, Path, description = "the tag")),
    responses((status = 204, description = "tagged"), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn set(
    caller: Caller,
    State(state): State<AppState>,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Operate)?;
    let dataset = state.engine.get_dataset(caller.project, path_id(&id)?).await?;
    state.engine.tag_dataset(&dataset, &tag).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a tag off a dataset
#[utoipa::path(delete, path = "/v1/datasets/{id}/tags/{tag}", tag = "examples", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the dataset"), ("tag" = String, Path, description = "the tag")),
    responses((status = 204, description = "taken off"), (status = 404, body = ProblemBody)))]
pub(crate) async fn remove(
    caller: Caller,
    State(state): State<AppState>,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Operate)?;
    let dataset = state.engine.get_dataset(caller.project, path_id(&id)?).await?;
    state.engine.untag_dataset(&dataset, &tag).await?;
    Ok(StatusCode::NO_CONTENT)
}
