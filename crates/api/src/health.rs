//! Liveness, readiness, and metrics for Prometheus.

use axum::Router;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hone_domain::Scope;
use hone_storage::deployments;

use crate::auth::Caller;
use crate::{AppState, Problem, ProblemKind};

pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready when the database answers and what was recorded gets written.
async fn ready(State(state): State<AppState>) -> Result<&'static str, Problem> {
    let mut conn = state.engine.db.read().await?;
    deployments::list_serving(&mut conn).await?;
    if !state.engine.recorder().has_room() {
        let detail = "records wait to be written: the disk is full, or the database slow or out of reach";
        return Err(Problem::new(ProblemKind::Unavailable, detail));
    }
    Ok("ready")
}

/// What the process counted, in Prometheus' text format.
async fn metrics(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    let Some(page) = &state.metrics else {
        return Err(Problem::not_found("page", "/metrics".to_owned()));
    };
    if !page.is_open {
        let (mut parts, _) = request.into_parts();
        Caller::from_request_parts(&mut parts, &state)
            .await?
            .require(Scope::Read)?;
    }
    state.gateway.measure().await?;
    let content_type = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((content_type, (page.render)()).into_response())
}
