//! `hone train`.

use std::process::ExitCode;
use std::time::Duration;

use hone_domain::{JobId, RunId, RunStatus, parse_json};
use hone_engine::EngineError;
use hone_storage::jobs;
use hone_storage::runs::{self as stored_runs, Run};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::runs;
use crate::app::App;
use crate::args::TrainArgs;
use crate::output::Output;

const POLL: Duration = Duration::from_millis(50);

pub(super) async fn train(app: &App, args: &TrainArgs, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, &args.task).await?;
    let settings: Option<Value> = args
        .settings
        .as_ref()
        .map(|text| parse_json(text.as_bytes()).map_err(EngineError::from))
        .transpose()?;
    let id = app.engine.start_training(&task, settings, None).await?;
    let run = wait_for_run(app, id, output).await?;
    match run.status {
        RunStatus::Completed => runs::report(app, &run, output).await,
        _ => anyhow::bail!(
            "the run {}: {}",
            run.status,
            run.error.as_deref().unwrap_or("no reason is known")
        ),
    }
}

/// Runs jobs in this process until the run has ended; a worker elsewhere may be faster, which is as well.
async fn wait_for_run(app: &App, id: RunId, output: Output) -> anyhow::Result<Run> {
    let bar = output.bar(100, "training");
    let stop = CancellationToken::new();
    let worker = app.engine.worker();
    let working = worker.run(1, stop.clone());
    let waiting = async {
        loop {
            let mut conn = app.engine.db.read().await?;
            let run = stored_runs::get(&mut conn, id).await?;
            if run.status.is_final() {
                return Ok::<Run, anyhow::Error>(run);
            }
            // The job that trains has the id of its run.
            if let Some(job) = jobs::find(&mut conn, JobId(id.0)).await? {
                bar.set_position((job.progress * 100.0) as u64);
            }
            drop(conn);
            tokio::time::sleep(POLL).await;
        }
    };
    let finished = async {
        let run = waiting.await;
        stop.cancel();
        run
    };
    let ((), run) = tokio::join!(working, finished);
    bar.finish_and_clear();
    run
}
