//! What Hone itself says when it cannot answer, in the shape that the client's SDK understands.

use bytes::Bytes;
use http::StatusCode;

use crate::endpoint::Dialect;

/// Why the gateway does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request cannot be read or asks for something impossible.
    Invalid,
    /// No key, or one that does not work.
    Unauthorized,
    /// The key may not do this.
    Forbidden,
    /// The model, provider or task does not exist.
    NotFound,
    /// The provider does not speak the protocol of the endpoint.
    NotSpoken,
    /// The path does not take the method.
    MethodNotAllowed,
    /// The body is too large.
    TooLarge,
    /// A budget or rate limit is used up.
    LimitReached,
    /// The queue of records is full.
    QueueFull,
    /// Every provider of the model is out of service for now.
    Unavailable,
    /// The provider did not answer in time.
    Timeout,
    /// The provider cannot be reached.
    Unreachable,
    /// The provider's answer cannot be read, is too large or broke off.
    BadReply,
    /// The answer could not be recorded, which the task's policy asks for.
    NotRecorded,
    /// A fault of ours.
    Internal,
}

impl RefusalKind {
    /// The word for it in errors, records and metrics.
    pub const fn code(self) -> &'static str {
        self.parts().0
    }

    pub(crate) const fn status(self) -> StatusCode {
        self.parts().1
    }

    /// Code, status, and the SDKs' word for the type of error.
    const fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::Invalid | Self::NotSpoken => (
                "invalid_request",
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
            ),
            Self::Unauthorized => (
                "invalid_api_key",
                StatusCode::UNAUTHORIZED,
                "authentication_error",
            ),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "permission_error"),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "not_found_error"),
            Self::MethodNotAllowed => (
                "method_not_allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request_error",
            ),
            Self::TooLarge => (
                "request_too_large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "request_too_large",
            ),
            Self::LimitReached => ("limit_reached", StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
            Self::QueueFull => ("queue_full", StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "overloaded_error"),
            Self::Timeout => ("timeout", StatusCode::GATEWAY_TIMEOUT, "timeout_error"),
            Self::Unreachable => ("unreachable", StatusCode::BAD_GATEWAY, "api_error"),
            Self::BadReply => ("bad_reply", StatusCode::BAD_GATEWAY, "api_error"),
            Self::NotRecorded => ("not_recorded", StatusCode::SERVICE_UNAVAILABLE, "api_error"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "api_error"),
        }
    }
}

/// An answer that Hone gives in place of a model.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Why.
    pub kind: RefusalKind,
    /// What happened and what to do.
    pub message: String,
    /// When to try again.
    pub retry_after_s: Option<u64>,
    /// Whether Hone has asked again already, so that the client's SDK need not.
    pub is_final: bool,
}

impl Refusal {
    /// The database is out of reach; the log says `what` could not be done.
    pub fn of_database(what: &'static str, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "{what}");
        Self::new(
            RefusalKind::Unavailable,
            "the database does not answer; try again",
        )
    }

    /// A refusal of this kind.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after_s: None,
            is_final: false,
        }
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    pub(crate) fn not_to_be_repeated(mut self) -> Self {
        self.is_final = true;
        self
    }

    /// The JSON that the SDKs of this protocol turn into their error.
    pub fn body(&self, dialect: Dialect) -> Bytes {
        let (code, _, r#type) = self.kind.parts();
        let document = match dialect {
            Dialect::OpenAi => serde_json::json!({
                "error": { "message": self.message, "type": r#type, "param": null, "code": code }
            }),
            Dialect::Anthropic => serde_json::json!({
                "type": "error", "error": { "type": r#type, "message": self.message, "code": code }
            }),
        };
        Bytes::from(document.to_string())
    }

    /// The same as an event of a stream that has begun.
    pub(crate) fn event(&self, dialect: Dialect) -> String {
        let body = self.body(dialect);
        let body = String::from_utf8_lossy(&body);
        match dialect {
            Dialect::OpenAi => format!("data: {body}\n\n"),
            Dialect::Anthropic => format!("event: error\ndata: {body}\n\n"),
        }
    }
}
