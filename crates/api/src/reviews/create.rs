//! `POST /v1/reviews`: puts something into the queue.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hone_domain::{Scope, require_name, require_text};
use hone_engine::NewReview;
use uuid::Uuid;

use super::ReviewBody;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

const MAX_REVIEWERS: i64 = 20;

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateReviewRequest {
    /// Name of the task.
    task: String,
    /// The interaction to ask about.
    interaction_id: Option<Uuid>,
    /// The example to ask about.
    example_id: Option<Uuid>,
    /// Another answer than the interaction's: people are asked which is better.
    alternative: Option<String>,
    /// The label that is known to be right: reviewers are measured by it, and nothing is decided.
    gold_label: Option<String>,
    /// How many people are to look at it; as the task's policy says when absent.
    reviewers: Option<i64>,
}

/// Ask people about an interaction or an example
#[utoipa::path(post, path = "/v1/reviews", tag = "reviews", security(("key" = [])), request_body = CreateReviewRequest,
    responses((status = 201, body = ReviewBody), (status = 404, body = ProblemBody),
        (status = 409, description = "people have decided", body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    JsonBody(request): JsonBody<CreateReviewRequest>,
) -> Result<(StatusCode, Json<ReviewBody>), Problem> {
    caller.require(Scope::Edit)?;
    if let Some(label) = &request.gold_label {
        require_name("/gold_label", label)?;
    }
    if let Some(alternative) = &request.alternative {
        require_text("/alternative", alternative)?;
    }
    if request
        .reviewers
        .is_some_and(|count| !(1..=MAX_REVIEWERS).contains(&count))
    {
        return Err(Problem::field("/reviewers", format!("give 1 to {MAX_REVIEWERS}")));
    }
    let task = state.engine.get_task(caller.project, &request.task).await?;
    let new = NewReview {
        interaction_id: request.interaction_id,
        example_id: request.example_id,
        alternative: request.alternative,
        gold_label: request.gold_label,
        reviewers: request.reviewers,
    };
    let review = state.engine.add_review(&task, new).await?;
    Ok((StatusCode::CREATED, Json(review.into())))
}
