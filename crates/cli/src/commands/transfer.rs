//! `hone import` and `hone export`.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use hone_domain::{ExampleOrigin, NewExample, Split, TaskKind, TaskPolicy};
use hone_engine::{
    EngineError, ExportFormat, FileFormat, ImportReport, Placed, RefusedLine, read_examples, write_dataset,
};
use hone_storage::tasks::Task;

use crate::app::App;
use crate::args::{ExportArgs, ExportFormatArg, FormatArg, ImportArgs, SplitArg};
use crate::failure::INPUT_REFUSED;
use crate::output::Output;

/// Examples stored in one transaction.
const BATCH: usize = 1_000;
/// Refused lines that are printed; all are in the JSON output.
const SHOWN_REFUSED: usize = 10;

pub(super) async fn import(app: &App, args: &ImportArgs, output: Output) -> anyhow::Result<ExitCode> {
    let format = format_of(args.format, &args.file)?;
    let file = open(&args.file)?;
    let task = ensure_task(app, &args.task, args.dry_run).await?;
    let size = std::fs::metadata(&args.file).map_or(0, |file| file.len());
    let bar = output.bar(size, "importing");
    let split = args.split.map(split_of);
    // Reading blocks, storing does not: lines cross over in batches, of which at most two wait.
    let (sender, mut batches) = tokio::sync::mpsc::channel::<Vec<NumberedLine>>(2);
    let reading = tokio::task::spawn_blocking({
        let bar = bar.clone();
        move || read_batches(bar.wrap_read(file), format, split, &sender)
    });
    let mut report = ImportReport::default();
    while let Some(batch) = batches.recv().await {
        store(app, task.as_ref(), batch, &mut report).await?;
    }
    reading.await.context("the reader failed")??;
    bar.finish_and_clear();
    print_report(&report, args, output)?;
    let nothing_taken = report.approved + report.rejected == 0 && !report.refused.is_empty();
    Ok(if nothing_taken {
        ExitCode::from(INPUT_REFUSED)
    } else {
        ExitCode::SUCCESS
    })
}

fn split_of(split: SplitArg) -> Split {
    match split {
        SplitArg::Train => Split::Train,
        SplitArg::Validation => Split::Validation,
        SplitArg::Test => Split::Test,
    }
}

type NumberedLine = (usize, Result<NewExample, String>);

/// The task, made when it is missing; nothing is made in a dry run.
async fn ensure_task(app: &App, name: &str, dry_run: bool) -> anyhow::Result<Option<Task>> {
    match app.engine.get_task(app.project, name).await {
        Ok(task) => Ok((!dry_run).then(|| (*task).clone())),
        Err(EngineError::NotFound { .. }) if dry_run => Ok(None),
        Err(EngineError::NotFound { .. }) => Ok(Some(
            app.engine
                .create_task(app.project, name, TaskKind::Classify, TaskPolicy::default(), None)
                .await?,
        )),
        Err(error) => Err(error.into()),
    }
}

/// Opens a file, or standard input for `-`.
pub(super) fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead + Send>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

fn read_batches(
    file: impl std::io::Read,
    format: FileFormat,
    split: Option<Split>,
    sender: &tokio::sync::mpsc::Sender<Vec<NumberedLine>>,
) -> Result<(), EngineError> {
    let mut batch = Vec::with_capacity(BATCH);
    read_examples(BufReader::with_capacity(1 << 20, file), format, |number, line| {
        let line = line.map(|example| NewExample {
            split: split.or(example.split),
            ..example
        });
        batch.push((number, line));
        if batch.len() == BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            sender
                .blocking_send(full)
                .map_err(|_| EngineError::ShuttingDown)?;
        }
        Ok(())
    })?;
    sender.blocking_send(batch).map_err(|_| EngineError::ShuttingDown)
}

