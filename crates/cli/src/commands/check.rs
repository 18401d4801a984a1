//! `hone check`: a file that something is to be trained on, looked at line by line before it is used. Needs no database.

use std::process::ExitCode;

use hone_engine::{FormatReport, TrainingFormat, check_file};

use super::transfer::open;
use crate::args::{CheckArgs, TrainingFormatArg};
use crate::failure::INPUT_REFUSED;
use crate::output::Output;

/// Problems that are printed; the JSON output has a thousand.
const SHOWN_PROBLEMS: usize = 20;

pub(super) async fn run(args: &CheckArgs, output: Output) -> anyhow::Result<ExitCode> {
    let format = match args.format {
        TrainingFormatArg::OpenaiChat => TrainingFormat::OpenAiChat,
        TrainingFormatArg::OpenaiPreference => TrainingFormat::OpenAiPreference,
        TrainingFormatArg::Sft => TrainingFormat::Sft,
        TrainingFormatArg::Preference => TrainingFormat::Preference,
        TrainingFormatArg::Kto => TrainingFormat::Kto,
    };
    let file = open(&args.file)?;
    let report = tokio::task::spawn_blocking(move || check_file(file, format)).await??;
    output.result(&serde_json::to_value(&report)?, || print(&report, output));
    let is_usable = report.lines > 0 && report.good == report.lines;
    Ok(if is_usable {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INPUT_REFUSED)
    })
}

fn print(report: &FormatReport, output: Output) {
    let problems = report.problems.len() + report.more_problems;
    output.raw(&format!(
        "{} lines: {} can be trained on, {problems} cannot",
        report.lines, report.good
    ));
    for problem in report.problems.iter().take(SHOWN_PROBLEMS) {
        output.raw(&format!("  line {}: {}", problem.line, problem.problem));
    }
    if problems > SHOWN_PROBLEMS {
        output.raw(&format!("  … and {} more", problems - SHOWN_PROBLEMS));
    }
    for remark in &report.remarks {
        let lines: Vec<String> = remark.lines.iter().map(ToString::to_string).collect();
        let more = if remark.count > lines.len() && !lines.is_empty() {
            ", …"
        } else {
            ""
        };
        let shown = if lines.is_empty() {
            String::new()
        } else {
            format!(": {}{more}", lines.join(", "))
        };
        output.raw(&format!("  look at {} ({}){shown}", remark.what, remark.count));
    }
}
