//! `hone evaluate`.

use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;

use anyhow::Context as _;
use hone_engine::{EngineError, RowFormat, read_examples};
use hone_learn::Evaluation;

use crate::app::App;
use crate::args::EvaluateArgs;
use crate::output::Output;

/// Mistakes that are printed.
const SHOWN_MISTAKES: usize = 10;

pub(super) async fn run(app: &App, args: &EvaluateArgs, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, &args.task).await?;
    let spinner = output.spinner("measuring");
    let (version, evaluation, texts) = if let Some(file) = &args.file {
        let (texts, labels) = read_labelled(file)?;
        let (version, evaluation) = app
            .engine
            .evaluate_texts(&task, args.version.as_deref(), texts.clone(), labels)
            .await?;
        (version, evaluation, texts)
    } else {
        let (version, held_out, evaluation) = app
            .engine
            .evaluate_by_hand(&task, args.version.as_deref(), None)
            .await?;
        (
            version,
            evaluation,
            held_out.into_iter().map(|row| row.input).collect(),
        )
    };
    spinner.finish_and_clear();
    let mut value = serde_json::to_value(&evaluation)?;
    value["version"] = serde_json::json!(version.version);
    output.result(&value, || {
        print(&evaluation, &version.version, &texts, args.labels, output);
    });
    Ok(ExitCode::SUCCESS)
}

fn read_labelled(file: &std::path::Path) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let format = RowFormat::of_file(file)?;
    let reader = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let (mut texts, mut labels) = (Vec::new(), Vec::new());
    read_examples(BufReader::new(reader), format, |number, line| {
        let refuse = |problem: String| EngineError::field("", format!("line {number}: {problem}"));
        let example = line.map_err(refuse)?;
        labels.push(example.label.ok_or_else(|| refuse("has no label".to_owned()))?);
        texts.push(example.input);
        Ok(())
    })?;
    if texts.is_empty() {
        return Err(EngineError::field("", format!("{} has no examples", file.display())).into());
    }
    Ok((texts, labels))
}

fn print(evaluation: &Evaluation, version: &str, texts: &[String], with_labels: bool, output: Output) {
    output.raw(&format!(
        "version {version} on {} examples, {} labels",
        evaluation.sample_count, evaluation.label_count
    ));
    let rows = [
        ("accuracy", evaluation.accuracy),
        ("macro precision", evaluation.macro_precision),
        ("macro recall", evaluation.macro_recall),
        ("macro-F1", evaluation.macro_f1),
        ("ECE", evaluation.ece),
        ("log-loss", evaluation.log_loss),
    ];
    let cells = rows
        .iter()
        .map(|(name, value)| vec![(*name).to_owned(), format!("{value:.4}")]);
    output.table(&["metric", "value"], cells.collect());
    if with_labels {
        let cells = evaluation.per_label.iter().map(|(label, metrics)| {
            let number = |value: f64| format!("{value:.3}");
            let (precision, recall, f1) = (
                number(metrics.precision),
                number(metrics.recall),
                number(metrics.f1),
            );
            vec![label.clone(), precision, recall, f1, metrics.support.to_string()]
        });
        output.table(
            &["label", "precision", "recall", "F1", "support"],
            cells.collect(),
        );
    }
    if !evaluation.misclassified.is_empty() {
        output.raw("mistakes the model was surest of");
        let cells = evaluation
            .misclassified
            .iter()
            .take(SHOWN_MISTAKES)
            .map(|missed| {
                let probability = format!("{:.2}", missed.probability);
                vec![
                    texts[missed.row].clone(),
                    missed.label.clone(),
                    missed.predicted.clone(),
                    probability,
                ]
            });
        output.table(&["text", "label", "predicted", "probability"], cells.collect());
    }
}
