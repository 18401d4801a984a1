//! `hone history`: interactions and feedback out of another tool's export.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use hone_domain::{HistorySource, TaskKind, TaskPolicy};
use hone_engine::{
    AnsweredBy, EngineError, HistoryReader, Privacy, RecordBatch, RecordOutcome, RefusedLine, RowFormat,
    Told, read_rows,
};
use hone_storage::tasks::Task;
use serde_json::json;

use crate::app::App;
use crate::args::{HistoryArgs, HistorySourceArg, KindArg, RowFormatArg};
use crate::failure::INPUT_REFUSED;
use crate::output::Output;

/// Rows recorded in one go.
const BATCH: usize = 1_000;
/// Why a row is refused whose records are there with other content.
const DIFFERS: &str = "is there already with other content, from an earlier import with another mapping or another state of the \
    row; what is recorded does not change, so bring the file into another task";
/// Refused rows that are printed; all are in the JSON output.
const SHOWN_REFUSED: usize = 10;

/// What was brought in.
#[derive(Debug, Default, serde::Serialize)]
struct Report {
    /// Rows read, without those of an earlier attempt.
    rows: usize,
    /// Rows that an earlier attempt had done.
    skipped: usize,
    /// Rows that tell what can be taken.
    taken: usize,
    /// Interactions and feedback recorded.
    recorded: usize,
    /// Those that were there already.
    duplicates: usize,
    /// Rows that tell nothing that can be taken.
    refused: Vec<RefusedLine>,
}

pub(super) async fn run(app: &App, args: &HistoryArgs, output: Output) -> anyhow::Result<ExitCode> {
    let format = match args.format {
        Some(RowFormatArg::Jsonl) => RowFormat::Jsonl,
        Some(RowFormatArg::Json) => RowFormat::Json,
        Some(RowFormatArg::Csv) => RowFormat::Csv,
        Some(RowFormatArg::Parquet) => RowFormat::Parquet,
        None => RowFormat::of_file(&args.file)?,
    };
    let source = match args.from {
        HistorySourceArg::Openai => HistorySource::OpenAi,
        HistorySourceArg::Langfuse => HistorySource::Langfuse,
        HistorySourceArg::Tensorzero => HistorySource::TensorZero,
        HistorySourceArg::Argilla => HistorySource::Argilla,
        HistorySourceArg::Trl => HistorySource::Trl,
        HistorySourceArg::Table => HistorySource::Table,
    };
    let columns: BTreeMap<String, String> = args.map.iter().cloned().collect();
    let reader = HistoryReader::new(source, columns, app.project, &args.task)?;
    let position = Position::of(app, args)?;
    let mut report = Report {
        skipped: position.done,
        ..Report::default()
    };
    if report.skipped > 0 {
        let after = format!("going on after row {}; --restart begins anew", report.skipped);
        output.say(after);
    }
    let task = if args.dry_run {
        None
    } else {
        Some(ensure_task(app, args).await?)
    };
    let privacy = app.engine.privacy(app.project).await?;
    let bar = output.bar(count_rows(args, format).await?, "rows");
    // Reading blocks, recording does not: rows cross over in batches, of which at most two wait.
    let (sender, mut batches) = tokio::sync::mpsc::channel::<Vec<NumberedRow>>(2);
    let (file, skipped) = (args.file.clone(), report.skipped);
    let reading = tokio::task::spawn_blocking(move || read_batches(&file, format, skipped, &reader, &sender));
    bar.inc(report.skipped as u64);
    while let Some(batch) = batches.recv().await {
        let (count, last) = (batch.len(), batch.last().map_or(0, |(number, _)| *number));
        record(app, task.as_ref(), &privacy, batch, &mut report).await?;
        if task.is_some() {
            position.save(last)?;
        }
        bar.inc(count as u64);
    }
    reading.await.context("the reader failed")??;
    bar.finish_and_clear();
    if task.is_some() {
        position.forget();
    }
    print(&report, args, output);
    let nothing_taken = report.recorded + report.duplicates == 0 && !report.refused.is_empty();
    Ok(if nothing_taken && !args.dry_run {
        ExitCode::from(INPUT_REFUSED)
    } else {
        ExitCode::SUCCESS
    })
}

type NumberedRow = (usize, Result<Told, String>);

/// Rows of the file, for the bar; a JSON list or Parquet file is not counted beforehand.
async fn count_rows(args: &HistoryArgs, format: RowFormat) -> anyhow::Result<u64> {
    if !matches!(format, RowFormat::Jsonl | RowFormat::Csv) {
        return Ok(0);
    }
    let file = args.file.clone();
    let counting = tokio::task::spawn_blocking(move || {
        // By pieces and not by lines, of which one may be as long as the file.
        let (mut file, mut piece, mut lines) = (std::fs::File::open(&file)?, vec![0; 1 << 20], 0);
        loop {
            match file.read(&mut piece)? {
                0 => return Ok::<u64, std::io::Error>(lines),
                read => lines += piece[..read].split(|&byte| byte == b'\n').count() as u64 - 1,
            }
        }
    });
    let shown = args.file.display();
    counting.await?.with_context(|| format!("cannot read {shown}"))
}

