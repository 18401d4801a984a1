//! Who may see the pages: anyone on this machine, or whoever has a key with the scope `read`.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hone_domain::{ProjectId, Scope};

use crate::WebState;

/// Who may look at the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone: the server listens on the loopback address only. Shows this project.
    Open(ProjectId),
    /// A key as the password of HTTP Basic authentication. Shows the key's project.
    Key,
}

/// The project whose pages are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown(pub ProjectId);

pub(crate) async fn check(State(state): State<WebState>, mut request: Request, next: Next) -> Response {
    let project = match state.access {
        Access::Open(project) => Some(project),
        Access::Key => match password_of(&request) {
            Some(secret) => project_of_key(&state, &secret).await,
            None => None,
        },
    };
    let Some(project) = project else {
        let challenge = [(
            header::WWW_AUTHENTICATE,
            "Basic realm=\"hone: any user name, an API key as password\"",
        )];
        return (
            StatusCode::UNAUTHORIZED,
            challenge,
            "send an API key with the scope read as the password",
        )
            .into_response();
    };
    request.extensions_mut().insert(Shown(project));
    next.run(request).await
}

fn password_of(request: &Request) -> Option<String> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let (_, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(secret.to_owned())
}

async fn project_of_key(state: &WebState, secret: &str) -> Option<ProjectId> {
    let key = state.engine.find_working_key(secret).await.ok()??;
    key.scopes
        .allows(Scope::Read)
        .then_some(ProjectId(key.project_id))
}
