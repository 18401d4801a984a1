//! The OpenAPI document and a page to browse it.

use std::fmt::Write as _;

use axum::Router;
use axum::http::header;
use axum::response::Html;
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;

use crate::AppState;

pub(crate) fn router(document: &OpenApi) -> Router<AppState> {
    let json = document.to_json().unwrap_or_default();
    let page = render(document);
    Router::new()
        .route(
            "/openapi.json",
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], json) }),
        )
        .route("/docs", get(move || async move { Html(page) }))
}

/// A plain list of the operations; needs no script and nothing from elsewhere.
fn render(document: &OpenApi) -> String {
    let mut page = String::from(
        "<!doctype html><meta charset=utf-8><title>Hone API</title><style>body{font:16px/1.5 system-ui;max-width:60rem;\
         margin:2rem auto;padding:0 1rem}code{background:#eee;padding:.1em .3em}dt{margin-top:1rem}</style>\
         <h1>Hone API</h1><p>The machine-readable document is at <a href=/openapi.json>/openapi.json</a>. \
         Send <code>Authorization: Bearer &lt;key&gt;</code>.</p><dl>",
    );
    for (path, item) in &document.paths.paths {
        let operations = [
            ("GET", &item.get),
            ("POST", &item.post),
            ("PUT", &item.put),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                let _ = write!(
                    page,
                    "<dt><code>{method} {}</code><dd>{}",
                    escape(path),
                    describe(operation)
                );
            }
        }
    }
    page.push_str("</dl>");
    page
}

fn describe(operation: &Operation) -> String {
    let summary = operation.summary.as_deref().unwrap_or_default();
    escape(summary)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
