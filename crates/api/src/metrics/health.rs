//! `GET /v1/health`.

use axum::Json;
use axum::extract::State;
use hone_domain::Scope;
use hone_engine::Health;

use crate::auth::Caller;
use crate::{AppState, Problem};

/// Show how healthy the project is, with reasons and recommendations, and how far each task is from its next training
#[utoipa::path(get, path = "/v1/health", tag = "observe", security(("key" = [])),
    responses((status = 200, body = Health)))]
pub(crate) async fn handle(caller: Caller, State(state): State<AppState>) -> Result<Json<Health>, Problem> {
    caller.require(Scope::Read)?;
    Ok(Json(state.engine.health(caller.project).await?))
}
