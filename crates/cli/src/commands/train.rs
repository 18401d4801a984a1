//! `hone train`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use hone_domain::{JobId, RunId, RunStatus, parse_json};
use hone_engine::{Decision, EngineError, PairedComparison};
use hone_storage::runs::{self, Run};
use hone_storage::{jobs, versions};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::args::TrainArgs;
use crate::failure::GATE_REFUSED;
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
        RunStatus::Completed => report(app, &run, output).await,
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
            let run = runs::get(&mut conn, id).await?;
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

async fn report(app: &App, run: &Run, output: Output) -> anyhow::Result<ExitCode> {
    let decision: Decision = serde_json::from_value(
        run.decision
            .clone()
            .map(|json| json.0)
            .context("the run has no decision")?,
    )?;
    let metrics = run.metrics.clone().map(|json| json.0).unwrap_or_default();
    let version = run.model_version_id.context("the run registered no version")?;
    let version = versions::get(&mut app.engine.db.read().await?, version.into()).await?;
    let duration_s = run
        .finished_at_us
        .zip(run.started_at_us)
        .map(|(end, start)| (end - start) as f64 / 1e6);
    let value = json!({
        "run_id": run.id, "version": version.version, "stage": version.stage, "decision": decision, "metrics": metrics,
        "duration_s": duration_s,
    });
    output.result(&value, || {
        let number = |name: &str| metrics.get(name).and_then(Value::as_f64).unwrap_or_default();
        output.raw(&format!(
            "version {}  accuracy {:.4}  macro-F1 {:.4}  ECE {:.3}  on {} held-out examples  ({:.2} s)",
            version.version,
            number("accuracy"),
            number("macro_f1"),
            number("ece"),
            decision.held_out,
            duration_s.unwrap_or_default()
        ));
        output.raw(&format!(
            "{}: {}",
            if decision.accepted { "accepted" } else { "refused" },
            decision.reason
        ));
        if let Some(comparison) = &decision.comparison {
            report_comparison(comparison, output);
        }
        output.raw(&format!("stage {}", version.stage));
    });
    Ok(if decision.accepted {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(GATE_REFUSED)
    })
}

/// What the gate saw row by row.
fn report_comparison(comparison: &PairedComparison, output: Output) {
    output.raw(&format!(
        "macro-F1 {:+.4} ({:+.4} to {:+.4}), right alone on {} rows against {} (McNemar mid-p {:.3}), ECE {:.3} against {:.3}",
        comparison.macro_f1_difference,
        comparison.macro_f1_lower,
        comparison.macro_f1_upper,
        comparison.only_candidate_right,
        comparison.only_baseline_right,
        comparison.mcnemar_mid_p,
        comparison.candidate_ece,
        comparison.baseline_ece,
    ));
    for regression in &comparison.regressions {
        output.raw(&format!(
            "  F1 of {} fell from {:.3} to {:.3} ({} rows)",
            regression.label, regression.baseline_f1, regression.candidate_f1, regression.support
        ));
    }
}
