//! Errors as RFC 9457 problem details. The table in docs/errors.md lists every kind.

use std::any::Any;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hone_domain::{FieldError, InvalidInput};
use hone_engine::EngineError;
use hone_gateway::{Dialect, Refusal, RefusalKind, refuse};
use hone_storage::StorageError;

/// Said when the database is out of reach.
const NOT_STORED: &str = "the database does not answer; nothing of the request was stored, send it again";

/// Every kind of problem, with its status and title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A field cannot be taken.
    InvalidInput,
    /// The body is no JSON at all.
    Unreadable,
    /// No key, or one that does not work.
    Unauthorized,
    /// The key lacks a scope.
    Forbidden,
    /// What is asked for does not exist.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// What is asked for contradicts what is there.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// The body is compressed in a way that is not known.
    UnknownEncoding,
    /// The write queue is full.
    QueueFull,
    /// The task has no model yet.
    NoModel,
    /// The server is stopping or the database out of reach.
    Unavailable,
    /// The disk is full or read-only.
    DiskFull,
    /// A fault of ours.
    Internal,
}

impl ProblemKind {
    const fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidInput => (
                "invalid-input",
                StatusCode::UNPROCESSABLE_ENTITY,
                "A field cannot be taken",
            ),
            Self::Unreadable => ("unreadable", StatusCode::BAD_REQUEST, "The body cannot be read"),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "No working key"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "The key may not do this"),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "It does not exist"),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "The path does not take this method",
            ),
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "It contradicts what is there"),
            Self::TooLarge => (
                "too-large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too large",
            ),
            Self::UnknownEncoding => (
                "unknown-encoding",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body's encoding is not known",
            ),
            Self::QueueFull => (
                "queue-full",
                StatusCode::TOO_MANY_REQUESTS,
                "The write queue is full",
            ),
            Self::NoModel => ("no-model", StatusCode::CONFLICT, "The task has no model yet"),
            Self::Unavailable => (
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "Out of service for now",
            ),
            Self::DiskFull => (
                "disk-full",
                StatusCode::INSUFFICIENT_STORAGE,
                "Nothing can be written",
            ),
            Self::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "A fault of the server",
            ),
        }
    }
}

/// A problem that is sent to the client.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: ProblemKind,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_s: Option<u64>,
}

/// The JSON of a problem (RFC 9457).
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct ProblemBody {
    /// Names the kind of problem.
    r#type: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened here, and what to do.
    detail: String,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// The fields that cannot be taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
}

/// One field that cannot be taken.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct FieldProblem {
    /// JSON pointer to the field.
    pub pointer: String,
    /// What is wrong and what it should be.
    pub detail: String,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_s: None,
        }
    }

    /// A field that cannot be taken.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        InvalidInput::field(pointer, detail).into()
    }

    /// Something that does not exist.
    pub fn not_found(noun: &str, id: impl std::fmt::Display) -> Self {
        Self::new(ProblemKind::NotFound, format!("{noun} \"{id}\" does not exist"))
    }

    /// Names the field that is the cause.
    #[must_use]
    pub fn at(mut self, pointer: &str) -> Self {
        self.errors.push(FieldError {
            pointer: pointer.to_owned(),
            detail: self.detail.clone(),
        });
        self
    }

    /// Whether the server is at fault and not what was sent.
    pub fn is_fault(&self) -> bool {
        self.kind.parts().1.is_server_error()
    }

    /// Replaces what happened, in words.
    #[must_use]
    pub fn saying(mut self, detail: String) -> Self {
        self.detail = detail;
        self
    }

    /// What happened, in words.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The fields that cannot be taken.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }
}

