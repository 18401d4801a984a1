//! `DELETE /v1/subjects/{user_id}/profile`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::Scope;

use super::subject_of;
use crate::auth::Caller;
use crate::{AppState, Problem};

/// Forget what was set by hand of how a person likes answers
#[utoipa::path(delete, path = "/v1/subjects/{user_id}/profile", tag = "gateway", security(("key" = [])),
    params(("user_id" = String, Path, description = "the client's id of the person")),
    responses((status = 204, description = "forgotten")))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(user_id): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Record)?;
    let subject = subject_of(&state, &caller, &user_id).await?;
    state.engine.forget_profile(caller.project, subject).await?;
    Ok(StatusCode::NO_CONTENT)
}