fn read_batches(
    file: &Path,
    format: RowFormat,
    skipped: usize,
    reader: &HistoryReader,
    sender: &tokio::sync::mpsc::Sender<Vec<NumberedRow>>,
) -> Result<(), EngineError> {
    let gone = || EngineError::Conflict("the import was given up".to_owned());
    let mut batch = Vec::with_capacity(BATCH);
    read_rows(file, format, skipped, &mut |number, row| {
        batch.push((number, row.and_then(|row| reader.read(&row))));
        if batch.len() == BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            sender.blocking_send(full).map_err(|_| gone())?;
        }
        Ok(())
    })?;
    if !batch.is_empty() {
        sender.blocking_send(batch).map_err(|_| gone())?;
    }
    Ok(())
}

async fn ensure_task(app: &App, args: &HistoryArgs) -> anyhow::Result<Task> {
    let kind = match args.kind {
        KindArg::Classify => TaskKind::Classify,
        KindArg::Generate => TaskKind::Generate,
    };
    match app.engine.get_task(app.project, &args.task).await {
        Ok(task) => Ok((*task).clone()),
        Err(EngineError::NotFound { .. }) => {
            let policy = TaskPolicy::default();
            Ok(app
                .engine
                .create_task(app.project, &args.task, kind, policy, None)
                .await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Records a batch; in a dry run only checks it.
async fn record(
    app: &App,
    task: Option<&Task>,
    privacy: &Privacy,
    rows: Vec<NumberedRow>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let recorder = app.engine.recorder();
    let (mut batch, now_us) = (RecordBatch::default(), app.engine.ids.now_us());
    // The row of each record.
    let mut numbers = Vec::new();
    for (number, told) in rows {
        report.rows += 1;
        let taken = told.and_then(|told| {
            let problem = |error: &dyn std::fmt::Display| error.to_string();
            if let Some((interaction, is_reference)) = told.interaction {
                match task {
                    Some(task) => recorder
                        .add_interaction(
                            &mut batch,
                            task,
                            privacy,
                            interaction,
                            is_reference,
                            AnsweredBy::default(),
                        )
                        .map(|_| ())
                        .map_err(|error| problem(&error))?,
                    None => interaction.validate(now_us).map_err(|error| problem(&error))?,
                }
            }
            for feedback in told.feedback {
                match task {
                    Some(_) => recorder
                        .add_feedback(&mut batch, app.project, privacy, feedback)
                        .map(|_| ())
                        .map_err(|error| problem(&error))?,
                    None => feedback.validate(now_us).map_err(|error| problem(&error))?,
                }
            }
            Ok(())
        });
        numbers.resize(batch.len(), number);
        match taken {
            Ok(()) => report.taken += 1,
            Err(problem) => report.refused.push(RefusedLine {
                line: number,
                problem,
            }),
        }
    }
    if batch.is_empty() {
        return Ok(());
    }
    for (recorded, line) in recorder.write(batch).await?.into_iter().zip(numbers) {
        match recorded.outcome {
            RecordOutcome::Recorded => report.recorded += 1,
            RecordOutcome::Duplicate => report.duplicates += 1,
            RecordOutcome::Conflict => report.refused.push(RefusedLine {
                line,
                problem: DIFFERS.to_owned(),
            }),
        }
    }
    Ok(())
}

fn print(report: &Report, args: &HistoryArgs, output: Output) {
    output.result(&json!(report), || {
        if args.dry_run {
            let refused = report.refused.len();
            output.raw(&format!(
                "{} rows would be taken, {refused} refused",
                report.taken
            ));
        } else {
            output.raw(&format!(
                "{} rows read, {} records new, {} there already, {} rows refused",
                report.rows,
                report.recorded,
                report.duplicates,
                report.refused.len()
            ));
        }
        for refused in report.refused.iter().take(SHOWN_REFUSED) {
            output.raw(&format!("row {}: {}", refused.line, refused.problem));
        }
        if report.refused.len() > SHOWN_REFUSED {
            output.raw("… all of them with --json");
        }
    });
}

/// How far an import of a file came: kept beside the database, so that an import that broke off goes on.
struct Position {
    file: PathBuf,
    done: usize,
}

impl Position {
    /// The position of this file (path, size and time of change) in this task and project.
    fn of(app: &App, args: &HistoryArgs) -> anyhow::Result<Self> {
        let shown = args.file.display();
        let metadata = std::fs::metadata(&args.file).with_context(|| format!("cannot open {shown}"))?;
        let path = std::fs::canonicalize(&args.file)?;
        let what = format!(
            "{:?} {} {} {:?} {:?}",
            app.project,
            path.display(),
            metadata.len(),
            metadata.modified().ok(),
            args.task
        );
        let id: uuid::Uuid = hone_domain::derive_repeatable_id(app.project, "history", &what);
        let file = app.config.data.join("imports").join(id.to_string());
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let done = if args.restart || args.dry_run {
            0
        } else {
            text.trim().parse().unwrap_or(0)
        };
        Ok(Self { file, done })
    }

    fn save(&self, row: usize) -> anyhow::Result<()> {
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let written = self.file.with_extension("new");
        std::fs::write(&written, row.to_string())?;
        Ok(std::fs::rename(written, &self.file)?)
    }

    fn forget(&self) {
        // Nothing is lost when it stays: rows that come again change nothing.
        let _ = std::fs::remove_file(&self.file);
    }
}
