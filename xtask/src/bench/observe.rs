//! What observing costs: counting as interactions are recorded, and asking for metrics over a history of any size, alone and beside
//! other requests.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hone_domain::{
    FeedbackKind, Ids, NewFeedback, NewInteraction, ProjectId, SystemClock, SystemEntropy, TaskKind,
    TaskPolicy, format_rfc3339,
};
use hone_engine::{AnsweredBy, Engine, EngineSettings, RecordBatch};
use hone_storage::Db;
use hone_storage::artifacts::ArtifactStore;
use hone_storage::tasks::Task;
use serde_json::json;

use super::curation::Draws;
use super::learn::build_hone;
use super::load::{self, Answers, Request};
use super::report::{Repeats, append};
use super::server::Server;

/// Interactions of the history, which goes back 30 days at every size.
const SIZES: [usize; 3] = [10_000, 1_000_000, 10_000_000];
/// The history beside which requests are mixed.
const MIXED_AT: usize = 1_000_000;
const DAYS: i64 = 30;
const DAY_US: i64 = 86_400_000_000;
const BATCH: usize = 1_000;
const LABELS: u64 = 20;
const ACTIONS: [&str; 5] = ["todo", "appointment", "grocery", "routine", "note"];
/// One in so many answers gets a thumb.
const THUMBS: usize = 10;
const SECONDS: u64 = 5;
const REPEATS: usize = 3;
const MIXED_SECONDS: u64 = 20;

pub(crate) fn run() -> anyhow::Result<()> {
    build_hone()?;
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut table = String::from(
        "| interactions | recording one, us | a day by the hour, p50 / p95 ms | 30 days by label, p50 / p95 ms | all time by version, p50 / p95 ms | health, p50 / p95 ms |\n|---|---|---|---|---|---|\n",
    );
    let mut beside = String::new();
    runtime.block_on(async {
        for size in SIZES {
            let database = folder.path().join(format!("{size}.sqlite"));
            let cost_us = fill(&database, size).await?;
            let server = Server::start_with(Some(&database.display().to_string()), None)?;
            let mut row = format!("| {size} | {cost_us:.0} |");
            for path in [
                "/v1/metrics?task=intent&period=day",
                "/v1/metrics?task=intent&period=month&by=label",
                "/v1/metrics?task=intent&period=all&by=version",
                "/v1/health",
            ] {
                let mut loads = Vec::new();
                for _ in 0..REPEATS {
                    loads.push(load::run(&get(&server, path), 1, SECONDS, None).await?);
                }
                write!(row, " {} |", p50_and_p95(&loads))?;
            }
            writeln!(table, "{row}")?;
            if size == MIXED_AT {
                mixed(&server, &mut beside).await?;
            }
            drop(server);
            std::fs::remove_file(&database)?;
        }
        anyhow::Ok(())
    })?;
    append("observe", &format!("{table}{beside}"))
}

fn get(server: &Server, path: &str) -> Request {
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\n{}\r\n",
        server.host(),
        server.authorization()
    );
    Request {
        address: server.host().to_owned(),
        bytes: head.into_bytes(),
        status: "HTTP/1.1 200",
    }
}

fn p50_and_p95(loads: &[Answers]) -> String {
    let at = |share| Repeats::new(loads.iter().map(|load| load.whole_ms(share)).collect());
    format!("{} / {}", at(0.5).shown(2), at(0.95).shown(2))
}

/// Records a history in the order of time; gives microseconds for one interaction with its share of feedback.
async fn fill(database: &Path, size: usize) -> anyhow::Result<f64> {
    let db = Db::open(&database.display().to_string()).await?;
    let artifacts = ArtifactStore::in_folder(&database.with_extension("artifacts"))?;
    let ids = Ids::new(Arc::new(SystemClock), Arc::new(SystemEntropy));
    let engine = Engine::start(db, artifacts, ids, &EngineSettings::default());
    let project = ProjectId(engine.ensure_project("default").await?.id);
    let mut policy = TaskPolicy::default();
    policy.curation.automatic = false;
    policy.training.automatic = false;
    let task = engine
        .create_task(project, "intent", TaskKind::Classify, policy, None)
        .await?;
    let mut draws = Draws::new(7);
    let start = Instant::now();
    let now_us = engine.ids.now_us();
    for from in (0..size).step_by(BATCH) {
        let batch = batch_of(
            &engine,
            &task,
            from..(from + BATCH).min(size),
            now_us,
            size,
            &mut draws,
        )
        .await?;
        engine.recorder().write(batch).await?;
    }
    let cost_us = start.elapsed().as_secs_f64() * 1e6 / size as f64;
    engine.stop().await;
    engine.db.close().await;
    Ok(cost_us)
}

