//! `DELETE /v1/providers/{name}`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::Scope;
use hone_storage::providers;

use crate::auth::Caller;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Remove a provider of the project
#[utoipa::path(delete, path = "/v1/providers/{name}", tag = "gateway", security(("key" = [])),
    params(("name" = String, Path)),
    responses((status = 204, description = "removed"), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Admin)?;
    let mut conn = state.engine.db.begin().await?;
    if !providers::delete(&mut conn, caller.project, &name).await? {
        return Err(Problem::not_found("provider", name));
    }
    conn.commit().await?;
    state.gateway.forget_provider(caller.project, &name);
    Ok(StatusCode::NO_CONTENT)
}
