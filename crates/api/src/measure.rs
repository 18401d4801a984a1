//! Counts Hone's own requests by path and status; what is passed on to providers is counted by the gateway.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

pub(crate) async fn measure(path: MatchedPath, request: Request, next: Next) -> Response {
    let (started, method) = (Instant::now(), request.method().to_string());
    let response = next.run(request).await;
    let path = path.as_str().to_owned();
    let status = response.status().as_str().to_owned();
    metrics::histogram!("hone_http_request_seconds", "path" => path.clone())
        .record(started.elapsed().as_secs_f64());
    metrics::counter!("hone_http_requests_total", "path" => path, "method" => method, "status" => status)
        .increment(1);
    response
}
