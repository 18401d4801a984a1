//! `GET /v1/providers`.

use axum::Json;
use axum::extract::State;
use hone_domain::Scope;
use hone_storage::providers;

use super::ProviderBody;
use crate::auth::Caller;
use crate::{AppState, Problem};

/// Providers of a project; there are few, so they come on one page.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ProviderList {
    items: Vec<ProviderBody>,
}

/// The providers that the project brought itself
#[utoipa::path(get, path = "/v1/providers", tag = "gateway", security(("key" = [])),
    responses((status = 200, body = ProviderList)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
) -> Result<Json<ProviderList>, Problem> {
    caller.require(Scope::Read)?;
    let mut conn = state.engine.db.read().await?;
    let rows = providers::list(&mut conn, caller.project).await?;
    let items = rows.into_iter().map(ProviderBody::from).collect();
    Ok(Json(ProviderList { items }))
}
