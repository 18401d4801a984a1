//! `hone curate`.

use std::process::ExitCode;

use hone_domain::{CurationPolicy, parse_json};
use hone_engine::{CurationPreview, CurationReport, EngineError};

use super::tasks::merge;
use crate::app::App;
use crate::args::CurateArgs;
use crate::output::{Output, shortened};

/// Changes that are printed; all are in the JSON output.
const SHOWN_CHANGES: usize = 20;

pub(super) async fn run(app: &App, args: &CurateArgs, output: Output) -> anyhow::Result<ExitCode> {
    if args.dry_run {
        return preview(app, args, output).await;
    }
    let task = app.engine.get_task(app.project, &args.task).await?;
    let bar = output.spinner("curating");
    let told = |count| {
        bar.set_position(count as u64);
        Ok(())
    };
    let report = if args.again {
        app.engine.curate_again(task.task_id(), &told).await?
    } else {
        app.engine.curate(task.task_id(), &told).await?
    };
    bar.finish_and_clear();
    output.result(&serde_json::to_value(&report)?, || print(&report, "", output));
    Ok(ExitCode::SUCCESS)
}

fn print(report: &CurationReport, would: &str, output: Output) {
    output.raw(&format!(
        "{} looked at: {} examples {would}taken, {} rejected, {} undecided",
        report.considered, report.approved, report.rejected, report.undecided
    ));
    for (step, count) in &report.rejected_by {
        output.raw(&format!("  {count:>6}  {step}"));
    }
}

async fn preview(app: &App, args: &CurateArgs, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, &args.task).await?;
    let policy = match &args.policy {
        None => None,
        Some(text) => {
            let mut merged = serde_json::to_value(&task.policy.curation)?;
            merge(
                &mut merged,
                parse_json(text.as_bytes()).map_err(EngineError::from)?,
            );
            let policy: CurationPolicy =
                parse_json(merged.to_string().as_bytes()).map_err(EngineError::from)?;
            Some(policy)
        }
    };
    let again = args.again || policy.is_some();
    let preview: CurationPreview = app.engine.preview_curation(&task, policy, again).await?;
    output.result(&serde_json::to_value(&preview)?, || {
        print(&preview.report, "would be ", output);
        let cells = preview.changes.iter().take(SHOWN_CHANGES).map(|change| {
            vec![
                shortened(&change.input, 50),
                change
                    .before
                    .map_or_else(String::new, |status| status.to_string()),
                change.after.to_string(),
                change.step.clone().unwrap_or_default(),
                shortened(&change.reason, 60),
            ]
        });
        output.table(&["text", "is", "would be", "step", "why"], cells.collect());
        let more = preview.changes.len().saturating_sub(SHOWN_CHANGES);
        if more > 0 {
            output.raw(&format!("and {more} more; --json lists all"));
        }
        if preview.is_cut_off {
            output.raw("a dry run looks at 2,000; there is more");
        }
    });
    Ok(ExitCode::SUCCESS)
}
