//! `hone deploy`, `hone rollback` and `hone deployment`: what serves a task, and how new versions share its traffic.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use hone_domain::{DeploymentId, DeploymentPlan, Strategy, format_rfc3339, parse_json};
use hone_engine::{
    Comparison, DeployRequest, DeploymentChange, DeploymentView, EngineError, Forecast, Look, TestRule,
};
use hone_storage::tasks::Task;
use hone_storage::{deployments, versions};
use serde_json::json;

use crate::app::App;
use crate::args::{DeployArgs, DeploymentArgs, DeploymentCommand, RollbackArgs};
use crate::output::Output;

/// Deployments that are listed.
const SHOWN: i64 = 50;

pub(super) async fn deploy(app: &App, args: DeployArgs, output: Output) -> anyhow::Result<ExitCode> {
    let plan = read_plan(&args)?;
    let task = app.engine.get_task(app.project, &args.task).await?;
    let is_gradual = plan.strategy != Strategy::AllAtOnce;
    if is_gradual && (args.dry_run || plan.goal.metric.is_share()) {
        let forecast = app.engine.forecast(&task, &plan).await?;
        if args.dry_run {
            output.result(&json!(forecast), || {
                output.raw(&words_of_forecast(&forecast, &plan));
            });
            return Ok(ExitCode::SUCCESS);
        }
        output.say(words_of_forecast(&forecast, &plan));
    }
    let request = if is_gradual || args.versions.len() > 1 {
        DeployRequest::Plan {
            versions: args.versions,
            plan: Box::new(plan),
        }
    } else {
        DeployRequest::Version(args.versions.into_iter().next().unwrap_or_default())
    };
    if args.dry_run {
        output.say("it would serve everything at once");
        return Ok(ExitCode::SUCCESS);
    }
    make_serve(app, &args.task, &request, &args.reason, output).await
}

pub(super) async fn rollback(app: &App, args: RollbackArgs, output: Output) -> anyhow::Result<ExitCode> {
    let request = DeployRequest::Rollback(args.version);
    make_serve(app, &args.task, &request, &args.reason, output).await
}

