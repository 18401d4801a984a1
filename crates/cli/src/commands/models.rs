//! `hone models` and `hone register`.

use std::process::ExitCode;

use anyhow::Context as _;
use hone_domain::{PromptSpec, format_rfc3339, parse_json};
use hone_engine::EngineError;
use hone_storage::versions;
use serde_json::{Value, json};

use crate::app::App;
use crate::args::RegisterArgs;
use crate::output::Output;

const SHOWN: i64 = 100;

pub(super) async fn list(app: &App, task: &str, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, task).await?;
    let mut conn = app.engine.db.read().await?;
    let rows = versions::list(&mut conn, app.project, Some(task.task_id()), None, SHOWN).await?;
    let metric = |metrics: &Value, name: &str| metrics.get(name).and_then(Value::as_f64);
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    let values = rows.iter().map(|row| {
        json!({
            "version": row.version, "stage": row.stage, "accuracy": metric(&row.metrics, "accuracy"),
            "macro_f1": metric(&row.metrics, "macro_f1"), "artifact_hash": row.artifact_hash,
            "artifact_bytes": row.artifact_bytes, "dataset_hash": row.dataset_hash, "settings": row.settings,
            "created_at": format_rfc3339(row.created_at_us),
        })
    });
    output.result(&values.collect(), || {
        let cells = rows.iter().map(|row| {
            vec![
                row.version.clone(),
                row.stage.to_string(),
                shown(metric(&row.metrics, "accuracy")),
                shown(metric(&row.metrics, "macro_f1")),
                format!("{}", row.artifact_bytes / 1_024),
                row.dataset_hash
                    .iter()
                    .flat_map(|hash| hash.chars().take(12))
                    .collect(),
                format_rfc3339(row.created_at_us),
            ]
        });
        output.table(
            &[
                "version",
                "stage",
                "accuracy",
                "macro-F1",
                "KiB",
                "dataset",
                "registered",
            ],
            cells.collect(),
        );
    });
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn register(app: &App, args: &RegisterArgs, output: Output) -> anyhow::Result<ExitCode> {
    let text = if args.file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).context("standard input cannot be read")?
    } else {
        let shown = args.file.display();
        std::fs::read_to_string(&args.file).with_context(|| format!("{shown} cannot be read"))?
    };
    let spec: PromptSpec = parse_json(text.as_bytes()).map_err(EngineError::from)?;
    let (version, deployed) = app
        .engine
        .register_prompt(app.project, &args.task, spec, None)
        .await?;
    let value = json!({ "version": version.version, "id": version.id, "deployed": deployed });
    output.result(&value, || {
        output.raw(&format!("registered {} {}", args.task, version.version));
        output.raw(&if deployed {
            format!("it serves: ask for model task:{} at /openai/v1", args.task)
        } else {
            format!("next      hone deploy {} {}", args.task, version.version)
        });
    });
    Ok(ExitCode::SUCCESS)
}
