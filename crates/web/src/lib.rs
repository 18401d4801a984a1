//! The pages a person sees: rendered on the server, kept fresh by htmx, charts by uPlot, everything embedded.
//!
//! `cli` merges [`router`] with the API. Reads through `storage` and `engine`, changes nothing.

mod access;
mod assets;
mod home;
mod observed;
mod rollout;
mod view;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use hone_engine::Engine;

pub use access::Access;

/// What the pages share.
#[derive(Debug, Clone)]
pub struct WebState {
    /// The loop.
    pub engine: Engine,
    /// Who may look.
    pub access: Access,
}

/// The pages and their assets.
pub fn router(state: WebState) -> Router {
    let pages = Router::new()
        .route("/", get(home::page))
        .route("/fragments/tasks", get(home::fragment))
        .layer(from_fn_with_state(state.clone(), access::check))
        .with_state(state);
    pages.merge(assets::router())
}
