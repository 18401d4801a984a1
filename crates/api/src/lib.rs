//! JSON over HTTP: one folder per noun, one file per endpoint, problem details for errors, an OpenAPI document made from
//! the handlers' own types.
//!
//! Translates between HTTP and `engine`; decides nothing itself. `cli` serves [`router`].

mod alerts;
mod anthropic;
mod auth;
mod body;
mod classify;
mod conversations;
mod datasets;
mod deployments;
mod docs;
mod examples;
mod feedback;
mod health;
mod interactions;
mod jobs;
mod measure;
mod metrics;
mod models;
mod openai;
mod openapi;
mod otlp;
mod page;
mod passing;
mod problem;
mod profiles;
mod prompts;
mod providers;
mod references;
mod repeat;
mod reports;
mod reviews;
mod runs;
mod schedules;
mod snapshots;
mod state;
mod subjects;
mod tasks;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use problem::{Problem, ProblemKind};
pub use state::{AppState, MetricsPage};

/// The largest body of a request that is no stream.
const MAX_BODY_BYTES: usize = 8 << 20;
/// The largest body that is passed on to a provider; pictures travel in it.
const MAX_PASSED_BYTES: usize = 64 << 20;

/// How long a client may pause while it sends a body.
const BODY_IDLE: Duration = Duration::from_mins(1);

/// Everything under `/v1`, the health checks, and the OpenAPI document with its page.
pub fn router(state: AppState) -> Router {
    let (routes, document) = endpoints().split_for_parts();
    let document = openapi::complete(document);
    routes
        .merge(docs::router(&document))
        .merge(health::router())
        .fallback(problem::unknown_path)
        .method_not_allowed_fallback(problem::unknown_method)
        // Together, the outermost first: each `layer` boxes and copies all that is within it for every request.
        .layer((
            middleware::from_fn(problem::name_instance),
            CatchPanicLayer::custom(problem::from_panic),
            RequestBodyTimeoutLayer::new(BODY_IDLE),
            RequestDecompressionLayer::new(),
            DefaultBodyLimit::max(MAX_BODY_BYTES),
        ))
        .with_state(state)
}

/// The OpenAPI document.
pub fn openapi() -> OpenApi {
    openapi::complete(endpoints().into_openapi())
}

/// What providers answer, with larger bodies.
fn passed_on() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(openai::chat_completions::handle))
        .routes(routes!(openai::responses::handle))
        .routes(routes!(openai::embeddings::handle))
        .routes(routes!(anthropic::messages::handle))
        .layer(DefaultBodyLimit::max(MAX_PASSED_BYTES))
}

/// Exports of traces, which exporters send in batches.
fn traces() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(otlp::handle))
        .layer(DefaultBodyLimit::max(MAX_PASSED_BYTES))
}

fn endpoints() -> OpenApiRouter<AppState> {
    ours()
        .route_layer(middleware::from_fn(measure::measure))
        .merge(passed_on())
}

fn ours() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(interactions::record::handle, interactions::list::handle))
        .routes(routes!(interactions::show::handle))
        .routes(routes!(references::handle))
        .merge(traces())
        .routes(routes!(prompts::handle))
        .routes(routes!(
            profiles::show::handle,
            profiles::set::handle,
            profiles::forget::handle
        ))
        .routes(routes!(subjects::opt_out, subjects::opt_in))
        .routes(routes!(openai::models::list))
        .routes(routes!(openai::models::show))
        .routes(routes!(providers::set::handle, providers::remove::handle))
        .routes(routes!(providers::list::handle))
        .routes(routes!(feedback::record::handle, feedback::list::handle))
        .routes(routes!(conversations::list::handle))
        .routes(routes!(conversations::show::handle))
        .routes(routes!(classify::handle))
        .routes(routes!(tasks::create::handle, tasks::list::handle))
        .routes(routes!(tasks::show::handle, tasks::update::handle))
        .routes(routes!(tasks::register::handle))
        .routes(routes!(tasks::cascade::handle))
        .routes(routes!(tasks::preview::handle))
        .routes(routes!(tasks::preferences::handle))
        .routes(routes!(tasks::topics::show, tasks::topics::discover))
        .routes(routes!(tasks::drift::show, tasks::drift::check))
        .routes(routes!(tasks::curate::handle))
        .routes(routes!(tasks::train::handle))
        .routes(routes!(tasks::evaluate::handle))
        .routes(routes!(tasks::curve::handle))
        .routes(routes!(examples::create::handle, examples::list::handle))
        .routes(routes!(examples::export::handle))
        .routes(routes!(examples::decide::handle))
        .routes(routes!(reviews::create::handle, reviews::list::handle))
        .routes(routes!(reviews::claim::handle))
        .routes(routes!(reviews::statistics::handle))
        .routes(routes!(reviews::show::handle, reviews::answer::handle))
        .routes(routes!(reviews::decide::handle))
        .routes(routes!(reviews::release::handle))
        .routes(routes!(datasets::freeze::handle, datasets::list::handle))
        .routes(routes!(datasets::compare::handle))
        .routes(routes!(datasets::show::handle))
        .routes(routes!(datasets::lineage::handle))
        .routes(routes!(datasets::tags::set, datasets::tags::remove))
        .routes(routes!(datasets::export::handle))
        .routes(routes!(runs::list::handle))
        .routes(routes!(runs::show::handle))
        .routes(routes!(models::list::handle))
        .routes(routes!(models::compare::handle))
        .routes(routes!(models::show::handle))
        .routes(routes!(deployments::create::handle, deployments::list::handle))
        .routes(routes!(deployments::forecast::handle))
        .routes(routes!(deployments::show::handle))
        .routes(routes!(deployments::change::promote))
        .routes(routes!(deployments::change::pause))
        .routes(routes!(deployments::change::resume))
        .routes(routes!(deployments::rollback::handle))
        .routes(routes!(schedules::list::handle))
        .routes(routes!(schedules::set::handle, schedules::remove::handle))
        .routes(routes!(schedules::run::handle))
        .routes(routes!(schedules::run::cycle))
        .routes(routes!(metrics::show::handle))
        .routes(routes!(metrics::health::handle))
        .routes(routes!(alerts::list::handle))
        .routes(routes!(alerts::rules::list))
        .routes(routes!(alerts::rules::set, alerts::rules::remove))
        .routes(routes!(alerts::routes::list))
        .routes(routes!(alerts::routes::set, alerts::routes::remove))
        .routes(routes!(alerts::routes::key))
        .routes(routes!(alerts::routes::test))
        .routes(routes!(alerts::silences::list, alerts::silences::create))
        .routes(routes!(alerts::silences::end))
        .routes(routes!(alerts::deliveries::handle))
        .routes(routes!(snapshots::list::handle, snapshots::take::handle))
        .routes(routes!(reports::list::handle))
        .routes(routes!(reports::show::handle))
        .routes(routes!(jobs::list::handle))
        .routes(routes!(jobs::show::handle))
        .routes(routes!(jobs::events::handle))
        .routes(routes!(jobs::cancel::handle))
        .routes(routes!(jobs::retry::handle))
}
