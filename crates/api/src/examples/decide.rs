//! `POST /v1/examples/{id}/decision`: what a person says of an example.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{ExampleId, ExampleVerdict, Scope, require_name, require_text};
use hone_engine::ExampleDecision;

use super::ExampleBody;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionRequest {
    /// What becomes of it.
    verdict: ExampleVerdict,
    /// The right label, where it is another one.
    label: Option<String>,
    /// The right answer, where it is another one.
    target: Option<String>,
    /// Why, for the record.
    reason: Option<String>,
}

/// Decide on an example, or undo what curation decided; curation does not overrule it
#[utoipa::path(post, path = "/v1/examples/{id}/decision", tag = "examples", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the example")), request_body = DecisionRequest,
    responses((status = 200, body = ExampleBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<DecisionRequest>,
) -> Result<Json<ExampleBody>, Problem> {
    caller.require(Scope::Edit)?;
    if let Some(label) = &request.label {
        require_name("/label", label)?;
    }
    for (pointer, text) in [("/target", &request.target), ("/reason", &request.reason)] {
        if let Some(text) = text {
            require_text(pointer, text)?;
        }
    }
    let decision = ExampleDecision {
        verdict: request.verdict,
        label: request.label,
        target: request.target,
        reason: request.reason,
    };
    let id: ExampleId = path_id(&id)?;
    let example = state.engine.decide_example(caller.project, id, decision).await?;
    Ok(Json(example.into()))
}
