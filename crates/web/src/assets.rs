//! Files that pages load, embedded into the binary.

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

pub(crate) fn router() -> Router {
    Router::new().route("/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Response {
    let (content_type, body) = match name.as_str() {
        "htmx.min.js" => ("text/javascript", include_str!("../assets/htmx.min.js")),
        "uplot.min.js" => ("text/javascript", include_str!("../assets/uplot.min.js")),
        "hone.js" => ("text/javascript", include_str!("../assets/hone.js")),
        "uplot.min.css" => ("text/css", include_str!("../assets/uplot.min.css")),
        "hone.css" => ("text/css", include_str!("../assets/hone.css")),
        _ => return (StatusCode::NOT_FOUND, "no such asset").into_response(),
    };
    (
        [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, "max-age=3600"),
        ],
        body,
    )
        .into_response()
}
