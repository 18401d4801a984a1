//! JSON bodies: read whole, refused with the field's name.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use hone_domain::parse_json;

use crate::{AppState, Problem, ProblemKind};

/// A JSON body as `T`.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: serde::de::DeserializeOwned> FromRequest<AppState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let bytes = read_bytes(request, state).await?;
        Ok(Self(parse_json(&bytes)?))
    }
}

/// A JSON body as `T`; the default when there is none.
pub async fn optional_json<T>(request: Request, state: &AppState) -> Result<T, Problem>
where
    T: serde::de::DeserializeOwned + Default,
{
    let bytes = read_bytes(request, state).await?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    Ok(parse_json(&bytes)?)
}

/// Reads a whole body within the limit.
pub async fn read_bytes(request: Request, state: &AppState) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!(
                "send at most {} bytes, or many records as NDJSON",
                crate::MAX_BODY_BYTES
            );
            Problem::new(ProblemKind::TooLarge, detail)
        } else {
            let status = rejection.into_response().status();
            Problem::new(
                ProblemKind::Unreadable,
                format!("the body ended early or is not what its headers say ({status})"),
            )
        }
    })
}
