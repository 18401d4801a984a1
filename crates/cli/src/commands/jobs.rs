//! `hone jobs`.

use std::process::ExitCode;

use hone_domain::{JobId, format_rfc3339};
use hone_jobs::JobState;
use hone_storage::jobs::{self, JobRow};
use serde_json::{Value, json};

use crate::app::App;
use crate::args::{JobsCommand, StateArg};
use crate::output::Output;

const SHOWN: i64 = 50;

pub(super) async fn run(app: &App, command: JobsCommand, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        JobsCommand::List { state } => list(app, state, output).await?,
        JobsCommand::Cancel { id } => {
            let job = app.engine.cancel_job(app.project, JobId(id)).await?;
            output.result(&shown(&job), || output.say(format!("job {id} is being stopped")));
        }
        JobsCommand::Retry { id } => {
            let job = app.engine.retry_job(app.project, JobId(id)).await?;
            output.result(&shown(&job), || {
                output.say(format!("job {id} waits for a worker"));
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(app: &App, state: Option<StateArg>, output: Output) -> anyhow::Result<()> {
    let state = state.map(|state| match state {
        StateArg::Queued => JobState::Queued,
        StateArg::Running => JobState::Running,
        StateArg::Succeeded => JobState::Succeeded,
        StateArg::Dead => JobState::Dead,
        StateArg::Cancelled => JobState::Cancelled,
    });
    let state = state.map(JobState::as_str);
    let rows = jobs::list(&mut app.engine.db.read().await?, app.project, state, None, SHOWN).await?;
    output.result(&rows.iter().map(shown).collect(), || {
        let cells = rows.iter().map(|job| {
            let note = job.error.clone().unwrap_or_else(|| job.message.clone());
            let attempt = format!("{} of {}", job.attempt, job.max_attempts);
            vec![
                job.id.to_string(),
                job.kind.clone(),
                job.state.clone(),
                attempt,
                note,
            ]
        });
        output.table(&["id", "kind", "state", "attempt", "note"], cells.collect());
    });
    Ok(())
}

/// A job as `--json` prints it.
fn shown(job: &JobRow) -> Value {
    json!({
        "id": job.id, "kind": job.kind, "state": job.state, "attempt": job.attempt, "progress": job.progress,
        "message": job.message, "error": job.error, "created_at": format_rfc3339(job.created_at_us),
    })
}
