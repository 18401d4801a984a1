//! Two builds of Hone in turns, so that a machine that is slow for a while is slow for both: what a change costs a request.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::super::learn::{build_hone, hone_binary};
use super::super::load::{self, Answers, Request};
use super::super::report::{Repeats, append};
use super::super::server::{Server, interaction};
use super::standin::StandIn;
use super::{CONNECTIONS, PACED, SECONDS, body, config_for};

const ROUNDS: usize = 7;

/// A load: its name, its request, and the connections with their pause.
type Load = (&'static str, fn(&Server) -> Request, (usize, Option<Duration>));

const LOADS: [Load; 4] = [
    (
        "plain, 64 connections",
        |server| completion(server, false),
        (CONNECTIONS, None),
    ),
    (
        "streamed (19 events), 64 connections",
        |server| completion(server, true),
        (CONNECTIONS, None),
    ),
    (
        "plain, 1,000 a second",
        |server| completion(server, false),
        (PACED.0, Some(PACED.1)),
    ),
    (
        "`POST /v1/interactions`, 2 KB, 64 connections",
        recording,
        (CONNECTIONS, None),
    ),
];

/// What a build was measured to do under one load.
#[derive(Default)]
struct Measured {
    per_second: Vec<f64>,
    p50_ms: Vec<f64>,
    processor_us: Vec<f64>,
}

pub(crate) fn run() -> anyhow::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the build to compare with is named in the environment"
    )]
    let other = std::env::var("HONE_BENCH_AGAINST").context("HONE_BENCH_AGAINST names no binary")?;
    build_hone()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let table = runtime.block_on(measure(PathBuf::from(other)))?;
    append("against", &table)
}

async fn measure(other: PathBuf) -> anyhow::Result<String> {
    let standin = StandIn::start()?;
    let config = config_for(&standin);
    let start = |binary| Server::start_binary(binary, None, Some(&config));
    let builds = [
        ("the other build", start(other)?),
        ("this one", start(hone_binary())?),
    ];
    let mut table = String::from(
        "| what | through | requests a second | p50 ms | processor time of the server, us a request |\n|---|---|---|---|---|\n",
    );
    for (what, request, (connections, pause)) in LOADS {
        let mut measured: [Measured; 2] = Default::default();
        for round in 0..=ROUNDS {
            for ((_, server), measured) in builds.iter().zip(&mut measured) {
                let before_s = server.processor_s()?;
                let answers = load::run(&request(server), connections, SECONDS, pause).await?;
                // What is gathered is written within some milliseconds, and counts.
                tokio::time::sleep(Duration::from_millis(100)).await;
                // The first round warms up.
                if round > 0 {
                    measured.add(&answers, server.processor_s()? - before_s);
                }
            }
        }
        for ((build, _), measured) in builds.iter().zip(measured) {
            let [per_second, p50_ms, processor_us] =
                [measured.per_second, measured.p50_ms, measured.processor_us].map(Repeats::new);
            let row = format!(
                "| {what} | {build} | {} | {} | {} |",
                per_second.shown(0),
                p50_ms.shown(2),
                processor_us.shown(1)
            );
            super::eprint_row(&row);
            writeln!(table, "{row}")?;
        }
    }
    Ok(table)
}

impl Measured {
    fn add(&mut self, answers: &Answers, processor_s: f64) {
        self.per_second.push(answers.per_second());
        self.p50_ms.push(answers.whole_ms(0.5));
        self.processor_us.push(processor_s * 1e6 / answers.count() as f64);
    }
}

fn completion(server: &Server, is_streamed: bool) -> Request {
    let body = body("standin/gpt-4o-mini", is_streamed);
    Request::post(
        server.host(),
        "/openai/v1/chat/completions",
        &server.authorization(),
        &body,
    )
}

fn recording(server: &Server) -> Request {
    Request {
        status: "HTTP/1.1 2",
        ..Request::post(
            server.host(),
            "/v1/interactions",
            &server.authorization(),
            &interaction(),
        )
    }
}
