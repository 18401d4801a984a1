//! `hone alerts`: what is wrong, the rules, and how people are told.

use std::process::ExitCode;
use std::time::Duration;

use hone_domain::{AlertRule, AlertState, SECOND_US, format_rfc3339, parse_json};
use hone_engine::{NewSilence, RouteChange};
use hone_storage::{alert_routes, alerts, jobs, tasks};
use serde_json::json;
use uuid::Uuid;

use crate::app::App;
use crate::args::{AlertsCommand, RouteCommand, RuleCommand};
use crate::output::Output;

const LISTED: i64 = 50;
const POLL: Duration = Duration::from_millis(100);

pub(super) async fn run(app: &App, command: AlertsCommand, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        AlertsCommand::List { state } => list(app, state, output).await?,
        AlertsCommand::Check => {
            let report = app.engine.check_alerts(app.project).await?;
            output.result(&json!(report), || {
                output.raw(&format!(
                    "{} fire, {} of them new; {} ended",
                    report.firing, report.fired, report.resolved
                ));
            });
        }
        AlertsCommand::Rule(command) => rule(app, command, output).await?,
        AlertsCommand::Route(command) => return route(app, command, output).await,
        AlertsCommand::Silence {
            minutes,
            reason,
            rule,
            task,
        } => {
            let new = NewSilence {
                rule,
                task,
                minutes,
                reason,
            };
            let silence = app.engine.silence(app.project, new, None).await?;
            let until = format_rfc3339(silence.until_us);
            output.result(&json!({ "id": silence.id, "until": until }), || {
                output.raw(&format!("nobody is told until {until}"));
            });
        }
        AlertsCommand::Log => log(app, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(app: &App, state: Option<AlertState>, output: Output) -> anyhow::Result<()> {
    let mut conn = app.engine.db.read().await?;
    let all = tasks::list(&mut conn, app.project).await?;
    let rows = alerts::list(&mut conn, app.project, None, state, None, LISTED).await?;
    let name_of = |id: Option<Uuid>| {
        let task = all.iter().find(|task| Some(task.id) == id);
        task.map_or_else(String::new, |task| task.name.clone())
    };
    let shown = rows.iter().map(|row| {
        json!({ "id": row.id, "rule": row.rule, "task": name_of(row.task_id), "value": row.value, "severity": row.severity,
            "state": row.state, "measured": row.measured, "message": row.message, "advice": row.advice,
            "since": format_rfc3339(row.since_us), "resolved_at": row.resolved_at_us.map(format_rfc3339) })
    });
    output.result(&shown.collect(), || {
        let cells = rows.iter().map(|row| {
            vec![
                row.state.to_string(),
                row.severity.to_string(),
                row.rule.clone(),
                format_rfc3339(row.since_us),
                row.message.clone(),
                row.advice.clone(),
            ]
        });
        let headers = ["state", "severity", "rule", "since", "what", "what to do"];
        output.table(&headers, cells.collect());
    });
    Ok(())
}

async fn rule(app: &App, command: RuleCommand, output: Output) -> anyhow::Result<()> {
    match command {
        RuleCommand::List => {
            let rules = app.engine.alert_rules(app.project).await?;
            output.result(&json!(rules), || {
                let cells = rules.iter().map(|shown| {
                    let rule = &shown.rule;
                    let place = match (shown.is_shipped, shown.is_changed) {
                        (true, false) => "shipped",
                        (true, true) => "changed",
                        (false, _) => "own",
                    };
                    vec![
                        shown.name.clone(),
                        format!("{} {}", rule.metric, rule.threshold()),
                        rule.by.to_string(),
                        format!("{} min", rule.window_minutes),
                        rule.severity.to_string(),
                        if rule.enabled { place } else { "off" }.to_owned(),
                    ]
                });
                let headers = ["name", "fires", "by", "window", "severity", "from"];
                output.table(&headers, cells.collect());
            });
        }
        RuleCommand::Set { name, rule } => {
            let rule: AlertRule = parse_json(rule.as_bytes())?;
            app.engine.set_alert_rule(app.project, &name, &rule).await?;
            output.result(&json!(rule), || {
                output.raw(&format!("rule {name} fires {} {}", rule.metric, rule.threshold()));
            });
        }
        RuleCommand::Remove { name } => {
            app.engine.remove_alert_rule(app.project, &name).await?;
            output.result(&json!({ "removed": name }), || {
                output.raw(&format!("rule {name} removed"));
            });
        }
    }
    Ok(())
}

async fn route(app: &App, command: RouteCommand, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        RouteCommand::List => {
            let routes = app.engine.alert_routes(app.project).await?;
            output.result(&json!(routes), || {
                let cells = routes.iter().map(|route| {
                    vec![
                        route.name.clone(),
                        route.kind.to_string(),
                        route.target.clone(),
                        route.min_severity.to_string(),
                        if route.enabled { "on" } else { "off" }.to_owned(),
                    ]
                });
                output.table(
                    &["name", "kind", "target", "from severity", "used"],
                    cells.collect(),
                );
            });
        }
        RouteCommand::Set {
            name,
            kind,
            target,
            min_severity,
            enabled,
        } => {
            let change = RouteChange {
                kind,
                target,
                min_severity,
                enabled,
            };
            let route = app.engine.set_alert_route(app.project, &name, change).await?;
            output.result(&json!(route), || {
                output.raw(&format!(
                    "route {name}: {} to {}; try it with: hone alerts route test {name}",
                    route.kind, route.target
                ));
            });
        }
        RouteCommand::Test { name } => return test(app, &name, output).await,
        RouteCommand::Key { name } => {
            let key = app.engine.alert_route_key(app.project, &name).await?;
            output.result(&json!({ "key": key }), || output.raw(&key));
        }
        RouteCommand::Remove { name } => {
            app.engine.remove_alert_route(app.project, &name).await?;
            output.result(&json!({ "removed": name }), || {
                output.raw(&format!("route {name} removed"));
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends a message and waits until it has arrived or was tried once.
async fn test(app: &App, name: &str, output: Output) -> anyhow::Result<ExitCode> {
    let id = app.engine.try_alert_route(app.project, name, None).await?;
    let worker = app.engine.worker();
    let delivery = loop {
        worker.run_until_idle().await?;
        let mut conn = app.engine.db.read().await?;
        let found = alert_routes::find_delivery(&mut conn, app.project, id).await?;
        let soon_us = app.engine.ids.now_us() + SECOND_US;
        let is_waiting = jobs::count_due(&mut conn, soon_us).await? > 0;
        match found {
            Some(delivery) if delivery.attempts > 0 || delivery.state != "queued" || !is_waiting => {
                break delivery;
            }
            _ => tokio::time::sleep(POLL).await,
        }
    };
    let has_arrived = delivery.state == "delivered";
    let value = json!({ "delivery_id": id, "state": delivery.state, "error": delivery.error });
    output.result(&value, || {
        output.raw(&match &delivery.error {
            None if has_arrived => "delivered".to_owned(),
            Some(error) => error.clone(),
            None => delivery.state.clone(),
        });
    });
    Ok(ExitCode::from(u8::from(!has_arrived)))
}

async fn log(app: &App, output: Output) -> anyhow::Result<()> {
    let mut conn = app.engine.db.read().await?;
    let rows = alert_routes::list_deliveries(&mut conn, app.project, None, None, LISTED).await?;
    let shown = rows.iter().map(|row| {
        json!({ "id": row.id, "alert_id": row.alert_id, "route": row.route, "event": row.event, "state": row.state,
            "attempts": row.attempts, "error": row.error, "created_at": format_rfc3339(row.created_at_us) })
    });
    output.result(&shown.collect(), || {
        let cells = rows.iter().map(|row| {
            vec![
                format_rfc3339(row.created_at_us),
                row.route.clone(),
                row.event.clone(),
                row.state.clone(),
                row.attempts.to_string(),
                row.error.clone().unwrap_or_default(),
            ]
        });
        let headers = ["when", "route", "event", "state", "attempts", "error"];
        output.table(&headers, cells.collect());
    });
    Ok(())
}
