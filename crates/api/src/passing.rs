//! Requests that are passed on to a provider: who calls, and the body as it came. Whatever is wrong is said in the shape
//! that the endpoint's SDKs understand, and not as problem details.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hone_domain::{ProjectId, Scope};
use hone_gateway::{Endpoint, GatewayCaller, Refusal, RefusalKind, refuse_asked};

use crate::AppState;

/// Passes a request on and its reply back.
pub(crate) async fn pass(state: &AppState, endpoint: Endpoint, request: Request) -> Response {
    match read(state, request).await {
        Ok((caller, headers, body)) => {
            // Boxed, so that the futures around it stay small.
            let response = Box::pin(state.gateway.proxy(&caller, endpoint, &headers, body)).await;
            response.map(Body::new)
        }
        Err(refusal) => refuse_asked(&refusal, endpoint).map(Body::new),
    }
}

async fn read(state: &AppState, request: Request) -> Result<(GatewayCaller, HeaderMap, Bytes), Refusal> {
    let caller = caller_of(state, request.headers()).await?;
    let headers = request.headers().clone();
    let body = read_body(state, request).await?;
    Ok((caller, headers, body))
}

/// The whole body within the limit.
pub(crate) async fn read_body(state: &AppState, request: Request) -> Result<Bytes, Refusal> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let status = rejection.into_response().status();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let message = format!("send at most {} bytes", crate::MAX_PASSED_BYTES);
            return Refusal::new(RefusalKind::TooLarge, message);
        }
        let message = format!("the body ended early or is not what its headers say ({status})");
        Refusal::new(RefusalKind::Invalid, message)
    })
}

/// The key of a request to a model, with its project.
pub(crate) async fn caller_of(state: &AppState, headers: &HeaderMap) -> Result<GatewayCaller, Refusal> {
    caller_with(state, headers, Scope::Predict).await
}

/// The key, as OpenAI's SDKs send it or as Anthropic's do, with its project; refused where it lacks the scope.
pub(crate) async fn caller_with(
    state: &AppState,
    headers: &HeaderMap,
    scope: Scope,
) -> Result<GatewayCaller, Refusal> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let secret = bearer.or_else(|| text(header::HeaderName::from_static("x-api-key")));
    let Some(secret) = secret.map(str::trim) else {
        let message = "send a key of Hone as Authorization: Bearer <key> or x-api-key: <key>; `hone key create` makes one";
        return Err(Refusal::new(RefusalKind::Unauthorized, message));
    };
    let unavailable = |error| Refusal::of_database("keys cannot be read", &error);
    let Some(key) = state.find_key(secret).await.map_err(unavailable)? else {
        let message =
            "this key is not known to Hone, was revoked or has expired; `hone key create` makes another";
        return Err(Refusal::new(RefusalKind::Unauthorized, message));
    };
    if !key.scopes.allows(scope) {
        let message =
            format!("this key lacks the scope {scope}; make one with `hone key create --scopes {scope}`");
        return Err(Refusal::new(RefusalKind::Forbidden, message));
    }
    let project = ProjectId(key.project_id);
    let privacy = state.engine.privacy(project).await.map_err(unavailable)?;
    let project_limits = state.project(project).await.map_err(unavailable)?.limits;
    Ok(GatewayCaller {
        key,
        privacy,
        project_limits,
    })
}
