//! `hone datasets`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use hone_domain::{TaskId, format_rfc3339};
use hone_engine::{DatasetComparison, ExportFormat, ExportRequest};
use hone_storage::datasets::{self, Dataset};
use hone_storage::tasks;
use serde_json::{Value, json};

use crate::app::App;
use crate::args::DatasetsCommand;
use crate::output::{Output, shortened};

const SHOWN: i64 = 100;
/// Changes that a comparison prints; the JSON output has more.
const SHOWN_CHANGES: usize = 20;
/// Snapshots of one day.
const MAX_OF_DAY: usize = 1_000;

pub(super) async fn run(app: &App, command: DatasetsCommand, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        DatasetsCommand::List { task, tag } => list(app, task, tag, output).await?,
        DatasetsCommand::Freeze { task, tag } => {
            let task = app.engine.get_task(app.project, &task).await?;
            let dataset = app.engine.freeze(&task, None).await?;
            if let Some(tag) = &tag {
                app.engine.tag_dataset(&dataset, tag).await?;
            }
            print_one(app, &dataset, output).await?;
        }
        DatasetsCommand::Show { dataset } => {
            let dataset = app.engine.find_dataset(app.project, None, &dataset).await?;
            print_one(app, &dataset, output).await?;
        }
        DatasetsCommand::Compare { before, after } => {
            let before = app.engine.find_dataset(app.project, None, &before).await?;
            let after = app.engine.find_dataset(app.project, None, &after).await?;
            let comparison = app.engine.compare_datasets(&before, &after).await?;
            output.result(&serde_json::to_value(&comparison)?, || {
                print_comparison(&comparison, output);
            });
        }
        DatasetsCommand::Tag { dataset, tag, remove } => {
            let dataset = app.engine.find_dataset(app.project, None, &dataset).await?;
            if remove {
                app.engine.untag_dataset(&dataset, &tag).await?;
            } else {
                app.engine.tag_dataset(&dataset, &tag).await?;
            }
            print_one(app, &dataset, output).await?;
        }
        DatasetsCommand::Backup { dataset, file } => {
            let dataset = app.engine.find_dataset(app.project, None, &dataset).await?;
            let task = tasks::get(&mut app.engine.db.read().await?, TaskId(dataset.task_id)).await?;
            let bytes = app.engine.backup_dataset(&task, &dataset).await?;
            write_whole(&file, &bytes)?;
            let value = json!({ "dataset_id": dataset.id, "bytes": bytes.len() });
            output.result(&value, || {
                output.raw(&format!(
                    "dataset {} with {} examples written to {}",
                    dataset.id,
                    dataset.example_count,
                    file.display()
                ));
            });
        }
        DatasetsCommand::Restore { task, file } => {
            let task = app.engine.get_task(app.project, &task).await?;
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let dataset = app.engine.restore_dataset(&task, bytes).await?;
            print_one(app, &dataset, output).await?;
        }
        DatasetsCommand::Snapshot { task, folder } => snapshot(app, &task, &folder, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(app: &App, task: Option<String>, tag: Option<String>, output: Output) -> anyhow::Result<()> {
    let task = match task {
        Some(task) => Some(app.engine.get_task(app.project, &task).await?.task_id()),
        None => None,
    };
    let mut conn = app.engine.db.read().await?;
    let rows = datasets::list(&mut conn, app.project, task, tag.as_deref(), None, SHOWN).await?;
    let mut values = Vec::new();
    for row in &rows {
        values.push(value_of(row, &datasets::list_tags(&mut conn, row.id).await?));
    }
    output.result(&Value::Array(values.clone()), || {
        let cells = rows.iter().zip(&values).map(|(row, value)| {
            vec![
                row.id.to_string(),
                row.example_count.to_string(),
                row.content_hash.chars().take(12).collect(),
                joined(&value["tags"]),
                format_rfc3339(row.created_at_us),
            ]
        });
        output.table(
            &["dataset", "examples", "hash", "tags", "frozen"],
            cells.collect(),
        );
    });
    Ok(())
}

fn joined(tags: &Value) -> String {
    let tags = tags.as_array().into_iter().flatten().filter_map(Value::as_str);
    tags.collect::<Vec<_>>().join(" ")
}

fn value_of(row: &Dataset, tags: &[String]) -> Value {
    json!({
        "id": row.id, "task_id": row.task_id, "content_hash": row.content_hash, "size_bytes": row.size_bytes,
        "example_count": row.example_count, "statistics": row.statistics, "tags": tags,
        "created_at": format_rfc3339(row.created_at_us),
    })
}

async fn print_one(app: &App, dataset: &Dataset, output: Output) -> anyhow::Result<()> {
    let tags = datasets::list_tags(&mut app.engine.db.read().await?, dataset.id).await?;
    let lineage = app.engine.dataset_lineage(dataset).await?;
    let versions: Vec<&str> = lineage
        .versions
        .iter()
        .map(|version| version.version.as_str())
        .collect();
    let mut value = value_of(dataset, &tags);
    value["lineage"] = json!({
        "from_interactions": lineage.from_interactions, "conversations": lineage.conversations,
        "imported": lineage.imported, "versions": versions,
    });
    output.result(&value, || {
        output.raw(&format!("dataset   {}", dataset.id));
        output.raw(&format!("hash      {}", dataset.content_hash));
        output.raw(&format!("examples  {}", dataset.example_count));
        output.raw(&format!("parts     {}", dataset.statistics["by_split"]));
        output.raw(&format!("sources   {}", dataset.statistics["by_source"]));
        output.raw(&format!(
            "from      {} interactions of {} conversations, {} imported",
            lineage.from_interactions, lineage.conversations, lineage.imported
        ));
        output.raw(&format!("models    {}", versions.join(" ")));
        output.raw(&format!("tags      {}", tags.join(" ")));
    });
    Ok(())
}

fn print_comparison(comparison: &DatasetComparison, output: Output) {
    let DatasetComparison {
        same,
        added,
        removed,
        changed,
        moved,
        ..
    } = comparison;
    output.raw(&format!(
        "{added} came, {removed} went, {changed} changed label or answer, {moved} changed part, {same} are the same"
    ));
    for (label, (before, after)) in &comparison.by_label {
        output.raw(&format!("  {label}: {before} -> {after}"));
    }
    let cells = comparison.changes.iter().take(SHOWN_CHANGES).map(|change| {
        vec![
            change.what.to_owned(),
            shortened(&change.input, 60),
            shortened(change.before.as_deref().unwrap_or_default(), 30),
            shortened(change.after.as_deref().unwrap_or_default(), 30),
        ]
    });
    if !comparison.changes.is_empty() {
        output.table(&["change", "text", "before", "after"], cells.collect());
    }
}

/// Freezes the task and writes its examples as chats into a file with the day in its name. When nothing has changed since the
/// last one, there is none to write.
async fn snapshot(app: &App, task: &str, folder: &Path, output: Output) -> anyhow::Result<()> {
    let task = app.engine.get_task(app.project, task).await?;
    let dataset = app.engine.freeze(&task, None).await?;
    let tags = datasets::list_tags(&mut app.engine.db.read().await?, dataset.id).await?;
    let day: String = format_rfc3339(app.engine.ids.now_us()).chars().take(10).collect();
    let earlier = tags.iter().map(|tag| folder.join(format!("{tag}.jsonl")));
    if let Some(file) = earlier.into_iter().find(|file| file.exists()) {
        output.result(
            &json!({ "dataset_id": dataset.id, "file": file, "is_new": false }),
            || {
                output.raw(&format!("nothing has changed since {}", file.display()));
            },
        );
        return Ok(());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let names = (1..=MAX_OF_DAY).map(|number| match number {
        1 => format!("training-snapshot-{day}"),
        _ => format!("training-snapshot-{day}-{number}"),
    });
    let mut free = names.filter(|name| !folder.join(format!("{name}.jsonl")).exists());
    let name = free
        .next()
        .context("there are a thousand snapshots of this day")?;
    let file = folder.join(format!("{name}.jsonl"));
    let request = ExportRequest::new(ExportFormat::OpenAiChat);
    let mut export = app.engine.export_dataset(dataset.clone(), request);
    let mut bytes = Vec::new();
    while let Some(chunk) = export.next_chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    write_whole(&file, &bytes)?;
    app.engine.tag_dataset(&dataset, &name).await?;
    let value =
        json!({ "dataset_id": dataset.id, "file": file, "is_new": true, "examples": dataset.example_count });
    output.result(&value, || {
        output.raw(&format!(
            "{} examples saved to {}",
            dataset.example_count,
            file.display()
        ));
    });
    Ok(())
}

/// Writes a file that is complete or not there.
fn write_whole(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut written = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    written.write_all(bytes)?;
    written
        .persist(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}
