//! `hone task`.

use std::process::ExitCode;

use hone_domain::{TaskKind, TaskPolicy, format_rfc3339, parse_json};
use hone_engine::EngineError;
use hone_storage::tasks::Task;
use hone_storage::{deployments, progress, tasks, versions};
use serde_json::{Value, json};

use crate::app::App;
use crate::args::{KindArg, TaskCommand};
use crate::output::Output;

pub(super) async fn run(app: &App, command: TaskCommand, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        TaskCommand::Create { name, kind, policy } => {
            let kind = match kind {
                KindArg::Classify => TaskKind::Classify,
                KindArg::Generate => TaskKind::Generate,
            };
            let policy: TaskPolicy = parse_json(policy.as_bytes()).map_err(EngineError::from)?;
            let task = app
                .engine
                .create_task(app.project, &name, kind, policy, None)
                .await?;
            output.result(&value_of(&task), || {
                output.raw(&format!("task {name} made ({})", task.kind));
            });
        }
        TaskCommand::List => {
            let all = tasks::list(&mut app.engine.db.read().await?, app.project).await?;
            output.result(&all.iter().map(value_of).collect(), || {
                let cells = all.iter().map(|task| {
                    vec![
                        task.name.clone(),
                        task.kind.to_string(),
                        format_rfc3339(task.created_at_us),
                    ]
                });
                output.table(&["task", "kind", "made"], cells.collect());
            });
        }
        TaskCommand::Show { name } => show(app, &name, output).await?,
        TaskCommand::Set { name, policy } => {
            let task = app.engine.get_task(app.project, &name).await?;
            let mut merged = serde_json::to_value(&task.policy)?;
            merge(
                &mut merged,
                parse_json(policy.as_bytes()).map_err(EngineError::from)?,
            );
            let policy: TaskPolicy = parse_json(merged.to_string().as_bytes()).map_err(EngineError::from)?;
            let task = app.engine.update_policy(app.project, &name, policy).await?;
            output.result(&value_of(&task), || {
                output.raw(&format!("policies of {name} changed"));
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn value_of(task: &Task) -> Value {
    json!({ "id": task.id, "name": task.name, "kind": task.kind, "policy": task.policy })
}

/// Replaces the fields of `base` that `change` names, object by object; null stands for the default (RFC 7396).
pub(super) fn merge(base: &mut Value, change: Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (name, value) in change {
                if value.is_null() {
                    base.remove(&name);
                } else {
                    merge(base.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (base, change) => *base = change,
    }
}

async fn show(app: &App, name: &str, output: Output) -> anyhow::Result<()> {
    let task = app.engine.get_task(app.project, name).await?;
    let mut conn = app.engine.db.read().await?;
    let counters = progress::get(&mut conn, task.task_id()).await?;
    let serving = match deployments::find_serving(&mut conn, task.task_id()).await? {
        Some(serving) => Some(
            versions::get(&mut conn, serving.model_version_id.into())
                .await?
                .version,
        ),
        None => None,
    };
    let mut value = value_of(&task);
    value["serving"] = json!(serving);
    value["usable_examples"] = json!(counters.usable_examples);
    value["new_examples"] = json!(counters.new_examples);
    value["new_validated"] = json!(counters.new_validated);
    output.result(&value, || {
        output.raw(&format!("task      {} ({})", task.name, task.kind));
        output.raw(&format!(
            "serving   {}",
            serving.as_deref().unwrap_or("no version yet")
        ));
        output.raw(&format!(
            "examples  {} usable, {} new since the last training, {} of them validated by a person",
            counters.usable_examples, counters.new_examples, counters.new_validated
        ));
        output.raw(&format!(
            "policies  {}",
            serde_json::to_string_pretty(&task.policy).unwrap_or_default()
        ));
    });
    Ok(())
}
