//! `POST /v1/references`: logs a gold-standard interaction.

use axum::extract::{Request, State};
use axum::response::Response;
use hone_domain::{NewInteraction, Scope};

use crate::auth::Caller;
use crate::interactions::record::{RecordedBody, record_one};
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Log a gold-standard interaction, from a better assistant or an expert
#[utoipa::path(post, path = "/v1/references", tag = "record", security(("key" = [])),
    request_body = NewInteraction,
    responses((status = 201, body = RecordedBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::Record)?;
    record_one(&caller, &state, request, true).await
}
