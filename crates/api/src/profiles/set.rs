//! `PUT /v1/subjects/{user_id}/profile`.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{Profile, Scope};

use super::{ProfileBody, subject_of};
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Set how a person likes answers
///
/// What is left out is learned from their edits and ratings.
#[utoipa::path(put, path = "/v1/subjects/{user_id}/profile", tag = "gateway", security(("key" = [])),
    params(("user_id" = String, Path, description = "the client's id of the person")),
    request_body = Profile,
    responses((status = 200, body = ProfileBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(user_id): Path<String>,
    JsonBody(profile): JsonBody<Profile>,
) -> Result<Json<ProfileBody>, Problem> {
    caller.require(Scope::Record)?;
    let subject = subject_of(&state, &caller, &user_id).await?;
    state
        .engine
        .set_profile(caller.project, subject, &profile)
        .await?;
    Ok(Json(state.engine.profile(caller.project, subject).await?.into()))
}