impl From<InvalidInput> for Problem {
    fn from(error: InvalidInput) -> Self {
        let unreadable = error.0.first().is_some_and(|field| field.pointer.is_empty());
        let kind = if unreadable {
            ProblemKind::Unreadable
        } else {
            ProblemKind::InvalidInput
        };
        Self {
            errors: error.0.clone(),
            ..Self::new(kind, error.to_string())
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        match error {
            EngineError::Invalid(error) => error.into(),
            EngineError::NotFound { noun: "task", id } => Self {
                errors: vec![FieldError {
                    pointer: "/task".to_owned(),
                    detail: detail.clone(),
                }],
                ..Self::not_found("task", id)
            },
            EngineError::NotFound { .. } => Self::new(ProblemKind::NotFound, detail),
            EngineError::Conflict(_) | EngineError::Train(_) | EngineError::Artifact(_) => {
                Self::new(ProblemKind::Conflict, detail)
            }
            EngineError::Full { retry_after_s } => Self {
                retry_after_s: Some(retry_after_s),
                ..Self::new(ProblemKind::QueueFull, detail)
            },
            EngineError::NoModel(_) => Self::new(ProblemKind::NoModel, detail),
            EngineError::ShuttingDown => Self {
                retry_after_s: Some(1),
                ..Self::new(ProblemKind::Unavailable, detail)
            },
            EngineError::Storage(error) => error.into(),
            EngineError::NotRecorded(error) => {
                tracing::error!(%error, "records were not stored");
                Self {
                    retry_after_s: Some(1),
                    ..Self::new(ProblemKind::Unavailable, NOT_STORED)
                }
            }
            EngineError::Job(_) => Self {
                retry_after_s: Some(60),
                ..Self::new(ProblemKind::Unavailable, detail)
            },
            EngineError::File(_) | EngineError::Dataset(_) => {
                tracing::error!(%detail, "request failed");
                Self::new(ProblemKind::Internal, detail)
            }
        }
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::Missing { .. } => return Self::new(ProblemKind::NotFound, error.to_string()),
            StorageError::DamagedArtifact { .. } => {
                return Self::new(ProblemKind::Conflict, error.to_string());
            }
            _ => {}
        }
        tracing::error!(%error, "request failed in storage");
        if error.is_unwritable() {
            return Self::new(
                ProblemKind::DiskFull,
                "the disk is full or read-only; nothing of the request was stored",
            );
        }
        Self {
            retry_after_s: Some(1),
            ..Self::new(ProblemKind::Unavailable, NOT_STORED)
        }
    }
}

/// Names the path in a problem: the handlers that find problems do not know it. At the endpoints of SDKs a problem takes the
/// shape that they understand.
pub(crate) async fn name_instance(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let is_of_provider = response.headers().contains_key("x-hone-model");
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE && !is_of_provider {
        let detail = "this content encoding is not known; send the body plain or with gzip";
        response = Problem::new(ProblemKind::UnknownEncoding, detail).into_response();
    }
    if let Some(mut problem) = response.extensions_mut().remove::<ProblemBody>() {
        if let Some((dialect, _)) = dialect_of(&path) {
            let kind = if problem.status < 500 {
                RefusalKind::Invalid
            } else {
                RefusalKind::Internal
            };
            let mut refused = refuse(&Refusal::new(kind, problem.detail), dialect).map(Body::new);
            *refused.status_mut() = response.status();
            if let Some(wait) = response.headers_mut().remove(header::RETRY_AFTER) {
                refused.headers_mut().insert(header::RETRY_AFTER, wait);
            }
            return refused;
        }
        problem.instance = Some(path);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = serde_json::to_string(&problem).unwrap_or_default().into();
    }
    response
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (name, status, title) = self.kind.parts();
        let errors = self
            .errors
            .into_iter()
            .map(|field| FieldProblem {
                pointer: field.pointer,
                detail: field.detail,
            })
            .collect();
        let body = ProblemBody {
            r#type: format!("/errors/{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail,
            instance: None,
            errors,
        };
        let mut response = (status, serde_json::to_string(&body).unwrap_or_default()).into_response();
        response.extensions_mut().insert(body);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Answers a path that nothing serves.
pub(crate) async fn unknown_path(uri: Uri) -> Response {
    let detail = format!("nothing is served at {}", uri.path());
    if let Some((dialect, base)) = dialect_of(uri.path()) {
        let message = format!("{detail}; the SDK's base URL here is {base}, and /docs lists what is served");
        return refuse(&Refusal::new(RefusalKind::NotFound, message), dialect).map(Body::new);
    }
    Problem::new(ProblemKind::NotFound, format!("{detail}; see /docs")).into_response()
}

/// The protocol that is spoken under a path, and the base URL that its SDKs are given.
fn dialect_of(path: &str) -> Option<(Dialect, &'static str)> {
    match path.split('/').nth(1) {
        Some("openai") => Some((Dialect::OpenAi, "…/openai/v1")),
        Some("anthropic") => Some((Dialect::Anthropic, "…/anthropic")),
        Some("otlp") => Some((Dialect::OpenAi, "…/otlp")),
        _ => None,
    }
}

/// Answers a method that a path does not take.
pub(crate) async fn unknown_method(method: Method, uri: Uri) -> Response {
    let detail = format!("{} does not take {method}; see /docs", uri.path());
    if let Some((dialect, _)) = dialect_of(uri.path()) {
        return refuse(&Refusal::new(RefusalKind::MethodNotAllowed, detail), dialect).map(Body::new);
    }
    Problem::new(ProblemKind::MethodNotAllowed, detail).into_response()
}

/// Answers for a handler that panicked; the cause is logged, not shown.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that tower-http asks for"
)]
pub(crate) fn from_panic(cause: Box<dyn Any + Send>) -> Response {
    let cause = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied());
    tracing::error!(cause = cause.unwrap_or("unknown"), "a handler panicked");
    Problem::new(
        ProblemKind::Internal,
        "the request failed by a fault of the server; its log says more",
    )
    .into_response()
}
