//! `hone runs`: training runs and the gate's decisions, as reports.

use std::process::ExitCode;

use anyhow::Context as _;
use hone_domain::{RunId, RunStatus, format_rfc3339};
use hone_engine::{Decision, EngineError, PairedComparison};
use hone_learn::SearchTable;
use hone_storage::runs::{self, Run};
use hone_storage::versions;
use serde_json::{Value, json};

use crate::app::App;
use crate::args::RunsCommand;
use crate::failure::GATE_REFUSED;
use crate::output::Output;

const SHOWN: i64 = 50;

pub(super) async fn run(app: &App, command: RunsCommand, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        RunsCommand::List { task } => list(app, &task, output).await?,
        RunsCommand::Show { id } => show(app, RunId(id), output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(app: &App, task: &str, output: Output) -> anyhow::Result<()> {
    let task = app.engine.get_task(app.project, task).await?;
    let mut conn = app.engine.db.read().await?;
    let rows = runs::list(&mut conn, app.project, Some(task.task_id()), None, SHOWN).await?;
    let values = rows.iter().map(|run| {
        json!({ "id": run.id, "status": run.status, "reason": run.reason, "decision": run.decision.as_ref().map(|json| &json.0),
            "error": run.error, "created_at": format_rfc3339(run.created_at_us) })
    });
    output.result(&values.collect(), || {
        let cells = rows.iter().map(|run| {
            let decision = run.decision.as_ref();
            let decided = decision
                .and_then(|json| json.0.get("reason"))
                .and_then(Value::as_str);
            vec![
                run.id.to_string(),
                run.status.to_string(),
                run.reason.to_string(),
                format_rfc3339(run.created_at_us),
                decided.or(run.error.as_deref()).unwrap_or_default().to_owned(),
            ]
        });
        output.table(
            &["id", "status", "started by", "started", "decision"],
            cells.collect(),
        );
    });
    Ok(())
}

async fn show(app: &App, id: RunId, output: Output) -> anyhow::Result<()> {
    let found = runs::find(&mut app.engine.db.read().await?, id).await?;
    let run = found.filter(|run| run.project_id == app.project.0);
    let run = run.ok_or_else(|| EngineError::NotFound {
        noun: "run",
        id: id.to_string(),
    })?;
    if run.status == RunStatus::Completed {
        // What the gate said is told; it is no failure of this command.
        report(app, &run, output).await?;
        return Ok(());
    }
    let value = json!({ "run_id": run.id, "status": run.status, "error": run.error });
    output.result(&value, || {
        let why = run
            .error
            .as_deref()
            .map_or(String::new(), |error| format!(": {error}"));
        output.raw(&format!("{}{why}", run.status));
    });
    Ok(())
}

/// Prints what a completed run made and how the gate decided, with its numbers.
pub(super) async fn report(app: &App, run: &Run, output: Output) -> anyhow::Result<ExitCode> {
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
        "duration_s": duration_s, "search": run.search.as_ref().map(|search| &search.0),
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
        if let Some(search) = &run.search {
            report_search(&search.0, output);
        }
        output.raw(&format!("stage {}", version.stage));
    });
    Ok(if decision.accepted {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(GATE_REFUSED)
    })
}

/// What a search for settings tried and what it chose.
fn report_search(search: &Value, output: Output) {
    let Ok(table) = serde_json::from_value::<SearchTable>(search.clone()) else {
        return;
    };
    let cells = table.entries.iter().map(|entry| {
        vec![
            json!(entry.features).as_str().unwrap_or_default().to_owned(),
            format!("{}", entry.c),
            entry.examples.to_string(),
            format!("{:.4}", entry.macro_f1),
            format!("{:.4}", entry.log_loss),
            format!("{:.2}", entry.seconds),
            if entry.is_kept { "kept" } else { "" }.to_owned(),
        ]
    });
    let headers = ["features", "c", "examples", "macro-F1", "log-loss", "seconds", ""];
    output.table(&headers, cells.collect());
    let stopped = table
        .stopped_by
        .map_or_else(String::new, |cap| format!(", ended early by {cap}"));
    output.raw(&format!(
        "settings searched for at the cost of {:.1} trainings{stopped}: {}",
        table.cost,
        json!(table.winner)
    ));
}

/// What the gate saw row by row.
fn report_comparison(comparison: &PairedComparison, output: Output) {
    output.raw(&format!(
        "macro-F1 {:+.4} ({:+.4} to {:+.4}), right alone on {} rows against {} (McNemar mid-p {:.3}), ECE {:.3} against {:.3}, {:.1} us against {:.1} for a row",
        comparison.macro_f1_difference,
        comparison.macro_f1_lower,
        comparison.macro_f1_upper,
        comparison.only_candidate_right,
        comparison.only_baseline_right,
        comparison.mcnemar_mid_p,
        comparison.candidate_ece,
        comparison.baseline_ece,
        comparison.candidate_latency_us,
        comparison.baseline_latency_us,
    ));
    for regression in &comparison.regressions {
        output.raw(&format!(
            "  F1 of {} fell from {:.3} to {:.3} ({} rows)",
            regression.label, regression.baseline_f1, regression.candidate_f1, regression.support
        ));
    }
}
