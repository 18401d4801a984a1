//! `GET /openai/v1/models`: what can be given as `model`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use hone_domain::ProjectId;
use hone_gateway::{Dialect, ListedModel, Refusal, RefusalKind, refuse};

use crate::AppState;
use crate::passing::caller_of;

/// Models that can be asked for
///
/// The project's tasks as `task:<name>`, and what each provider lists as `provider/model`.
#[utoipa::path(get, path = "/openai/v1/models", tag = "gateway", security(("key" = [])),
    responses((status = 200, description = "a list as OpenAI gives it", body = Object)))]
pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Response {
    match models(&state, &headers).await {
        Ok(models) => Json(serde_json::json!({ "object": "list", "data": models })).into_response(),
        Err(refusal) => refuse(&refusal, Dialect::OpenAi).map(Body::new),
    }
}

/// One model that can be asked for
#[utoipa::path(get, path = "/openai/v1/models/{*model}", tag = "gateway", security(("key" = [])),
    params(("model" = String, Path, description = "`provider/model` or `task:<name>`")),
    responses((status = 200, description = "a model as OpenAI gives it", body = Object), (status = 404, body = Object)))]
pub(crate) async fn show(
    State(state): State<AppState>,
    Path(model): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = models(&state, &headers).await.and_then(|models| {
        let found = models.into_iter().find(|listed| listed.id == model);
        found.ok_or_else(|| {
            let message = format!("model \"{model}\" is not listed; GET /openai/v1/models shows all");
            Refusal::new(RefusalKind::NotFound, message)
        })
    });
    match found {
        Ok(model) => Json(model).into_response(),
        Err(refusal) => refuse(&refusal, Dialect::OpenAi).map(Body::new),
    }
}

async fn models(state: &AppState, headers: &HeaderMap) -> Result<Vec<ListedModel>, Refusal> {
    let caller = caller_of(state, headers).await?;
    state.gateway.list_models(ProjectId(caller.key.project_id)).await
}
