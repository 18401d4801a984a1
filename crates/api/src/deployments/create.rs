//! `POST /v1/deployments`: makes a version serve.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hone_domain::{Scope, require_text};
use hone_engine::DeployRequest;

use super::DeploymentBody;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDeploymentRequest {
    /// Name of the task.
    task: String,
    /// The version, such as `1.2.0`.
    version: String,
    /// Why, for the record.
    #[serde(default)]
    reason: Option<String>,
}

/// Make a version serve its task, on every server within a second
#[utoipa::path(post, path = "/v1/deployments", tag = "models", security(("key" = [])),
    request_body = CreateDeploymentRequest,
    responses((status = 201, body = DeploymentBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    key: IdempotencyKey,
    JsonBody(request): JsonBody<CreateDeploymentRequest>,
) -> Result<(StatusCode, Json<DeploymentBody>), Problem> {
    caller.require(Scope::Operate)?;
    let reason = request.reason.as_deref().unwrap_or("asked for by hand");
    require_text("/reason", reason)?;
    let wanted = DeployRequest::Version(request.version);
    let deployment = state
        .engine
        .deploy(
            caller.project,
            &request.task,
            &wanted,
            reason,
            key.id(caller.project, "deployment"),
        )
        .await?;
    Ok((StatusCode::CREATED, Json(deployment.into())))
}
