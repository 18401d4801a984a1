//! `POST /v1/deployments`: makes a version serve, at once or as a plan says.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hone_domain::{DeploymentPlan, Scope, require_text};
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
    /// The version, such as `1.2.0`; give this or `versions`.
    version: Option<String>,
    /// Several versions for an A/B test or a bandit.
    versions: Option<Vec<String>>,
    /// How it comes to serve; everything at once when absent.
    #[serde(default, deserialize_with = "hone_domain::optional_object")]
    plan: Option<DeploymentPlan>,
    /// Why, for the record.
    #[serde(default)]
    reason: Option<String>,
}

impl CreateDeploymentRequest {
    fn wanted(&mut self) -> Result<DeployRequest, Problem> {
        let versions = match (self.version.take(), self.versions.take()) {
            (Some(version), None) => vec![version],
            (None, Some(versions)) => versions,
            _ => return Err(Problem::field("/version", "give either version or versions")),
        };
        Ok(match (self.plan.take(), <[String; 1]>::try_from(versions)) {
            (None, Ok([version])) => DeployRequest::Version(version),
            (None, Err(_)) => {
                let detail = "is missing; several versions take a plan of strategy ab or bandit";
                return Err(Problem::field("/plan", detail));
            }
            (Some(plan), versions) => DeployRequest::Plan {
                versions: versions.map_or_else(|several| several, Vec::from),
                plan: Box::new(plan),
            },
        })
    }
}

/// Make a version serve its task, on every server within a second: all at once, or as a plan says
#[utoipa::path(post, path = "/v1/deployments", tag = "models", security(("key" = [])),
    request_body = CreateDeploymentRequest,
    responses((status = 201, body = DeploymentBody), (status = 404, body = ProblemBody),
        (status = 409, description = "another deployment shares the task's traffic", body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    key: IdempotencyKey,
    JsonBody(mut request): JsonBody<CreateDeploymentRequest>,
) -> Result<(StatusCode, Json<DeploymentBody>), Problem> {
    caller.require(Scope::Operate)?;
    let wanted = request.wanted()?;
    let reason = request.reason.as_deref().unwrap_or("asked for by hand");
    require_text("/reason", reason)?;
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
