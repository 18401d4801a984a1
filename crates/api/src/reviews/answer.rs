//! `POST /v1/reviews/{id}`: a reviewer's answer.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{ReviewId, Scope};

use super::{ReviewProgressBody, VerdictRequest};
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
pub(crate) struct AnswerRequest {
    /// The token of the claim.
    token: uuid::Uuid,
    #[serde(flatten)]
    said: VerdictRequest,
}

/// Answer an item that you have claimed
///
/// When as many people have answered as are wanted, what most of them say becomes feedback of an expert. Skipping is no review.
#[utoipa::path(post, path = "/v1/reviews/{id}", tag = "reviews", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the item")), request_body = AnswerRequest,
    responses((status = 200, body = ReviewProgressBody), (status = 404, body = ProblemBody),
        (status = 409, description = "the claim has run out", body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<AnswerRequest>,
) -> Result<Json<ReviewProgressBody>, Problem> {
    caller.require(Scope::Review)?;
    let id: ReviewId = path_id(&id)?;
    let progress = state
        .engine
        .answer_review(caller.project, id, request.token, request.said.into())
        .await?;
    state.worker.wake();
    Ok(Json(progress.into()))
}
