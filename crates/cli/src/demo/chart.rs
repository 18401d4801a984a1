//! The learning curve as a terminal chart, and the versions as a table.

use super::client::VersionSummary;
use super::replay::Block;
use crate::output::Output;

/// Lines of the chart: one for each tenth.
const HEIGHT: usize = 10;

pub(super) fn print(blocks: &[Block], versions: &[VersionSummary], output: Output) {
    output.raw("Answers that were right, by stretch of messages (people corrected the others)\n");
    for line in chart(blocks) {
        output.raw(&line);
    }
    output.raw("\nVersions, measured on held-out examples");
    let rows = versions.iter().map(|version| {
        vec![
            version.version.clone(),
            version.stage.clone(),
            version.examples.to_string(),
            format!("{:.3}", version.accuracy),
            format!("{:.3}", version.macro_f1),
            version.reason.replace('_', " "),
        ]
    });
    output.table(
        &[
            "version",
            "stage",
            "examples",
            "accuracy",
            "macro-F1",
            "trained because of",
        ],
        rows.collect(),
    );
    let refused = versions
        .iter()
        .filter(|version| version.stage == "refused")
        .count();
    let deployed = versions.len() - refused;
    let (first, last) = (blocks.first(), blocks.last());
    output.raw(&format!(
        "{deployed} versions went live, {refused} refused by the gate; right answers rose from {:.0} % to {:.0} %",
        100.0 * first.map_or(0.0, |block| block.accuracy),
        100.0 * last.map_or(0.0, |block| block.accuracy),
    ));
}

/// Columns of blocks, one a stretch, with a mark where another version began to serve.
fn chart(blocks: &[Block]) -> Vec<String> {
    let mut lines = Vec::new();
    for line in (1..=HEIGHT).rev() {
        let bars: String = blocks
            .iter()
            .map(|block| cell(block.accuracy * HEIGHT as f64, line))
            .collect();
        lines.push(format!("{:>4} % │{bars}", line * 100 / HEIGHT));
    }
    let mut before: Option<&str> = None;
    let mut marks = String::new();
    for block in blocks {
        let serving = block.serving.as_deref();
        marks.push_str(if serving == before { "   " } else { " ▲ " });
        before = serving;
    }
    let total = blocks.last().map_or(0, |block| block.messages);
    lines.push(format!("       └{}", "─".repeat(blocks.len() * 3)));
    lines.push(format!("        {marks}  ▲ another version went live"));
    lines.push(format!(
        "        0{:>width$} messages",
        total,
        width = (blocks.len() * 3).saturating_sub(1)
    ));
    lines
}

/// Eighths of a character give the bar a finer top.
fn cell(height: f64, line: usize) -> &'static str {
    const EIGHTHS: [&str; 9] = ["   ", " ▁▁", " ▂▂", " ▃▃", " ▄▄", " ▅▅", " ▆▆", " ▇▇", " ██"];
    let filled = ((height - (line - 1) as f64).clamp(0.0, 1.0) * 8.0).round() as usize;
    EIGHTHS[filled.min(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_rises_with_accuracy_and_marks_versions() {
        let block = |messages, accuracy, serving: Option<&str>| Block {
            messages,
            accuracy,
            serving: serving.map(str::to_owned),
        };
        let blocks = [
            block(40, 0.0, None),
            block(80, 0.5, Some("1.0.0")),
            block(120, 1.0, Some("1.0.0")),
        ];
        insta::assert_snapshot!(chart(&blocks).join("\n"));
    }
}
