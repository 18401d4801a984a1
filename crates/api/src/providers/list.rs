//! `GET /v1/providers`.

use axum::Json;
use axum::extract::State;
use hone_domain::Scope;
use hone_storage::providers;

use super::ProviderBody;
use crate::auth::Caller;
use crate::{AppState, Problem};

/// The providers that the project brought itself
#[utoipa::path(get, path = "/v1/providers", tag = "gateway", security(("key" = [])),
    responses((status = 200, body = [ProviderBody])))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
) -> Result<Json<Vec<ProviderBody>>, Problem> {
    caller.require(Scope::Read)?;
    let mut conn = state.engine.db.read().await?;
    let rows = providers::list(&mut conn, caller.project).await?;
    Ok(Json(rows.into_iter().map(ProviderBody::from).collect()))
}
