//! `GET /v1/alerts/routes`, `PUT` and `DELETE /v1/alerts/routes/{name}`, `GET …/{name}/key`, `POST …/{name}/test`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::Scope;
use hone_engine::{RouteChange, ShownRoute};
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

/// The routes of a project.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct RoutesBody {
    /// By name.
    items: Vec<ShownRoute>,
}

/// What signatures are checked with.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct RouteKeyBody {
    /// In the form of the Standard Webhooks specification: `whsec_` and base64.
    key: String,
}

/// A message that was queued.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct RouteTestBody {
    /// Its place in the log of deliveries.
    delivery_id: Uuid,
}

/// List how people are told of alerts
#[utoipa::path(get, path = "/v1/alerts/routes", tag = "observe", security(("key" = [])),
    responses((status = 200, body = RoutesBody)))]
pub(crate) async fn list(caller: Caller, State(state): State<AppState>) -> Result<Json<RoutesBody>, Problem> {
    caller.require(Scope::Read)?;
    let items = state.engine.alert_routes(caller.project).await?;
    Ok(Json(RoutesBody { items }))
}

/// Set how people are told of alerts: by e-mail, signed webhook or Slack
#[utoipa::path(put, path = "/v1/alerts/routes/{name}", tag = "observe", security(("key" = [])),
    params(("name" = String, Path, description = "its name")), request_body = RouteChange,
    responses((status = 200, body = ShownRoute), (status = 422, body = ProblemBody)))]
pub(crate) async fn set(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
    JsonBody(change): JsonBody<RouteChange>,
) -> Result<Json<ShownRoute>, Problem> {
    caller.require(Scope::Operate)?;
    Ok(Json(
        state
            .engine
            .set_alert_route(caller.project, &name, change)
            .await?,
    ))
}

/// Show the key that a webhook's signatures are checked with
#[utoipa::path(get, path = "/v1/alerts/routes/{name}/key", tag = "observe", security(("key" = [])),
    params(("name" = String, Path, description = "its name")),
    responses((status = 200, body = RouteKeyBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn key(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<RouteKeyBody>, Problem> {
    caller.require(Scope::Operate)?;
    let key = state.engine.alert_route_key(caller.project, &name).await?;
    Ok(Json(RouteKeyBody { key }))
}

/// Send a message that tries a route; the log of deliveries says how it went
#[utoipa::path(post, path = "/v1/alerts/routes/{name}/test", tag = "observe", security(("key" = [])),
    params(("name" = String, Path, description = "its name")),
    responses((status = 202, body = RouteTestBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn test(
    caller: Caller,
    State(state): State<AppState>,
    idempotency: IdempotencyKey,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<RouteTestBody>), Problem> {
    caller.require(Scope::Operate)?;
    let id = idempotency.id(caller.project, "delivery");
    let delivery_id = state.engine.try_alert_route(caller.project, &name, id).await?;
    state.worker.wake();
    Ok((StatusCode::ACCEPTED, Json(RouteTestBody { delivery_id })))
}

/// Remove a route
#[utoipa::path(delete, path = "/v1/alerts/routes/{name}", tag = "observe", security(("key" = [])),
    params(("name" = String, Path, description = "its name")),
    responses((status = 204, description = "removed"), (status = 404, body = ProblemBody)))]
pub(crate) async fn remove(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Operate)?;
    state.engine.remove_alert_route(caller.project, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
