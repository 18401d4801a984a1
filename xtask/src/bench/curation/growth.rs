//! What curation costs per new item when there are ten thousand, a hundred thousand and a million examples already, and what an
//! export of a million takes.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hone_domain::{
    ExampleOrigin, FeedbackKind, Ids, NewExample, NewFeedback, NewInteraction, ProjectId, SystemClock,
    SystemEntropy, TaskKind, TaskPolicy,
};
use hone_engine::{AnsweredBy, Engine, EngineSettings, RecordBatch};
use hone_storage::Db;
use hone_storage::artifacts::ArtifactStore;
use hone_storage::tasks::Task;

use super::Draws;
use crate::bench::learn::{build_hone, hone_binary};
use crate::bench::report::Repeats;

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
/// New interactions with feedback that are curated and timed.
const NEW: usize = 1_000;
const REPEATS: usize = 5;
const BATCH: usize = 1_000;
const LABELS: u64 = 50;
const POLL: Duration = Duration::from_millis(20);

pub(super) fn rows(table: &mut String) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(growth(folder.path()))?;
    drop(runtime);
    writeln!(
        table,
        "| **curation of one new item (SQLite)** | microseconds | growth |\n|---|---|---|"
    )?;
    let first = measured.first().map_or(f64::NAN, |(_, times)| times.median());
    for (size, times) in &measured {
        writeln!(
            table,
            "| {size} examples and as many interactions there | {} | {:.2} |",
            times.shown(0),
            times.median() / first
        )?;
    }
    export(table, folder.path())
}

struct Site {
    engine: Engine,
    task: Task,
    project: ProjectId,
    draws: Draws,
}

async fn growth(folder: &Path) -> anyhow::Result<Vec<(usize, Repeats)>> {
    let db = Db::open(&folder.join("hone.sqlite").display().to_string()).await?;
    let artifacts = ArtifactStore::in_folder(&folder.join("artifacts"))?;
    let ids = Ids::new(
        std::sync::Arc::new(SystemClock),
        std::sync::Arc::new(SystemEntropy),
    );
    let engine = Engine::start(db, artifacts, ids, &EngineSettings::default());
    let project = ProjectId(engine.ensure_project("default").await?.id);
    let mut policy = TaskPolicy::default();
    policy.curation.automatic = false;
    let task = engine
        .create_task(project, "bench", TaskKind::Classify, policy, None)
        .await?;
    let mut site = Site {
        engine,
        task,
        project,
        draws: Draws::new(1),
    };
    let (mut there, mut measured) = (0, Vec::new());
    for size in SIZES {
        while there < size {
            site.add_history(BATCH).await?;
            there += BATCH;
        }
        let mut times = Vec::new();
        for _ in 0..REPEATS {
            site.add_judged(NEW).await?;
            let start = Instant::now();
            let report = site.engine.curate(site.task.task_id(), &|_| Ok(())).await?;
            times.push(start.elapsed().as_secs_f64() * 1e6 / NEW as f64);
            anyhow::ensure!(report.considered == NEW, "{report:?}");
            there += NEW;
        }
        measured.push((size, Repeats::new(times)));
    }
    site.engine.stop().await;
    site.engine.db.close().await;
    Ok(measured)
}

impl Site {
    /// About 150 characters of words that no other text has.
    fn text(&mut self) -> String {
        let words = (0..17).map(|_| format!("{:07x}", self.draws.below(1 << 28)));
        words.collect::<Vec<_>>().join(" ")
    }

    fn label(&mut self) -> String {
        format!("label {}", self.draws.below(LABELS))
    }

    /// Examples that are there, and interactions of which nobody has said anything.
    async fn add_history(&mut self, count: usize) -> anyhow::Result<()> {
        let examples = (0..count).map(|_| NewExample {
            input: self.text(),
            label: Some(self.label()),
            ..NewExample::default()
        });
        let examples: Vec<NewExample> = examples.collect();
        let imported = self
            .engine
            .import_examples(&self.task, examples, ExampleOrigin::Imported);
        imported.await?;
        self.record(count, false).await
    }

    /// Interactions with a correction, which wait for curation.
    async fn add_judged(&mut self, count: usize) -> anyhow::Result<()> {
        self.record(count, true).await
    }

    async fn record(&mut self, count: usize, is_judged: bool) -> anyhow::Result<()> {
        let privacy = self.engine.privacy(self.project).await?;
        let (mut batch, mut said) = (RecordBatch::default(), RecordBatch::default());
        for _ in 0..count {
            let new = NewInteraction {
                task: self.task.name.clone(),
                input: self.text(),
                label: Some(self.label()),
                ..NewInteraction::default()
            };
            let recorder = self.engine.recorder();
            let id = recorder.add_interaction(
                &mut batch,
                &self.task,
                &privacy,
                new,
                false,
                AnsweredBy::default(),
            )?;
            if is_judged {
                let label = Some(self.label());
                let correction = NewFeedback {
                    interaction_id: Some(id),
                    label,
                    ..NewFeedback::new(FeedbackKind::Correction)
                };
                let recorder = self.engine.recorder();
                recorder.add_feedback(&mut said, self.project, &privacy, correction)?;
            }
        }
        self.engine.recorder().write(batch).await?;
        if is_judged {
            self.engine.recorder().write(said).await?;
        }
        Ok(())
    }
}

/// Exports what the growth has left behind, by the binary as users run it.
fn export(table: &mut String, folder: &Path) -> anyhow::Result<()> {
    build_hone()?;
    let file = folder.join("out.jsonl");
    writeln!(
        table,
        "\n| **export of 1,000,000 examples (150 characters)** | seconds | peak MB | file MB |\n|---|---|---|---|"
    )?;
    for (name, format) in [("JSONL", "jsonl"), ("CSV", "csv"), ("Parquet", "parquet")] {
        let (mut times, mut peak) = (Vec::new(), 0.0f64);
        for _ in 0..3 {
            let start = Instant::now();
            let mut child = Command::new(hone_binary())
                .current_dir(folder)
                .args(["--data", "."])
                .args(["export", "bench", "out.jsonl", "--format", format])
                .stdout(Stdio::null())
                .spawn()?;
            while child.try_wait()?.is_none() {
                peak = peak.max(resident_mb(child.id()));
                std::thread::sleep(POLL);
            }
            times.push(start.elapsed().as_secs_f64());
            anyhow::ensure!(child.wait()?.success(), "the export failed");
        }
        let size = std::fs::metadata(&file).context("the export")?.len();
        writeln!(
            table,
            "| {name} | {} | {peak:.0} | {} |",
            Repeats::new(times).shown(1),
            size >> 20
        )?;
    }
    Ok(())
}

/// Largest resident memory of a process so far; 0 when it has ended.
fn resident_mb(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().split(' ').next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1_024.0
}
