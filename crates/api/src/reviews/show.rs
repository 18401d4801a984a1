//! `GET /v1/reviews/{id}`: one item with what was said of it.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{ReviewId, Scope};
use hone_storage::reviews;

use super::{ReviewAnswerBody, ReviewBody};
use crate::auth::Caller;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// An item with what was said of it.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ReviewDetail {
    #[serde(flatten)]
    review: ReviewBody,
    /// What reviewers said, earliest first.
    answers: Vec<ReviewAnswerBody>,
}

/// Show an item with what was said of it
#[utoipa::path(get, path = "/v1/reviews/{id}", tag = "reviews", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the item")),
    responses((status = 200, body = ReviewDetail), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<ReviewDetail>, Problem> {
    caller
        .require(Scope::Edit)
        .or_else(|_| caller.require(Scope::Read))?;
    let id: ReviewId = path_id(&id)?;
    let review = state.engine.get_review(caller.project, id).await?.into();
    let answers = reviews::list_answers(&mut state.engine.db.read().await?, id).await?;
    Ok(Json(ReviewDetail {
        review,
        answers: answers.into_iter().map(ReviewAnswerBody::from).collect(),
    }))
}
