//! `POST /v1/reviews/{id}/release`: gives a claimed item back unanswered.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::{ReviewId, Scope};

use crate::auth::Caller;
use crate::body::JsonBody;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseRequest {
    /// The token of the claim.
    token: uuid::Uuid,
}

/// Give a claimed item back unanswered
#[utoipa::path(post, path = "/v1/reviews/{id}/release", tag = "reviews", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the item")), request_body = ReleaseRequest,
    responses((status = 204, description = "given back"), (status = 409, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<ReleaseRequest>,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Review)?;
    let id: ReviewId = path_id(&id)?;
    state
        .engine
        .release_review(caller.project, id, request.token)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
