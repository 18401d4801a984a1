//! `hone examples`.

use std::process::ExitCode;

use hone_domain::{ExampleVerdict, format_rfc3339};
use hone_engine::ExampleDecision;
use hone_storage::examples::{self, Example, Filter};
use serde_json::{Value, json};

use crate::app::App;
use crate::args::{ExampleIds, ExamplesCommand, ExamplesListArgs};
use crate::output::{Output, shortened};

pub(super) async fn run(app: &App, command: ExamplesCommand, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        ExamplesCommand::List(args) => list(app, args, output).await,
        ExamplesCommand::Approve(ids) => decide(app, &ids, ExampleVerdict::Approve, output).await,
        ExamplesCommand::Reject(ids) => decide(app, &ids, ExampleVerdict::Reject, output).await,
        ExamplesCommand::Restore(ids) => decide(app, &ids, ExampleVerdict::Restore, output).await,
    }
}

async fn list(app: &App, args: ExamplesListArgs, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, &args.task).await?.task_id();
    let filter = Filter {
        status: args.status,
        label: args.label,
        step: args.step,
        source: args.source,
        min_quality: args.min_quality,
        ..Filter::default()
    };
    let mut conn = app.engine.db.read().await?;
    let rows = examples::list(&mut conn, task, &filter, args.after, args.limit).await?;
    output.result(&rows.iter().map(value_of).collect(), || {
        let cells = rows.iter().map(|row| {
            let target = row.label.as_deref().or(row.target.0.as_deref()).unwrap_or("");
            vec![
                row.id.to_string(),
                shortened(&row.input.0, 40),
                shortened(target, 24),
                row.status.to_string(),
                row.quality
                    .map_or_else(String::new, |quality| format!("{quality:.2}")),
                shortened(&row.reason, 60),
            ]
        });
        output.table(
            &["example", "text", "target", "status", "quality", "why"],
            cells.collect(),
        );
    });
    Ok(ExitCode::SUCCESS)
}

async fn decide(
    app: &App,
    ids: &ExampleIds,
    verdict: ExampleVerdict,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let mut decided = Vec::new();
    for id in &ids.ids {
        let decision = ExampleDecision {
            verdict,
            label: None,
            target: None,
            reason: ids.reason.clone(),
        };
        let example = app
            .engine
            .decide_example(app.project, (*id).into(), decision)
            .await?;
        output.say(format!("{id} is {}: {}", example.status, example.reason));
        decided.push(value_of(&example));
    }
    output.result(&Value::Array(decided), || {});
    Ok(ExitCode::SUCCESS)
}

fn value_of(row: &Example) -> Value {
    json!({
        "id": row.id, "interaction_id": row.interaction_id, "input": row.input.0, "label": row.label,
        "target": row.target.0, "weight": row.weight, "status": row.status, "origin": row.origin, "step": row.step,
        "reason": row.reason, "source": row.source, "decided_by": row.decided_by, "quality": row.quality,
        "quality_reasons": row.quality_reasons, "language": row.language, "topics": row.topics, "split": row.split,
        "created_at": format_rfc3339(row.created_at_us),
    })
}
