//! `POST /v1/deployments/forecast`: what a plan can be expected to show, before anything starts.

use axum::Json;
use axum::extract::State;
use hone_domain::{DeploymentPlan, Scope};
use hone_engine::Forecast;

use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForecastRequest {
    /// Name of the task.
    task: String,
    /// The plan; the task's own when absent.
    #[serde(default, deserialize_with = "hone_domain::optional_object")]
    plan: Option<DeploymentPlan>,
}

/// Say how long a deployment by a plan is likely to take, and the least difference that it can find
#[utoipa::path(post, path = "/v1/deployments/forecast", tag = "models", security(("key" = [])),
    request_body = ForecastRequest,
    responses((status = 200, body = Forecast), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    JsonBody(request): JsonBody<ForecastRequest>,
) -> Result<Json<Forecast>, Problem> {
    caller.require(Scope::Read)?;
    let task = state.engine.get_task(caller.project, &request.task).await?;
    let plan = request.plan.as_ref().unwrap_or(&task.policy.deployment.plan);
    Ok(Json(state.engine.forecast(&task, plan).await?))
}
