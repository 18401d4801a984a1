//! Who calls: the project and scopes of the bearer key.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use hone_domain::{ProjectId, Scope};
use hone_storage::keys::ApiKey;

use crate::{AppState, Problem, ProblemKind};

/// The caller of a request, known by its key.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The project that the key belongs to.
    pub project: ProjectId,
    key: Arc<ApiKey>,
}

impl Caller {
    /// The name of the key.
    pub fn key_name(&self) -> &str {
        &self.key.name
    }

    /// Refuses unless the key has this scope.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.key.scopes.allows(scope) {
            return Ok(());
        }
        let detail =
            format!("this key lacks the scope {scope}; make one with `hone key create --scopes {scope}`");
        Err(Problem::new(ProblemKind::Forbidden, detail))
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let header = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let secret = header
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(str::trim);
        let Some(secret) = secret else {
            let detail = "send the header Authorization: Bearer <key>; `hone key create` makes a key";
            return Err(Problem::new(ProblemKind::Unauthorized, detail));
        };
        let Some(key) = state.find_key(secret).await? else {
            let detail = "this key is not known, was revoked or has expired; `hone key create` makes another";
            return Err(Problem::new(ProblemKind::Unauthorized, detail));
        };
        Ok(Self {
            project: ProjectId(key.project_id),
            key,
        })
    }
}
