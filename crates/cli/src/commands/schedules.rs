//! `hone schedule`, `hone cycle` and `hone report`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use hone_domain::{JobId, SECOND_US, format_rfc3339};
use hone_engine::{EngineError, ScheduleChange, action_of};
use hone_storage::schedules::Schedule;
use hone_storage::{jobs, reports, schedules};
use serde_json::{Value, json};

use crate::app::App;
use crate::args::{ReportArgs, ScheduleCommand};
use crate::output::Output;

/// Jobs that are due so soon are part of a cycle: what follows from others waits for a burst to end.
const SOON_US: i64 = 2 * SECOND_US;
const POLL: Duration = Duration::from_millis(100);

pub(super) async fn run(app: &App, command: ScheduleCommand, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        ScheduleCommand::List => list(app, output).await?,
        ScheduleCommand::Set {
            name,
            cron,
            time_zone,
            action,
            missed,
            task,
        } => {
            let change = ScheduleChange {
                action: action.map(Into::into),
                cron,
                time_zone,
                missed: missed.map(Into::into),
                paused: None,
                task,
            };
            set(app, &name, change, output).await?;
        }
        ScheduleCommand::Pause { name } => set_paused(app, &name, true, output).await?,
        ScheduleCommand::Resume { name } => set_paused(app, &name, false, output).await?,
        ScheduleCommand::Run { name } => {
            let job = app.engine.run_schedule(app.project, &name).await?;
            output.result(&json!({ "job_id": job }), || {
                output.raw(&format!("job {job} waits for a worker"));
            });
        }
        ScheduleCommand::Remove { name } => {
            app.engine.remove_schedule(app.project, &name).await?;
            output.result(&json!({ "removed": name }), || {
                output.raw(&format!("schedule {name} removed"));
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(app: &App, output: Output) -> anyhow::Result<()> {
    let rows = schedules::list(&mut app.engine.db.read().await?, app.project).await?;
    output.result(&rows.iter().map(shown).collect(), || {
        let cells = rows.iter().map(|row| {
            let (action, task) = action_of(row);
            vec![
                row.name.clone(),
                match task {
                    Some(task) => format!("{action} of {task}"),
                    None => action.to_string(),
                },
                row.cron.clone(),
                row.time_zone.clone(),
                if row.paused {
                    "paused".to_owned()
                } else {
                    format_rfc3339(row.next_at_us)
                },
                row.last_at_us.map_or_else(|| "never".to_owned(), format_rfc3339),
            ]
        });
        let headers = ["name", "step", "cron", "time zone", "due next", "ran last"];
        output.table(&headers, cells.collect());
    });
    Ok(())
}

async fn set(app: &App, name: &str, change: ScheduleChange, output: Output) -> anyhow::Result<()> {
    let schedule = app.engine.set_schedule(app.project, name, change).await?;
    output.result(&shown(&schedule), || {
        output.raw(&if schedule.paused {
            format!("schedule {name} rests")
        } else {
            format!(
                "schedule {name} is due next at {}",
                format_rfc3339(schedule.next_at_us)
            )
        });
    });
    Ok(())
}

async fn set_paused(app: &App, name: &str, paused: bool, output: Output) -> anyhow::Result<()> {
    let found = schedules::find(&mut app.engine.db.read().await?, app.project, name).await?;
    found.ok_or_else(|| EngineError::NotFound {
        noun: "schedule",
        id: name.to_owned(),
    })?;
    let change = ScheduleChange {
        paused: Some(paused),
        ..ScheduleChange::default()
    };
    set(app, name, change, output).await
}

fn shown(row: &Schedule) -> Value {
    let (action, task) = action_of(row);
    json!({
        "name": row.name, "action": action, "task": task, "cron": row.cron, "time_zone": row.time_zone, "missed": row.missed,
        "paused": row.paused, "next_at": format_rfc3339(row.next_at_us), "last_at": row.last_at_us.map(format_rfc3339),
    })
}

/// Runs the whole pipeline once and waits for all that follows from it.
pub(super) async fn cycle(app: &App, output: Output) -> anyhow::Result<ExitCode> {
    app.engine.refresh_router().await?;
    let job = app.engine.start_cycle(app.project).await?;
    let done = run_jobs(app).await?;
    let failure = failure_of(app, job).await?;
    output.result(
        &json!({ "job_id": job, "jobs_done": done, "error": failure }),
        || {
            output.raw(&format!("{done} jobs done"));
        },
    );
    anyhow::ensure!(
        failure.is_none(),
        "the cycle failed: {}",
        failure.unwrap_or_default()
    );
    Ok(ExitCode::SUCCESS)
}

/// Runs jobs until none is due soon; gives how many.
async fn run_jobs(app: &App) -> anyhow::Result<usize> {
    let worker = app.engine.worker();
    let mut done = 0;
    loop {
        done += worker.run_until_idle().await?;
        let soon_us = app.engine.ids.now_us() + SOON_US;
        if jobs::count_due(&mut app.engine.db.read().await?, soon_us).await? == 0 {
            return Ok(done);
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn failure_of(app: &App, job: JobId) -> anyhow::Result<Option<String>> {
    let found = jobs::find(&mut app.engine.db.read().await?, job).await?;
    Ok(found
        .filter(|job| job.state != "succeeded")
        .map(|job| job.error.unwrap_or(job.state)))
}

pub(super) async fn report(app: &App, args: &ReportArgs, output: Output) -> anyhow::Result<ExitCode> {
    if !args.latest {
        app.engine.write_report_now(app.project).await?;
    }
    let latest = reports::find_latest(&mut app.engine.db.read().await?, app.project).await?;
    let report = latest.ok_or_else(|| EngineError::NotFound {
        noun: "report",
        id: "latest".to_owned(),
    })?;
    if let Some(path) = &args.html {
        std::fs::write(path, &report.html.0)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let value = json!({ "id": report.id, "title": report.title, "created_at": format_rfc3339(report.created_at_us),
        "markdown": report.markdown.0 });
    output.result(&value, || output.raw(&report.markdown.0));
    Ok(ExitCode::SUCCESS)
}
