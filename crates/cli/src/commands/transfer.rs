//! `hone import` and `hone export`.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use hone_domain::{
    ExampleId, ExampleOrigin, NewExample, Split, TaskKind, TaskPolicy, derive_repeatable_id, parse_rfc3339,
};
use hone_engine::{
    EngineError, ExportFormat, ExportRequest, ImportReport, Placed, RowFormat, read_example_file,
    read_examples,
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
    let (task, kind) = ensure_task(app, &args.task, args.dry_run).await?;
    let size = std::fs::metadata(&args.file).map_or(0, |file| file.len());
    let bar = output.bar(size, "importing");
    let split = args.split.map(split_of);
    // Reading blocks, storing does not: lines cross over in batches, of which at most two wait.
    let (sender, mut batches) = tokio::sync::mpsc::channel::<Vec<NumberedLine>>(2);
    let reading = tokio::task::spawn_blocking({
        let (bar, path) = (bar.clone(), args.file.clone());
        let file = match format {
            RowFormat::Jsonl | RowFormat::Csv => Some(open(&args.file)?),
            RowFormat::Json | RowFormat::Parquet => None,
        };
        move || {
            read_batches(
                file.map(|file| bar.wrap_read(file)),
                &path,
                format,
                split,
                &sender,
            )
        }
    });
    let mut report = ImportReport::default();
    while let Some(batch) = batches.recv().await {
        store(app, task.as_ref(), kind, batch, &mut report).await?;
    }
    reading.await.context("the reader failed")??;
    bar.finish_and_clear();
    print_report(&report, args, output)?;
    let nothing_taken = report.approved + report.rejected + report.already == 0 && !report.refused.is_empty();
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

/// The task, made when it is missing, with its kind; in a dry run the kind alone.
async fn ensure_task(app: &App, name: &str, dry_run: bool) -> anyhow::Result<(Option<Task>, TaskKind)> {
    let kind = TaskKind::Classify;
    match app.engine.get_task(app.project, name).await {
        Ok(task) => Ok(((!dry_run).then(|| (*task).clone()), task.kind)),
        Err(EngineError::NotFound { .. }) if dry_run => Ok((None, kind)),
        Err(EngineError::NotFound { .. }) => {
            let policy = TaskPolicy::default();
            let made = app.engine.create_task(app.project, name, kind, policy, None);
            Ok((Some(made.await?), kind))
        }
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
    lines: Option<impl std::io::Read>,
    path: &Path,
    format: RowFormat,
    split: Option<Split>,
    sender: &tokio::sync::mpsc::Sender<Vec<NumberedLine>>,
) -> Result<(), EngineError> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut visit = |number, line: Result<NewExample, String>| {
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
    };
    match lines {
        Some(lines) => read_examples(BufReader::with_capacity(1 << 20, lines), format, visit)?,
        None => read_example_file(path, format, &mut visit)?,
    }
    sender.blocking_send(batch).map_err(|_| EngineError::ShuttingDown)
}

async fn store(
    app: &App,
    task: Option<&Task>,
    kind: TaskKind,
    batch: Vec<NumberedLine>,
    report: &mut ImportReport,
) -> anyhow::Result<()> {
    let mut imports = Vec::with_capacity(batch.len());
    for (line, read) in batch {
        report.lines += 1;
        let checked = read.and_then(|mut example| {
            // What a chat answers is the label where labels are learned.
            if kind == TaskKind::Classify && example.label.is_none() {
                example.label = example.target.take();
            }
            match example.validate(kind) {
                Ok(()) => Ok(example),
                Err(error) => Err(error.to_string()),
            }
        });
        match checked {
            Ok(mut example) => {
                example.id = task.map(|task| repeatable_id(task, line, &example));
                imports.push(example);
            }
            Err(problem) => report.refuse(line, problem),
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
        match outcome.placed {
            _ if !outcome.is_new => report.already += 1,
            Placed::Approved(_) => report.approved += 1,
            Placed::Rejected(..) => report.rejected += 1,
        }
    }
    Ok(())
}

/// The id of a line: the same when the file is imported again, after it broke off or by mistake.
fn repeatable_id(task: &Task, line: usize, example: &NewExample) -> ExampleId {
    let said = serde_json::to_string(example).unwrap_or_default();
    derive_repeatable_id(task.project(), "import", &format!("{}:{line}:{said}", task.id))
}

fn print_report(report: &ImportReport, args: &ImportArgs, output: Output) -> anyhow::Result<()> {
    output.result(&serde_json::to_value(report)?, || {
        let (lines, refused) = (report.lines, report.refused.len() + report.more_refused);
        output.raw(&if args.dry_run {
            format!(
                "{lines} lines: {} can be taken (duplicates are not looked for), {refused} refused",
                report.approved
            )
        } else {
            format!(
                "{lines} lines: {} examples taken, {} kept out (duplicates and the like), {} there already, {refused} refused",
                report.approved, report.rejected, report.already
            )
        });
        for refused in report.refused.iter().take(SHOWN_REFUSED) {
            output.raw(&format!("  line {}: {}", refused.line, refused.problem));
        }
        if refused > SHOWN_REFUSED {
            let more = refused - SHOWN_REFUSED;
            output.raw(&format!("  … and {more} more; --json lists the first thousand"));
        }
    });
    Ok(())
}

pub(super) async fn export(app: &App, args: &ExportArgs, output: Output) -> anyhow::Result<ExitCode> {
    let task = app.engine.get_task(app.project, &args.task).await?;
    let request = export_request(args)?;
    if request.format.is_of_preferences() && args.dataset.is_some() {
        let detail = "preferences come from feedback, not from datasets; leave --dataset out";
        return Err(EngineError::field("/format", detail).into());
    }
    let mut export = if let Some(id) = args.dataset {
        let dataset = app.engine.get_dataset(app.project, id.into()).await?;
        app.engine.export_dataset(dataset, request)
    } else {
        if request.split.is_some() {
            // Only what is frozen has a part.
            let spinner = output.spinner("freezing");
            app.engine.freeze(&task, None).await?;
            spinner.finish_and_clear();
        }
        app.engine.export_task((*task).clone(), request)
    };
    if args.file.as_os_str() == "-" {
        let mut out = BufWriter::new(std::io::stdout());
        while let Some(chunk) = export.next_chunk().await? {
            out.write_all(&chunk)?;
        }
        out.flush()?;
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
    while let Some(chunk) = export.next_chunk().await? {
        file.write_all(&chunk)?;
    }
    let report = export.report().context("the export broke off")?;
    file.flush()?;
    file.persist(&args.file)
        .with_context(|| format!("cannot write {}", args.file.display()))?;
    let mut value = serde_json::to_value(report)?;
    value["examples"] = report.rows.into();
    output.result(&value, || {
        output.raw(&format!(
            "{} rows written to {}",
            report.rows,
            args.file.display()
        ));
        if let Some(made_of) = &report.preferences {
            output.raw(&format!(
                "  pairs {:?}, judged {} good and {} bad, left out {:?}",
                made_of.pairs, made_of.good, made_of.bad, made_of.left_out
            ));
            if let Some(share) = made_of.longer_chosen {
                output.raw(&format!(
                    "  the longer answer is chosen in {:.0} %",
                    share * 100.0
                ));
            }
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn export_request(args: &ExportArgs) -> Result<ExportRequest, EngineError> {
    let time = |name: &str, given: &Option<String>| match given {
        None => Ok(None),
        Some(text) => parse_rfc3339(text).map(Some).ok_or_else(|| {
            let detail = format!("\"{text}\" is no time; write it as 2026-01-31T12:00:00Z");
            EngineError::field(name, detail)
        }),
    };
    let request = ExportRequest {
        split: args.split.map(split_of),
        label: args.label.clone(),
        source: args.source,
        min_quality: args.min_quality,
        from_us: time("--from", &args.from)?,
        until_us: time("--until", &args.until)?,
        max_length_ratio: args.max_length_ratio,
        ..ExportRequest::new(export_format_of(args.format, &args.file)?)
    };
    request.check()?;
    Ok(request)
}

fn format_of(given: Option<FormatArg>, file: &Path) -> Result<RowFormat, EngineError> {
    match given {
        Some(FormatArg::Jsonl | FormatArg::OpenaiChat | FormatArg::Sft) => Ok(RowFormat::Jsonl),
        Some(FormatArg::Json) => Ok(RowFormat::Json),
        Some(FormatArg::Csv) => Ok(RowFormat::Csv),
        Some(FormatArg::Parquet) => Ok(RowFormat::Parquet),
        None => RowFormat::of_file(file),
    }
}

fn export_format_of(given: Option<ExportFormatArg>, file: &Path) -> Result<ExportFormat, EngineError> {
    match given {
        Some(ExportFormatArg::Jsonl) => Ok(ExportFormat::Jsonl),
        Some(ExportFormatArg::Json) => Ok(ExportFormat::Json),
        Some(ExportFormatArg::Csv) => Ok(ExportFormat::Csv),
        Some(ExportFormatArg::Parquet) => Ok(ExportFormat::Parquet),
        Some(ExportFormatArg::OpenaiPreference) => Ok(ExportFormat::OpenAiPreference),
        Some(ExportFormatArg::Preference) => Ok(ExportFormat::Preference),
        Some(ExportFormatArg::Kto) => Ok(ExportFormat::Kto),
        Some(ExportFormatArg::OpenaiChat) => Ok(ExportFormat::OpenAiChat),
        Some(ExportFormatArg::Sft) => Ok(ExportFormat::Sft),
        None => ExportFormat::of_file(file),
    }
}
