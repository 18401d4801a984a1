//! `hone jobs`.

use std::process::ExitCode;

use hone_domain::{JobId, format_rfc3339};
use hone_storage::jobs;
use serde_json::json;

use crate::app::App;
use crate::args::JobsCommand;
use crate::output::Output;

const SHOWN: i64 = 50;

pub(super) async fn run(app: &App, command: JobsCommand, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        JobsCommand::List { state } => list(app, state.as_deref(), output).await?,
        JobsCommand::Cancel { id } => {
            let mut conn = app.engine.db.begin().await?;
            if !jobs::cancel(&mut conn, app.project, JobId(id), app.engine.ids.now_us()).await? {
                anyhow::bail!("job {id} does not wait or run; there is nothing to stop");
            }
            conn.commit().await?;
            output.say(format!("job {id} is being stopped"));
        }
        JobsCommand::Retry { id } => {
            let mut conn = app.engine.db.begin().await?;
            if !jobs::requeue(&mut conn, app.project, JobId(id), app.engine.ids.now_us()).await? {
                anyhow::bail!("job {id} is neither dead nor cancelled; there is nothing to retry");
            }
            conn.commit().await?;
            output.say(format!("job {id} waits for a worker"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(app: &App, state: Option<&str>, output: Output) -> anyhow::Result<()> {
    let rows = jobs::list(&mut app.engine.db.read().await?, app.project, state, None, SHOWN).await?;
    let values = rows.iter().map(|job| {
        json!({
            "id": job.id, "kind": job.kind, "state": job.state, "attempt": job.attempt, "progress": job.progress,
            "message": job.message, "error": job.error, "created_at": format_rfc3339(job.created_at_us),
        })
    });
    output.result(&values.collect(), || {
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
