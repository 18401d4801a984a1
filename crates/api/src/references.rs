//! `POST /v1/references`: logs a gold-standard interaction.

use axum::extract::{Request, State};
use axum::response::Response;
use hone_domain::{NewInteraction, Scope, parse_json};
use hone_engine::RecordBatch;

use crate::auth::Caller;
use crate::body::read_bytes;
use crate::interactions::record::{RecordedBody, add, answer, derived_id, idempotency_key};
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
    let key = idempotency_key(&request)?;
    let mut new: NewInteraction = parse_json(&read_bytes(request, &state).await?)?;
    if let (None, Some(key)) = (new.id, key) {
        new.id = Some(derived_id(&caller, "reference", &key));
    }
    let mut batch = RecordBatch::default();
    add(&caller, &state, &mut batch, new, true).await?;
    let recorded = state.engine.recorder().write(batch).await?;
    answer(recorded.first().copied())
}
