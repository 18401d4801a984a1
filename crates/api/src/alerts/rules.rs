//! `GET /v1/alerts/rules`, `PUT` and `DELETE /v1/alerts/rules/{name}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::{AlertRule, Scope};
use hone_engine::ShownRule;

use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// The rules of a project.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct RulesBody {
    /// By name.
    items: Vec<ShownRule>,
}

/// List the rules that alert people: the shipped ones and the project's own
#[utoipa::path(get, path = "/v1/alerts/rules", tag = "observe", security(("key" = [])),
    responses((status = 200, body = RulesBody)))]
pub(crate) async fn list(caller: Caller, State(state): State<AppState>) -> Result<Json<RulesBody>, Problem> {
    caller.require(Scope::Read)?;
    let items = state.engine.alert_rules(caller.project).await?;
    Ok(Json(RulesBody { items }))
}

/// Set a rule that alerts people
#[utoipa::path(put, path = "/v1/alerts/rules/{name}", tag = "observe", security(("key" = [])),
    params(("name" = String, Path, description = "its name")), request_body = AlertRule,
    responses((status = 200, body = AlertRule), (status = 422, body = ProblemBody)))]
pub(crate) async fn set(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
    JsonBody(rule): JsonBody<AlertRule>,
) -> Result<Json<AlertRule>, Problem> {
    caller.require(Scope::Operate)?;
    state.engine.set_alert_rule(caller.project, &name, &rule).await?;
    Ok(Json(rule))
}

/// Remove a rule; a shipped one is as it was shipped again
#[utoipa::path(delete, path = "/v1/alerts/rules/{name}", tag = "observe", security(("key" = [])),
    params(("name" = String, Path, description = "its name")),
    responses((status = 204, description = "removed"), (status = 404, body = ProblemBody),
        (status = 409, description = "a shipped rule that nobody has changed", body = ProblemBody)))]
pub(crate) async fn remove(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Operate)?;
    state.engine.remove_alert_rule(caller.project, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
