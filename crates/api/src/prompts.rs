//! `POST /v1/prompts`: a structured prompt from a person's wish, and what a model makes of it.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use hone_domain::{Profile, Scope, parse_json};
use hone_gateway::{Dialect, PromptRequest, Refusal, RefusalKind, refuse};
use serde_json::Value;
use tokio::time::Instant;

use crate::AppState;
use crate::passing::{caller_with, read_body};

/// What was made.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct PromptBody {
    /// What feedback is given on; absent where nothing is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction_id: Option<String>,
    /// The prompt that was sent.
    structured_prompt: String,
    /// What the model made of it.
    output: String,
    /// The model that answered.
    model: String,
    tokens_input: u64,
    tokens_output: u64,
    tokens_total: u64,
    processing_time_ms: f64,
    /// The profile that was applied.
    profile: Profile,
}

/// Generate a prompt
///
/// From a person's input, a target tool, a language and a use case: a structured prompt by the task's version (or a built-in
/// one), with the person's profile applied, and what the task's model makes of it. Recorded; edits and ratings of it by
/// `POST /v1/feedback` teach the profile. A version's template has the inputs `input`, `target_tool`, `language`,
/// `use_case` and `profile` with `style`, `length` and `detail`.
#[utoipa::path(post, path = "/v1/prompts", tag = "gateway", security(("key" = [])),
    request_body = PromptRequest,
    responses(
        (status = 200, body = PromptBody),
        (status = 400, description = "a field cannot be taken", body = Object),
        (status = 502, description = "the provider's answer cannot be used", body = Object),
    ))]
pub(crate) async fn handle(State(state): State<AppState>, request: Request) -> Response {
    match generate(&state, request).await {
        Ok(response) => response,
        Err(refusal) => refuse(&refusal, Dialect::OpenAi).map(Body::new),
    }
}

async fn generate(state: &AppState, request: Request) -> Result<Response, Refusal> {
    let started = Instant::now();
    let caller = caller_with(state, request.headers(), Scope::Predict).await?;
    let body = read_body(state, request).await?;
    let wish: PromptRequest =
        parse_json(&body).map_err(|error| Refusal::new(RefusalKind::Invalid, error.to_string()))?;
    let generated = Box::pin(state.gateway.generate_prompt(&caller, wish)).await?;
    let (parts, reply) = generated.response.into_parts();
    if !parts.status.is_success() {
        return Ok(Response::from_parts(parts, Body::new(reply)));
    }
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let reply: Value = serde_json::from_slice(&reply.into_whole().unwrap_or_default()).unwrap_or_default();
    let tokens = |name: &str| reply["usage"][name].as_u64().unwrap_or(0);
    let (tokens_input, tokens_output) = (tokens("prompt_tokens"), tokens("completion_tokens"));
    Ok(Json(PromptBody {
        interaction_id: header("x-hone-interaction-id"),
        structured_prompt: generated.structured_prompt,
        output: reply["choices"][0]["message"]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        model: header("x-hone-model").unwrap_or_default(),
        tokens_input,
        tokens_output,
        tokens_total: tokens_input + tokens_output,
        processing_time_ms: started.elapsed().as_secs_f64() * 1e3,
        profile: generated.profile,
    })
    .into_response())
}
