//! Serving: API and pages on one port, jobs and schedules beside them, a clean end on Ctrl-C and SIGTERM.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use hone_api::{AppState, MetricsPage};
use hone_gateway::Gateway;
use hone_jobs::{Scheduler, Worker};
use hone_web::{Access, WebState};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::telemetry;

/// How long requests and jobs may take to end.
const SHUTDOWN: Duration = Duration::from_secs(20);

/// A server that runs in the background until it is stopped.
pub(crate) struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Ends requests, jobs and schedules in turn and waits for them, but not for ever for clients that do not finish.
    pub async fn stop(self) {
        self.stop.cancel();
        wait_for_end(&self.tasks).await;
    }
}

/// Waits for requests and jobs to end, but not for ever.
pub(crate) async fn wait_for_end(tasks: &TaskTracker) {
    tasks.close();
    if tokio::time::timeout(SHUTDOWN, tasks.wait()).await.is_err() {
        tracing::warn!("requests or jobs were still going on; jobs are taken up again");
    }
}

/// Starts serving on a bound listener.
pub(crate) async fn start(app: &App, listener: TcpListener, with_worker: bool) -> anyhow::Result<Running> {
    let address = listener.local_addr().context("the listener has no address")?;
    let engine = &app.engine;
    engine.refresh_router().await?;
    engine.watch_deployments();
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let worker = engine.worker();
    if with_worker {
        run_jobs(app, &worker, &stop, &tasks);
    }
    let counted = telemetry::count()?;
    let access = if address.ip().is_loopback() {
        Access::Open(app.project)
    } else {
        Access::Key
    };
    let pages = hone_web::router(WebState {
        engine: engine.clone(),
        access,
    });
    let gateway = Gateway::start(engine.clone(), app.config.gateway.resolve()?)?;
    let state = AppState::new(gateway.clone(), worker, stop.clone()).with_metrics(MetricsPage {
        is_open: access != Access::Key,
        render: Box::new(move || counted.render()),
    });
    let routes = pages.merge(hone_api::router(state));
    // Without TCP_NODELAY small answers wait for the client's delayed acknowledgement.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
    });
    let stopped = stop.clone();
    tasks.spawn(async move {
        // A router that is served itself copies all its routes for every connection: a hundred kilobytes each.
        let service = routes.into_make_service();
        let serving =
            axum::serve(listener, service).with_graceful_shutdown(async move { stopped.cancelled().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the server ended");
        }
        gateway.stop().await;
    });
    Ok(Running { address, stop, tasks })
}

/// Runs jobs and schedules until `stop`.
pub(crate) fn run_jobs(app: &App, worker: &Worker, stop: &CancellationToken, tasks: &TaskTracker) {
    let (worker, concurrency, stopped) = (worker.clone(), app.config.jobs.concurrency.max(1), stop.clone());
    tasks.spawn(async move { worker.run(concurrency, stopped).await });
    let (scheduler, stopped) = (
        Scheduler::new(app.engine.db.clone(), app.engine.ids.clone()),
        stop.clone(),
    );
    tasks.spawn(async move { scheduler.run(stopped).await });
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
