//! `POST /v1/reviews/{id}/decision`: an editor's word.

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
pub(crate) struct ReviewDecisionRequest {
    /// Who decides; the name of the key when absent.
    editor: Option<String>,
    #[serde(flatten)]
    said: VerdictRequest,
}

/// Decide on an item alone, as an editor; also on one about which reviewers disagree
#[utoipa::path(post, path = "/v1/reviews/{id}/decision", tag = "reviews", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the item")), request_body = ReviewDecisionRequest,
    responses((status = 200, body = ReviewProgressBody), (status = 404, body = ProblemBody),
        (status = 409, description = "it is settled", body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<ReviewDecisionRequest>,
) -> Result<Json<ReviewProgressBody>, Problem> {
    caller.require(Scope::Edit)?;
    let id: ReviewId = path_id(&id)?;
    let editor = request.editor.as_deref().unwrap_or(caller.key_name());
    let progress = state
        .engine
        .decide_review(caller.project, id, editor, request.said.into())
        .await?;
    state.worker.wake();
    Ok(Json(progress.into()))
}