async fn store(
    app: &App,
    task: Option<&Task>,
    batch: Vec<NumberedLine>,
    report: &mut ImportReport,
) -> anyhow::Result<()> {
    let kind = task.map_or(TaskKind::Classify, |task| task.kind);
    let mut imports = Vec::with_capacity(batch.len());
    for (line, read) in batch {
        report.lines += 1;
        let checked = read.and_then(|example| match example.validate(kind) {
            Ok(()) => Ok(example),
            Err(error) => Err(error.to_string()),
        });
        match checked {
            Ok(example) => imports.push(example),
            Err(problem) => report.refused.push(RefusedLine { line, problem }),
        }
    }
    let Some(task) = task else {
        report.approved += imports.len();
        return Ok(());
    };
    for outcome in app
        .engine
        .import_examples(task, imports, ExampleOrigin::Imported)
        .await?
    {
        match outcome {
            Placed::Approved(_) => report.approved += 1,
            Placed::Rejected(..) => report.rejected += 1,
        }
    }
    Ok(())
}

fn print_report(report: &ImportReport, args: &ImportArgs, output: Output) -> anyhow::Result<()> {
    output.result(&serde_json::to_value(report)?, || {
        let (lines, refused) = (report.lines, report.refused.len());
        output.raw(&if args.dry_run {
            format!(
                "{lines} lines: {} can be taken (duplicates are not looked for), {refused} refused",
                report.approved
            )
        } else {
            format!(
                "{lines} lines: {} examples taken, {} kept out (duplicates and the like), {refused} refused",
                report.approved, report.rejected
            )
        });
        for refused in report.refused.iter().take(SHOWN_REFUSED) {
            output.raw(&format!("  line {}: {}", refused.line, refused.problem));
        }
        if report.refused.len() > SHOWN_REFUSED {
            output.raw(&format!(
                "  … and {} more; --json prints all",
                report.refused.len() - SHOWN_REFUSED
            ));
        }
    });
    Ok(())
}

pub(super) async fn export(app: &App, args: &ExportArgs, output: Output) -> anyhow::Result<ExitCode> {
    let format = export_format_of(args.format, &args.file)?;
    let split = args.split.map(split_of);
    let task = app.engine.get_task(app.project, &args.task).await?;
    let spinner = output.spinner("freezing");
    let dataset = app.engine.freeze(&task, None).await?;
    let rows = app.engine.load_rows(&dataset).await?;
    spinner.finish_and_clear();
    if args.file.as_os_str() == "-" {
        write_dataset(&rows, format, split, BufWriter::new(std::io::stdout().lock()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let folder = args
        .file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // Complete or not there: a half-written export would look whole.
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    let written = write_dataset(&rows, format, split, BufWriter::new(&mut file))?;
    file.flush()?;
    file.persist(&args.file)
        .with_context(|| format!("cannot write {}", args.file.display()))?;
    let value = serde_json::json!({ "examples": written, "dataset_id": dataset.id });
    output.result(&value, || {
        output.raw(&format!("{written} examples written to {}", args.file.display()));
    });
    Ok(ExitCode::SUCCESS)
}

fn format_of(given: Option<FormatArg>, file: &Path) -> Result<FileFormat, EngineError> {
    match given {
        Some(FormatArg::Jsonl) => Ok(FileFormat::Jsonl),
        Some(FormatArg::Csv) => Ok(FileFormat::Csv),
        None => FileFormat::of_file(file),
    }
}

fn export_format_of(given: Option<ExportFormatArg>, file: &Path) -> Result<ExportFormat, EngineError> {
    match given {
        Some(ExportFormatArg::Jsonl) => Ok(ExportFormat::Jsonl),
        Some(ExportFormatArg::Json) => Ok(ExportFormat::Json),
        Some(ExportFormatArg::Csv) => Ok(ExportFormat::Csv),
        Some(ExportFormatArg::OpenaiChat) => Ok(ExportFormat::OpenAiChat),
        Some(ExportFormatArg::Sft) => Ok(ExportFormat::Sft),
        None => ExportFormat::of_file(file),
    }
}
