//! `POST /otlp/v1/traces`: model calls that went another way, told by their traces.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hone_domain::{ProjectId, Scope};
use hone_gateway::{Dialect, Refusal, RefusalKind, TraceEncoding, refuse};

use crate::AppState;
use crate::passing::{caller_with, read_body};

/// Task of spans that name none.
const DEFAULT_TASK: &str = "otlp";
const PROTOBUF: &str = "application/x-protobuf";

/// Export traces of model calls (OTLP)
///
/// OTLP over HTTP as protobuf or JSON, gzip accepted. Spans that ask a model for text become interactions, by the GenAI
/// conventions of OpenTelemetry, their older names, or OpenInference; `gen_ai.evaluation.result` events become feedback.
/// `hone.task` on a span or its resource names the task; without it, or where it does not exist, the task is `otlp`. Other spans are skipped; one that
/// comes again changes nothing.
#[utoipa::path(post, path = "/otlp/v1/traces", tag = "gateway", security(("key" = [])),
    request_body(content((Vec<u8> = "application/x-protobuf"), (Object = "application/json"))),
    responses(
        (status = 200, description = "recorded, in the encoding of the request", body = Object),
        (status = 400, description = "no trace request", body = Object),
        (status = 429, description = "the queue of records is full", body = Object),
    ))]
pub(crate) async fn handle(State(state): State<AppState>, request: Request) -> Response {
    match record(&state, request).await {
        Ok(encoding) => {
            let (content_type, body) = match encoding {
                TraceEncoding::Protobuf => (PROTOBUF, ""),
                TraceEncoding::Json => ("application/json", "{}"),
            };
            let mut response = Response::new(Body::from(body));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            response
        }
        Err(refusal) => refuse(&refusal, Dialect::OpenAi).map(Body::new),
    }
}

async fn record(state: &AppState, request: Request) -> Result<TraceEncoding, Refusal> {
    let caller = caller_with(state, request.headers(), Scope::Record).await?;
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or(PROTOBUF);
    let encoding = match content_type.split(';').next().unwrap_or_default().trim() {
        PROTOBUF => TraceEncoding::Protobuf,
        "application/json" => TraceEncoding::Json,
        other => {
            let message = format!("content-type {other} is not taken; send {PROTOBUF} or application/json");
            return Err(Refusal::new(RefusalKind::Invalid, message));
        }
    };
    let project = ProjectId(caller.key.project_id);
    let body = read_body(state, request).await?;
    let gateway = &state.gateway;
    gateway
        .record_traces(project, &caller.privacy, encoding, &body, DEFAULT_TASK)
        .await?;
    Ok(encoding)
}