pub(super) async fn run(app: &App, command: DeploymentCommand, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        DeploymentCommand::List { task } => list(app, &task, output).await?,
        DeploymentCommand::Show(which) => {
            let view = find(app, &which).await?;
            show(&view, output);
        }
        DeploymentCommand::Pause(which) => change(app, &which, DeploymentChange::Pause, output).await?,
        DeploymentCommand::Resume(which) => change(app, &which, DeploymentChange::Resume, output).await?,
        DeploymentCommand::Promote { which, version } => {
            change(app, &which, DeploymentChange::Promote(version), output).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read_plan(args: &DeployArgs) -> anyhow::Result<DeploymentPlan> {
    let Some(given) = &args.plan else {
        return Ok(DeploymentPlan::of(args.strategy.into()));
    };
    let text = if given.trim_start().starts_with('{') {
        given.clone()
    } else {
        let path = PathBuf::from(given);
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?
    };
    let mut plan: DeploymentPlan = parse_json(text.as_bytes()).map_err(EngineError::from)?;
    let strategy = Strategy::from(args.strategy);
    if strategy != Strategy::AllAtOnce {
        plan.strategy = strategy;
    }
    Ok(plan)
}

async fn make_serve(
    app: &App,
    task: &str,
    request: &DeployRequest,
    reason: &str,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let deployment = app
        .engine
        .deploy(app.project, task, request, reason, None)
        .await?;
    let id = DeploymentId(deployment.id);
    let view = app.engine.show_deployment(app.project, id).await?;
    let version = view.name_of(view.deployment.model_version_id);
    let value = json!({ "deployment_id": id, "version": version, "kind": view.deployment.kind,
        "state": view.deployment.state });
    output.result(&value, || {
        output.raw(&words_of_state(&view));
        if view.deployment.state.is_sharing() {
            output.raw(&format!("next      hone deployment show {task}"));
        }
    });
    Ok(ExitCode::SUCCESS)
}

async fn list(app: &App, task: &str, output: Output) -> anyhow::Result<()> {
    let task = app.engine.get_task(app.project, task).await?;
    let mut conn = app.engine.db.read().await?;
    let rows = deployments::list(&mut conn, app.project, Some(task.task_id()), None, SHOWN).await?;
    let mut cells = Vec::new();
    let mut values = Vec::new();
    for row in rows {
        let strategy = row
            .plan
            .as_ref()
            .map_or(Strategy::AllAtOnce, |plan| plan.strategy);
        let version = versions::get(&mut conn, row.model_version_id.into())
            .await?
            .version;
        let events = deployments::list_events(&mut conn, row.id.into()).await?;
        values.push(
            json!({ "id": row.id, "version": version, "state": row.state, "strategy": strategy, "kind": row.kind,
            "step": row.step, "reason": row.reason, "created_at": format_rfc3339(row.created_at_us) }),
        );
        cells.push(vec![
            version,
            row.state.to_string(),
            strategy.to_string(),
            row.kind.to_string(),
            format_rfc3339(row.created_at_us),
            events
                .last()
                .map(|event| event.reason.clone())
                .unwrap_or_default(),
        ]);
    }
    output.result(&values.into(), || {
        let headers = ["version", "state", "strategy", "kind", "asked for", "last reason"];
        output.table(&headers, cells);
    });
    Ok(())
}

/// The deployment that is meant.
async fn find(app: &App, which: &DeploymentArgs) -> anyhow::Result<DeploymentView> {
    let task = app.engine.get_task(app.project, &which.task).await?;
    let id = match which.id {
        Some(id) => DeploymentId(id),
        None => latest(app, &task).await?,
    };
    let view = app.engine.show_deployment(app.project, id).await?;
    anyhow::ensure!(
        view.deployment.task_id == task.id,
        EngineError::field("--id", format!("deployment {id} is of task \"{}\"", view.task))
    );
    Ok(view)
}

async fn latest(app: &App, task: &Task) -> anyhow::Result<DeploymentId> {
    let mut conn = app.engine.db.read().await?;
    if let Some(sharing) = deployments::find_sharing(&mut conn, task.task_id()).await? {
        return Ok(DeploymentId(sharing.id));
    }
    let latest = deployments::list(&mut conn, app.project, Some(task.task_id()), None, 1).await?;
    let latest = latest.first().ok_or_else(|| EngineError::NotFound {
        noun: "deployment of task",
        id: task.name.clone(),
    })?;
    Ok(DeploymentId(latest.id))
}

async fn change(
    app: &App,
    which: &DeploymentArgs,
    change: DeploymentChange,
    output: Output,
) -> anyhow::Result<()> {
    let id = DeploymentId(find(app, which).await?.deployment.id);
    let changed = app
        .engine
        .change_deployment(app.project, id, &change, &which.reason)
        .await?;
    let view = app
        .engine
        .show_deployment(app.project, DeploymentId(changed.id))
        .await?;
    let value = json!({ "deployment_id": changed.id, "state": changed.state });
    output.result(&value, || output.raw(&words_of_state(&view)));
    Ok(())
}

fn show(view: &DeploymentView, output: Output) {
    let deployment = &view.deployment;
    let value = json!({
        "id": deployment.id, "task": view.task, "state": deployment.state, "step": deployment.step,
        "plan": deployment.plan.as_ref().map(|plan| &plan.0), "arms": deployment.arms.as_ref().map(|arms| &arms.0),
        "versions": view.versions, "look": view.look,
        "events": view.events.iter().map(|event| json!({ "event": event.event, "state": event.state, "step": event.step,
            "reason": event.reason, "at": format_rfc3339(event.created_at_us) })).collect::<Vec<_>>(),
    });
    output.result(&value, || {
        output.raw(&words_of_state(view));
        if let Some(look) = &view.look {
            show_look(view, look, output);
        }
        output.raw("");
        let cells = view.events.iter().map(|event| {
            vec![
                format_rfc3339(event.created_at_us),
                event.event.to_string(),
                event.state.to_string(),
                event.reason.clone(),
            ]
        });
        output.table(&["at", "event", "state", "reason"], cells.collect());
    });
}

fn show_look(view: &DeploymentView, look: &Look, output: Output) {
    let arms = look.exposures.iter().map(|arm| {
        format!(
            "{} {:.0} % ({} units)",
            view.name_of(arm.version_id),
            arm.share * 100.0,
            arm.units
        )
    });
    output.raw(&format!("traffic   {}", arms.collect::<Vec<_>>().join(", ")));
    if let Some(disagreement) = &look.disagreement {
        let share = disagreement
            .mean
            .map_or_else(|| "-".to_owned(), |mean| format!("{:.1} %", mean * 100.0));
        output.raw(&format!("disagree  {share} of {} answers", disagreement.outcomes));
    }
    output.raw(&format!("next      {}", look.reason));
    let cells = look.comparisons.iter().map(|comparison| {
        vec![
            view.name_of(comparison.version_id).to_owned(),
            comparison.metric.to_string(),
            shown(comparison.live.mean),
            shown(comparison.new.mean),
            format!("{} / {}", comparison.live.outcomes, comparison.new.outcomes),
            words_of_interval(comparison),
            shown(comparison.allowed.map(|allowed| -allowed)),
            serde_json::to_value(comparison.verdict)
                .ok()
                .and_then(|verdict| verdict.as_str().map(str::to_owned))
                .unwrap_or_default(),
        ]
    });
    let headers = [
        "version",
        "metric",
        "live",
        "new",
        "outcomes",
        "difference, better is +",
        "allowed",
        "verdict",
    ];
    output.table(&headers, cells.collect());
}

fn shown(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.4}"))
}

fn words_of_interval(comparison: &Comparison) -> String {
    match (comparison.difference, comparison.lower, comparison.upper) {
        (Some(difference), Some(lower), Some(upper)) => {
            format!("{difference:+.4} ({lower:+.4} to {upper:+.4})")
        }
        (Some(difference), ..) if comparison.rule == TestRule::Exact => {
            format!("{difference:+.4} (p {:.3})", comparison.p.unwrap_or(1.0))
        }
        (Some(difference), ..) => format!("{difference:+.4}"),
        _ => "-".to_owned(),
    }
}

fn words_of_state(view: &DeploymentView) -> String {
    let deployment = &view.deployment;
    let version = view.name_of(deployment.model_version_id);
    let Some(plan) = deployment.plan.as_ref().filter(|_| deployment.state.is_sharing()) else {
        return match deployment.state {
            hone_domain::DeploymentState::Live => format!("version {version} serves {}", view.task),
            state => format!("version {version} of {}: {state}", view.task),
        };
    };
    let arms: Vec<String> = deployment
        .arms()
        .iter()
        .map(|arm| format!("{} {:.0} %", view.name_of(arm.version_id), arm.share * 100.0))
        .collect();
    let state = deployment.state;
    match plan.strategy {
        Strategy::Shadow => format!(
            "{state}: version {version} is asked beside the live one of {}",
            view.task
        ),
        strategy => format!("{state}: {strategy} of {}, {}", view.task, arms.join(", ")),
    }
}

fn words_of_forecast(forecast: &Forecast, plan: &DeploymentPlan) -> String {
    let metric = &forecast.metric;
    let duration = match (forecast.expected_days, forecast.expected_outcomes) {
        (Some(days), Some(outcomes)) => format!(
            "about {days:.1} days ({outcomes:.0} outcomes) to show that it is within {} of the live version, if it is as good",
            plan.goal.margin
        ),
        (None, Some(outcomes)) => format!(
            "{outcomes:.0} outcomes to show that it is within {} of the live version, if it is as good; none came in the last week",
            plan.goal.margin
        ),
        _ => "a margin of 0 can only be shown by being better".to_owned(),
    };
    let least = match forecast.minimum_detectable_effect {
        Some(effect) => format!(
            "; the least difference that is found in {} days: {effect:.3}",
            plan.max_days
        ),
        None => String::new(),
    };
    format!(
        "forecast  {metric}: {:.0} outcomes a day; {duration}{least}",
        forecast.outcomes_per_day
    )
}
