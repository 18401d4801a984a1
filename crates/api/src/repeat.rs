//! `Idempotency-Key`: a POST that is sent twice does once. The key gives what is made its id, so the repeat finds it in the
//! same transaction that would have made it.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use hone_domain::{ProjectId, derive_repeatable_id};
use uuid::Uuid;

use crate::{AppState, Problem};

/// The `Idempotency-Key` of a request, if it has one.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// Reads the header.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(header) = headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        match header.to_str() {
            Ok(key) if (1..=200).contains(&key.len()) => Ok(Self(Some(key.to_owned()))),
            _ => Err(Problem::field(
                "/headers/idempotency-key",
                "give 1 to 200 visible ASCII characters",
            )),
        }
    }

    /// Whether the request has one.
    pub fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// The id of the one thing that the request makes.
    pub fn id<T: From<Uuid>>(&self, project: ProjectId, noun: &str) -> Option<T> {
        let key = self.0.as_deref()?;
        Some(derive_repeatable_id(project, noun, key))
    }

    /// The id of one of many things that the request makes.
    pub fn id_at<T: From<Uuid>>(&self, project: ProjectId, noun: &str, index: usize) -> Option<T> {
        let key = self.0.as_deref()?;
        Some(derive_repeatable_id(project, noun, &format!("{index}:{key}")))
    }
}

impl FromRequestParts<AppState> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &AppState) -> Result<Self, Problem> {
        Self::of(&parts.headers)
    }
}
