//! `POST /v1/feedback`: any kind of feedback on an interaction or a conversation.

use axum::extract::{Request, State};
use axum::response::Response;
use hone_domain::{NewFeedback, Scope, parse_json};
use hone_engine::RecordBatch;

use crate::auth::Caller;
use crate::body::read_bytes;
use crate::interactions::record::{RecordedBody, answer};
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

/// Record feedback; it may come before its interaction
#[utoipa::path(post, path = "/v1/feedback", tag = "record", security(("key" = [])), request_body = NewFeedback,
    responses(
        (status = 201, body = RecordedBody),
        (status = 409, description = "the id is taken by other feedback", body = ProblemBody),
        (status = 422, description = "a field cannot be taken", body = ProblemBody),
        (status = 429, description = "the write queue is full", body = ProblemBody),
    ))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::Record)?;
    let key = IdempotencyKey::of(request.headers())?;
    let mut new: NewFeedback = parse_json(&read_bytes(request, &state).await?)?;
    new.id = new.id.or(key.id(caller.project, "feedback"));
    let privacy = state.engine.privacy(caller.project).await?;
    let mut batch = RecordBatch::default();
    state
        .engine
        .recorder()
        .add_feedback(&mut batch, caller.project, &privacy, new)?;
    let recorded = state.engine.recorder().write(batch).await?;
    answer(recorded.first().copied())
}
