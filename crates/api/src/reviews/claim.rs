//! `POST /v1/reviews/claim`: gives a reviewer something to look at.

use axum::Json;
use axum::extract::State;
use hone_domain::{ReviewKind, ReviewReason, Scope, format_rfc3339};
use hone_engine::ClaimedReview;
use hone_storage::reviews::Filter;
use uuid::Uuid;

use super::ReviewBody;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

const MAX_CLAIMED: usize = 50;

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimRequest {
    /// Name of the task.
    task: String,
    /// Who looks at it; the name of the key when absent.
    reviewer: Option<String>,
    /// Only for this reason.
    reason: Option<ReviewReason>,
    /// Only of this kind.
    kind: Option<ReviewKind>,
    /// Only with this label.
    label: Option<String>,
    /// How many, 1 to 50; 1 when absent.
    limit: Option<usize>,
}

/// An item with the claim on it.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ClaimedReviewBody {
    #[serde(flatten)]
    review: ReviewBody,
    /// Send it with the answer.
    token: Uuid,
    /// Until when the claim holds; then somebody else gets the item.
    until: String,
}

impl From<ClaimedReview> for ClaimedReviewBody {
    fn from(claimed: ClaimedReview) -> Self {
        Self {
            review: claimed.review.into(),
            token: claimed.token,
            until: format_rfc3339(claimed.until_us),
        }
    }
}

/// Claim what teaches most, to look at it; an empty list says that there is nothing
#[utoipa::path(post, path = "/v1/reviews/claim", tag = "reviews", security(("key" = [])), request_body = ClaimRequest,
    responses((status = 200, body = Vec<ClaimedReviewBody>), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    JsonBody(request): JsonBody<ClaimRequest>,
) -> Result<Json<Vec<ClaimedReviewBody>>, Problem> {
    caller.require(Scope::Review)?;
    let limit = request.limit.unwrap_or(1);
    if !(1..=MAX_CLAIMED).contains(&limit) {
        let detail = format!("is {limit}; give 1 to {MAX_CLAIMED}");
        return Err(Problem::field("/limit", detail));
    }
    let task = state.engine.get_task(caller.project, &request.task).await?;
    let filter = Filter {
        reason: request.reason,
        kind: request.kind,
        label: request.label,
    };
    let reviewer = request.reviewer.as_deref().unwrap_or(caller.key_name());
    let claimed = state
        .engine
        .claim_reviews(&task, reviewer, &filter, limit)
        .await?;
    Ok(Json(claimed.into_iter().map(ClaimedReviewBody::from).collect()))
}
