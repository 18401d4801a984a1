//! `GET /v1/subjects/{user_id}/profile`.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::Scope;

use super::{ProfileBody, subject_of};
use crate::auth::Caller;
use crate::{AppState, Problem};

/// Show how a person likes answers
#[utoipa::path(get, path = "/v1/subjects/{user_id}/profile", tag = "gateway", security(("key" = [])),
    params(("user_id" = String, Path, description = "the client's id of the person")),
    responses((status = 200, body = ProfileBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(user_id): Path<String>,
) -> Result<Json<ProfileBody>, Problem> {
    caller.require(Scope::Read)?;
    let subject = subject_of(&state, &caller, &user_id).await?;
    Ok(Json(state.engine.profile(caller.project, subject).await?.into()))
}
