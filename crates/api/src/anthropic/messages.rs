//! `POST /anthropic/v1/messages`: passed on to a provider.

use axum::extract::{Request, State};
use axum::response::Response;
use hone_gateway::Endpoint;

use crate::AppState;
use crate::passing::pass;

/// Messages, as Anthropic's SDKs ask for them
///
/// Plain or streamed. `model` is `provider/model`, a model of the endpoint's own provider, or `task:<name>`. Fields that Hone does not know
/// travel through untouched. Task, conversation, subject, tags and so on come as `x-hone-…` headers or `hone_…` in
/// `metadata`; the reply's header `x-hone-interaction-id` is what feedback is given on.
#[utoipa::path(post, path = "/anthropic/v1/messages", tag = "gateway", security(("key" = [])),
    request_body(content = Object, content_type = "application/json"),
    responses(
        (status = 200, description = "what the provider answers", body = Object),
        (status = 429, description = "a limit is used up, or the provider says so", body = Object),
        (status = 502, description = "the provider's answer cannot be used", body = Object),
        (status = 504, description = "the provider did not answer in time", body = Object),
    ))]
pub(crate) async fn handle(State(state): State<AppState>, request: Request) -> Response {
    pass(&state, Endpoint::Messages, request).await
}
