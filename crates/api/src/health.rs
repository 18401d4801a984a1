//! Liveness and readiness.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use hone_storage::deployments;

use crate::{AppState, Problem};

pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
}

/// Ready when the database answers.
async fn ready(State(state): State<AppState>) -> Result<&'static str, Problem> {
    let mut conn = state.engine.db.read().await?;
    deployments::list_serving(&mut conn).await?;
    Ok("ready")
}
