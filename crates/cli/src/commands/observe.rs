//! `hone metrics`, `hone health`, `hone drift` and `hone snapshot`.

use std::process::ExitCode;

use hone_domain::{Dimension, HealthStatus, Indicator, format_rfc3339};
use hone_engine::{Health, Indicators, MetricsRequest, TaskMetrics};
use hone_storage::{snapshots, tasks};
use serde_json::json;

use crate::app::App;
use crate::args::{MetricsArgs, SnapshotArgs};
use crate::output::Output;

/// The indicators that a trend is shown by.
const SHOWN: [Indicator; 7] = [
    Indicator::Interactions,
    Indicator::Correctness,
    Indicator::ApprovalRate,
    Indicator::EscalationRate,
    Indicator::ErrorRate,
    Indicator::LatencyP95,
    Indicator::Cost,
];
/// Points of a trend that are printed, the latest ones.
const POINTS: usize = 24;
const SNAPSHOTS: i64 = 50;

pub(super) async fn metrics(app: &App, args: &MetricsArgs, output: Output) -> anyhow::Result<ExitCode> {
    let request = MetricsRequest {
        period: Some(args.period),
        grain: args.grain,
        by: args.by,
        ..MetricsRequest::default()
    };
    let mut all = Vec::new();
    if let Some(name) = &args.task {
        let task = app.engine.get_task(app.project, name).await?;
        all.push(app.engine.metrics(&task, &request).await?);
    } else {
        for task in tasks::list(&mut app.engine.db.read().await?, app.project).await? {
            all.push(app.engine.metrics(&task, &request).await?);
        }
    }
    output.result(&json!(all), || {
        if all.is_empty() {
            output.raw("no task yet");
        }
        for metrics in &all {
            print(metrics, args.by, output);
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn print(metrics: &TaskMetrics, by: Option<Dimension>, output: Output) {
    output.raw(&format!("{}, {} to {}", metrics.task, metrics.from, metrics.to));
    let cell = |of: &Indicators, name: &str| of.get(name).map_or_else(String::new, |&value| number(value));
    let rows = Indicator::ALL.iter().map(|indicator| indicator.as_str());
    let rows = rows.filter(|name| metrics.totals.contains_key(name));
    let rows = rows.map(|name| {
        vec![
            name.to_owned(),
            cell(&metrics.totals, name),
            cell(&metrics.before, name),
        ]
    });
    output.table(&["indicator", "now", "period before"], rows.collect());
    for (name, score) in &metrics.scores {
        output.raw(&format!(
            "score {name}: {} of {}",
            number(score.mean),
            score.count
        ));
    }
    let headers = |first: &'static str| {
        let names = SHOWN.iter().map(|indicator| indicator.as_str());
        std::iter::once(first).chain(names).collect::<Vec<_>>()
    };
    let row = |first: &str, of: &Indicators| {
        let cells = SHOWN.iter().map(|indicator| cell(of, indicator.as_str()));
        std::iter::once(first.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let left_out = metrics.trend.len().saturating_sub(POINTS);
    let points = metrics.trend.iter().skip(left_out);
    let points: Vec<_> = points.map(|point| row(&point.at, &point.indicators)).collect();
    if !points.is_empty() {
        output.table(&headers(metrics.grain.as_str()), points);
    }
    if let Some(by) = by.filter(|&by| by != Dimension::All) {
        let values = metrics
            .by
            .iter()
            .map(|value| row(&value.value, &value.indicators));
        output.table(&headers(by.as_str()), values.collect());
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value}")
    } else {
        format!("{value:.4}")
    }
}

pub(super) async fn health(app: &App, output: Output) -> anyhow::Result<ExitCode> {
    app.engine.refresh_router().await?;
    let health = app.engine.health(app.project).await?;
    output.result(&json!(health), || print_health(&health, output));
    Ok(ExitCode::from(u8::from(health.status == HealthStatus::Unhealthy)))
}

fn print_health(health: &Health, output: Output) {
    output.raw(&format!("{}", health.status));
    for reason in &health.system.reasons {
        output.raw(&format!(
            "  {}: {}; {}",
            reason.severity, reason.message, reason.advice
        ));
    }
    for task in &health.tasks {
        let label = task.label.map_or_else(String::new, |label| format!(", {label}"));
        let right = task
            .correctness
            .map_or_else(String::new, |share| format!(" ({:.1} % right)", 100.0 * share));
        let serving = task.serving.as_deref().unwrap_or("nothing");
        output.raw(&format!(
            "{}: {}{label}{right}, {serving} serves",
            task.task, task.status
        ));
        for reason in &task.reasons {
            output.raw(&format!("  {}: {}", reason.severity, reason.message));
        }
        for recommendation in &task.recommendations {
            output.raw(&format!("  > {recommendation}"));
        }
        let ready = &task.readiness;
        output.raw(&format!(
            "  training: {}, {} pieces of feedback, {} new; {} examples, {} new",
            ready.level, ready.feedback, ready.new_feedback, ready.usable_examples, ready.new_examples
        ));
    }
}

pub(super) async fn drift(app: &App, task: &str, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, task).await?;
    let found = app.engine.check_drift(&task).await?;
    output.result(&json!(found), || {
        let Some(report) = &found else {
            return output.raw("nothing was trained or deployed yet that requests could be compared by");
        };
        output.raw(&format!(
            "{} requests since {}, {} before{}",
            report.current,
            report.since,
            report.reference,
            if report.is_drifting {
                ": they have changed"
            } else {
                ""
            }
        ));
        if report.monitors.is_empty() {
            return output.raw("too few to compare: it takes 200 on either side");
        }
        let cells = report.monitors.iter().map(|monitor| {
            let p = monitor.p.map_or_else(String::new, |p| format!("{p:.2e}"));
            let fires = if monitor.fires { "fires" } else { "" };
            vec![monitor.name.clone(), fires.to_owned(), p, monitor.detail.clone()]
        });
        output.table(&["monitor", "", "p", "found"], cells.collect());
        if !report.words.is_empty() {
            let percent = |share: f64| format!("{:.1} %", 100.0 * share);
            let words = report.words.iter();
            let cells = words.map(|word| vec![word.word.clone(), percent(word.before), percent(word.since)]);
            output.table(&["word", "before", "since"], cells.collect());
        }
    });
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn snapshot(app: &App, args: &SnapshotArgs, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, &args.task).await?;
    let rows = if args.list {
        let mut conn = app.engine.db.read().await?;
        let (task, period) = (Some(task.task_id()), Some(args.period));
        snapshots::list(&mut conn, app.project, task, period, None, SNAPSHOTS).await?
    } else {
        app.engine.refresh_router().await?;
        vec![app.engine.take_snapshot(&task, args.period, None).await?]
    };
    let shown = rows.iter().map(|row| {
        json!({ "id": row.id, "task": args.task, "period": row.period, "from": format_rfc3339(row.from_us),
            "to": format_rfc3339(row.to_us), "metrics": row.body })
    });
    output.result(&shown.collect(), || {
        let cells = rows.iter().map(|row| {
            let of = |name: &str| {
                let value = row.body["totals"][name].as_f64();
                value.map_or_else(String::new, number)
            };
            let mut cells = vec![
                row.period.to_string(),
                format_rfc3339(row.from_us),
                format_rfc3339(row.to_us),
            ];
            cells.extend(SHOWN.iter().map(|indicator| of(indicator.as_str())));
            cells
        });
        let mut headers = vec!["period", "from", "to"];
        headers.extend(SHOWN.iter().map(|indicator| indicator.as_str()));
        output.table(&headers, cells.collect());
    });
    Ok(ExitCode::SUCCESS)
}
