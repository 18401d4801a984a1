//! `hone serve` and `hone worker`.

use std::process::ExitCode;

use anyhow::Context as _;
use hone_storage::keys;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::args::ServeArgs;
use crate::output::Output;
use crate::server;

/// Serves until Ctrl-C or SIGTERM.
pub(super) async fn serve(app: &App, args: &ServeArgs, output: Output) -> anyhow::Result<ExitCode> {
    let listen = args.listen.as_ref().unwrap_or(&app.config.server.listen);
    let hint = "is the port taken? choose another with --listen";
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; {hint}"))?;
    let running = server::start(app, listener, !args.no_worker).await?;
    let (url, kind) = (format!("http://{}", running.address), app.engine.db.kind());
    output.event(
        &serde_json::json!({ "serving": url, "database": kind }),
        &format!("serving on {url} with {kind}"),
    );
    if keys::list(&mut app.engine.db.read().await?, app.project)
        .await?
        .is_empty()
    {
        output.say("no API key yet: make one with `hone key create`");
    }
    server::stop_signal().await?;
    tracing::info!("stopping");
    tokio::select! {
        () = running.stop() => {}
        again = server::stop_signal() => again?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs jobs until Ctrl-C or SIGTERM.
pub(super) async fn worker(app: &App, output: Output) -> anyhow::Result<ExitCode> {
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    server::run_jobs(app, &app.engine.worker(), &stop, &tasks);
    let kind = app.engine.db.kind();
    output.event(
        &serde_json::json!({ "running": "jobs", "database": kind }),
        &format!("running jobs with {kind}"),
    );
    server::stop_signal().await?;
    stop.cancel();
    server::wait_for_end(&tasks).await;
    Ok(ExitCode::SUCCESS)
}
