//! `hone predict`.

use std::io::BufRead as _;
use std::process::ExitCode;

use hone_engine::Answer;
use serde_json::json;

use crate::app::App;
use crate::args::PredictArgs;
use crate::output::Output;

pub(super) async fn run(app: &App, args: &PredictArgs, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, &args.task).await?;
    app.engine.refresh_router().await?;
    let served = app.engine.served(&task)?;
    let version = served.version.version.clone();
    let show = |text: &str| print(text, &app.engine.predict(&task, &served, text), &version, output);
    if let Some(text) = &args.text {
        show(text);
    } else {
        for line in std::io::stdin().lock().lines() {
            show(&line?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str, answer: &Answer, version: &str, output: Output) {
    if output.is_json() {
        let alternatives: Vec<_> = answer
            .alternatives
            .iter()
            .map(|(label, probability)| json!({ "label": label, "probability": probability }))
            .collect();
        let value = json!({
            "text": text, "label": answer.label, "probability": answer.probability, "alternatives": alternatives,
            "abstained": answer.label.is_none(), "model_version": version,
        });
        return output.raw(&value.to_string());
    }
    let label = answer.label.as_deref().unwrap_or("(abstains)");
    let others: Vec<String> = answer
        .alternatives
        .iter()
        .skip(1)
        .map(|(label, probability)| format!("{label} {probability:.2}"))
        .collect();
    output.raw(&format!(
        "{label}  {:.2}   ({})",
        answer.probability,
        others.join(", ")
    ));
}
