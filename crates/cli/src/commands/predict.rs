//! `hone predict`.

use std::io::BufRead as _;
use std::process::ExitCode;

use hone_engine::{Answer, EngineError};
use serde_json::json;

use crate::app::App;
use crate::args::PredictArgs;
use crate::failure::INPUT_REFUSED;
use crate::output::Output;

pub(super) async fn run(app: &App, args: &PredictArgs, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, &args.task).await?;
    app.engine.refresh_router().await?;
    let served = app.engine.served(&task)?;
    let version = served.version.version.clone();
    let show = |text: &str| -> Result<(), EngineError> {
        print(text, &app.engine.predict(&task, &served, text)?, &version, output);
        Ok(())
    };
    if let Some(text) = &args.text {
        check(text).map_err(|problem| EngineError::field("/text", problem))?;
        show(text)?;
        return Ok(ExitCode::SUCCESS);
    }
    // A line that cannot be answered is named, and the others are answered.
    let mut is_complete = true;
    for (number, line) in std::io::stdin().lock().split(b'\n').enumerate() {
        let line = line?;
        let text = std::str::from_utf8(&line).map_err(|_| "is not valid UTF-8");
        match text.and_then(|text| check(text).map(|()| text)) {
            Ok(text) => show(text.trim_end_matches('\r'))?,
            Err(problem) => {
                is_complete = false;
                output.error(&format!("line {}: {problem}", number + 1));
            }
        }
    }
    Ok(if is_complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INPUT_REFUSED)
    })
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        Err("is empty; give the text to predict")
    } else {
        Ok(())
    }
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
