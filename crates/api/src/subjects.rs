//! `POST /v1/subjects/{user_id}/opt-out`, `DELETE` of the same: whether anything of a person may be learned from.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::Scope;

use crate::auth::Caller;
use crate::{AppState, Problem};

/// Note that nothing of a person may be learned from any more
///
/// Their interactions become no examples, and those that are there go into no further dataset.
#[utoipa::path(post, path = "/v1/subjects/{user_id}/opt-out", tag = "privacy", security(("key" = [])),
    params(("user_id" = String, Path, description = "the client's id of the person")),
    responses((status = 204, description = "noted")))]
pub(crate) async fn opt_out(
    caller: Caller,
    State(state): State<AppState>,
    Path(user_id): Path<String>,
) -> Result<StatusCode, Problem> {
    set(&caller, &state, &user_id, true).await
}

/// Note that a person may be learned from again
#[utoipa::path(delete, path = "/v1/subjects/{user_id}/opt-out", tag = "privacy", security(("key" = [])),
    params(("user_id" = String, Path, description = "the client's id of the person")),
    responses((status = 204, description = "noted")))]
pub(crate) async fn opt_in(
    caller: Caller,
    State(state): State<AppState>,
    Path(user_id): Path<String>,
) -> Result<StatusCode, Problem> {
    set(&caller, &state, &user_id, false).await
}

async fn set(
    caller: &Caller,
    state: &AppState,
    user_id: &str,
    opted_out: bool,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Record)?;
    state
        .engine
        .set_opted_out(caller.project, user_id, opted_out)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
