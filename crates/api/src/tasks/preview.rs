//! `POST /v1/tasks/{task}/curate/preview`: a dry run of curation.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{CurationPolicy, Scope};
use hone_engine::CurationPreview;

use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PreviewRequest {
    /// Curation as it would be; what is left out has its default. The task's own when absent.
    #[serde(deserialize_with = "hone_domain::optional_object")]
    curation: Option<CurationPolicy>,
    /// Look at all examples in place of only what is new.
    again: bool,
}

/// Show what curation would change, and change nothing
///
/// Looks at 2,000 interactions and examples at most.
#[utoipa::path(post, path = "/v1/tasks/{task}/curate/preview", tag = "loop", security(("key" = [])),
    params(("task" = String, Path, description = "name of the task")), request_body = PreviewRequest,
    responses((status = 200, body = CurationPreview), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<PreviewRequest>,
) -> Result<Json<CurationPreview>, Problem> {
    caller.require(Scope::Operate)?;
    let task = state.engine.get_task(caller.project, &name).await?;
    let preview = state
        .engine
        .preview_curation(&task, request.curation, request.again)
        .await?;
    Ok(Json(preview))
}