async fn batch_of(
    engine: &Engine,
    task: &Task,
    numbers: std::ops::Range<usize>,
    now_us: i64,
    size: usize,
    draws: &mut Draws,
) -> anyhow::Result<RecordBatch> {
    let project = task.project();
    let privacy = engine.privacy(project).await?;
    let mut batch = RecordBatch::default();
    for number in numbers {
        let age_us = (size - number) as i64 * (DAYS * DAY_US / size as i64);
        let at = format_rfc3339(now_us - age_us);
        let new = NewInteraction {
            task: task.name.clone(),
            input: format!("where is parcel {:x}", draws.below(1 << 40)),
            label: Some(format!("label-{}", draws.below(LABELS))),
            confidence: Some(0.9),
            model: Some(if number * 2 < size { "small-1" } else { "small-2" }.to_owned()),
            latency_ms: Some(1.0 + draws.below(500) as f64),
            tokens_input: Some(20),
            tokens_output: Some(5),
            cost_usd: Some(0.000_1),
            action_type: Some(ACTIONS[draws.below(ACTIONS.len() as u64) as usize].to_owned()),
            occurred_at: Some(at.clone()),
            ..NewInteraction::default()
        };
        let recorder = engine.recorder();
        let id = recorder.add_interaction(&mut batch, task, &privacy, new, false, AnsweredBy::default())?;
        if number.is_multiple_of(THUMBS) {
            let thumb = NewFeedback {
                interaction_id: Some(id),
                up: Some(draws.below(10) < 8),
                occurred_at: Some(at),
                ..NewFeedback::new(FeedbackKind::Thumb)
            };
            recorder.add_feedback(&mut batch, project, &privacy, thumb)?;
        }
    }
    Ok(batch)
}

/// Feedback, metrics and operations on models at the same time, 100 requests a second together.
async fn mixed(server: &Server, table: &mut String) -> anyhow::Result<()> {
    let interaction = json!({ "id": "019bcfe7-5150-78c1-94a3-2629d8a429be", "task": "bench", "input": "where is my parcel" });
    server.post("/v1/interactions", &interaction.to_string()).await?;
    let thumb = json!({ "interaction_id": interaction["id"], "kind": "thumb", "up": true }).to_string();
    let headers = server.authorization();
    let post = |path: &str, body: &str| Request {
        status: "HTTP/1.1 2",
        ..Request::post(server.host(), path, &headers, body)
    };
    // A connection sends once in its pause: 10 connections at 5 a second are 50.
    let pause = Duration::from_millis(200);
    let seldom = Duration::from_secs(1);
    let feedback = post("/v1/feedback", &thumb);
    let metrics = get(server, "/v1/metrics?task=intent&period=day&by=label");
    let models = get(server, "/v1/models?task=bench");
    server.run(&["task", "create", "greet", "--kind", "generate"])?;
    let spec =
        json!({ "model": "openai/gpt-4o-mini", "messages": [{ "role": "system", "template": "Greet." }] });
    let register = post("/v1/tasks/greet/versions", &spec.to_string());
    let (feedback, metrics, models, register) = tokio::try_join!(
        load::run(&feedback, 10, MIXED_SECONDS, Some(pause)),
        load::run(&metrics, 5, MIXED_SECONDS, Some(pause)),
        load::run(&models, 4, MIXED_SECONDS, Some(pause)),
        load::run(&register, 5, MIXED_SECONDS, Some(seldom)),
    )?;
    writeln!(
        table,
        "\n| 100 requests a second, mixed | a second | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|---|"
    )?;
    for (what, answers) in [
        ("`POST /v1/feedback`", feedback),
        ("`GET /v1/metrics`, a day by label", metrics),
        ("`GET /v1/models`", models),
        (
            "`POST /v1/tasks/{task}/versions`: registers and deploys",
            register,
        ),
    ] {
        writeln!(
            table,
            "| {what} | {:.0} | {:.2} | {:.2} | {:.2} |",
            answers.per_second(),
            answers.whole_ms(0.5),
            answers.whole_ms(0.95),
            answers.whole_ms(0.99)
        )?;
    }
    Ok(())
}
