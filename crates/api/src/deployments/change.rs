//! `POST /v1/deployments/{id}/promote`, `/pause`, `/resume`, `/rollback`: changes a deployment by hand, at any moment.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use hone_domain::{Scope, parse_json, require_text};
use hone_engine::DeploymentChange;
use hone_storage::deployments;

use super::DeploymentBody;
use crate::auth::Caller;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

/// Why, and for a promotion which version. The body may be left out.
#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ChangeDeploymentRequest {
    /// Why, for the record.
    reason: Option<String>,
    /// The version to promote, where the deployment has several.
    version: Option<String>,
}

/// Let a deployment's version serve everything now
#[utoipa::path(post, path = "/v1/deployments/{id}/promote", tag = "models", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the deployment")), request_body = Option<ChangeDeploymentRequest>,
    responses((status = 200, body = DeploymentBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn promote(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
    key: IdempotencyKey,
    body: Bytes,
) -> Result<Json<DeploymentBody>, Problem> {
    let mut request = read(&body)?;
    let change = DeploymentChange::Promote(request.version.take());
    apply(&caller, &state, &id, &key, &change, request).await
}

/// Halt a deployment: its shares stay as they are, and nothing is decided by itself
#[utoipa::path(post, path = "/v1/deployments/{id}/pause", tag = "models", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the deployment")), request_body = Option<ChangeDeploymentRequest>,
    responses((status = 200, body = DeploymentBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn pause(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
    key: IdempotencyKey,
    body: Bytes,
) -> Result<Json<DeploymentBody>, Problem> {
    apply(&caller, &state, &id, &key, &DeploymentChange::Pause, read(&body)?).await
}

/// Let a paused deployment go on
#[utoipa::path(post, path = "/v1/deployments/{id}/resume", tag = "models", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the deployment")), request_body = Option<ChangeDeploymentRequest>,
    responses((status = 200, body = DeploymentBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn resume(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
    key: IdempotencyKey,
    body: Bytes,
) -> Result<Json<DeploymentBody>, Problem> {
    apply(
        &caller,
        &state,
        &id,
        &key,
        &DeploymentChange::Resume,
        read(&body)?,
    )
    .await
}

fn read(body: &Bytes) -> Result<ChangeDeploymentRequest, Problem> {
    if body.is_empty() {
        return Ok(ChangeDeploymentRequest::default());
    }
    Ok(parse_json(body)?)
}

async fn apply(
    caller: &Caller,
    state: &AppState,
    id: &str,
    key: &IdempotencyKey,
    change: &DeploymentChange,
    request: ChangeDeploymentRequest,
) -> Result<Json<DeploymentBody>, Problem> {
    caller.require(Scope::Operate)?;
    if request.version.is_some() {
        return Err(Problem::field(
            "/version",
            "is only taken when a deployment is promoted",
        ));
    }
    let reason = request.reason.as_deref().unwrap_or("asked for by hand");
    require_text("/reason", reason)?;
    let id = path_id(id)?;
    if key.is_given() {
        // Sent again, it has done its work already.
        let found = deployments::find(&mut state.engine.db.read().await?, caller.project, id).await?;
        if let Some(found) = found.filter(|found| Some(found.state) == change.target()) {
            return Ok(Json(found.into()));
        }
    }
    let changed = state
        .engine
        .change_deployment(caller.project, id, change, reason)
        .await?;
    Ok(Json(changed.into()))
}
