//! The gateway beside LiteLLM and Portkey in one run: recording on, with the stand-in provider and the load on the same
//! machine. What is recorded is counted in the database after every run.

mod against;
mod peers;
mod standin;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

pub(crate) use self::against::run as against;
pub(crate) use self::standin::run as standin;

use self::standin::StandIn;
use super::learn::build_hone;
use super::load::{self, Answers, Request};
use super::report::{Repeats, append};
use super::server::Server;

const CONNECTIONS: usize = 64;
const SECONDS: u64 = 4;
const REPEATS: usize = 3;
/// Pairs of runs with and without Hone.
const PAIRS: usize = 5;
/// Connections, and the pause between the requests of each, that make a thousand requests a second.
const PACED: (usize, Duration) = (50, Duration::from_millis(50));
/// Each takes two of the server's open files, of which a process here may have 20,000.
const IDLE_STREAMS: usize = 9_900;
/// Loads as fast as they are answered.
const SATURATED: [(&str, bool); 2] = [
    ("plain, 64 connections", false),
    ("streamed (19 events), 64 connections", true),
];

pub(crate) fn run(with_peers: bool) -> anyhow::Result<()> {
    build_hone()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let table = runtime.block_on(measure(with_peers))?;
    append("gateway", &table)
}

/// A chat completion that asks for the count of tokens, as both peers need to count them.
fn body(model: &str, is_streamed: bool) -> String {
    let mut body = json!({
        "model": model,
        "messages": [
            { "role": "system", "content": "You answer questions about parcels, kindly and in one or two sentences." },
            { "role": "user", "content": "Where is my parcel? It should have come on Monday." },
        ],
        "temperature": 0.2,
    });
    if is_streamed {
        body["stream"] = json!(true);
        body["stream_options"] = json!({ "include_usage": true });
    }
    body.to_string()
}

async fn measure(with_peers: bool) -> anyhow::Result<String> {
    let standin = StandIn::start()?;
    let mut table =
        String::from("| what | through | requests a second | p50 ms | p99 ms |\n|---|---|---|---|---|\n");
    for (what, is_streamed) in SATURATED {
        row(&mut table, what, "stand-in alone", &direct(&standin, is_streamed)).await?;
    }
    hone(&mut table, &standin).await?;
    if with_peers {
        peers::measure(&mut table, &standin.address).await?;
    }
    Ok(table)
}

/// A request to the stand-in itself.
fn direct(standin: &StandIn, is_streamed: bool) -> Request {
    let body = body("gpt-4o-mini", is_streamed);
    Request::post(&standin.address, "/v1/chat/completions", "", &body)
}

/// Repeats a load without pauses and writes its row; gives how many requests were answered, with those before.
async fn row(table: &mut String, what: &str, through: &str, request: &Request) -> anyhow::Result<usize> {
    let warm = load::run(request, CONNECTIONS, 1, None).await;
    let warm = warm.with_context(|| format!("{what} through {through}"))?;
    let mut runs = Vec::new();
    for _ in 0..REPEATS {
        runs.push(load::run(request, CONNECTIONS, SECONDS, None).await?);
    }
    let at = |share| Repeats::new(runs.iter().map(|run| run.whole_ms(share)).collect()).median();
    let per_second = Repeats::new(runs.iter().map(Answers::per_second).collect());
    write_row(table, what, through, &per_second, [at(0.5), at(0.99)])?;
    Ok(warm.count() + runs.iter().map(Answers::count).sum::<usize>())
}

/// What Hone adds to a thousand requests a second: each run beside one of the stand-in alone. Gives how many requests
/// Hone answered.
async fn added(
    table: &mut String,
    what: &str,
    alone: &Request,
    through: &Request,
    at: fn(&Answers, f64) -> f64,
) -> anyhow::Result<usize> {
    let mut answered = 0;
    let (mut with, mut without, mut difference) = ([vec![], vec![]], [vec![], vec![]], [vec![], vec![]]);
    for _ in 0..PAIRS {
        let base = load::run(alone, PACED.0, SECONDS, Some(PACED.1)).await?;
        let run = load::run(through, PACED.0, SECONDS, Some(PACED.1)).await?;
        answered += run.count();
        for (place, share) in [0.5, 0.99].into_iter().enumerate() {
            with[place].push(at(&run, share));
            without[place].push(at(&base, share));
            difference[place].push(at(&run, share) - at(&base, share));
        }
    }
    for (through, values) in [
        ("stand-in alone", without),
        ("Hone, recording on", with),
        ("added by Hone", difference),
    ] {
        let [p50_ms, p99_ms] = values.map(Repeats::new);
        let (p50_ms, p99_ms) = (p50_ms.shown(2), p99_ms.shown(2));
        eprint_row(&format!("{what} | {through}: p50 {p50_ms} ms, p99 {p99_ms} ms"));
        writeln!(
            table,
            "| {what}, 1,000 a second | {through} | | {p50_ms} | {p99_ms} |"
        )?;
    }
    Ok(answered)
}

fn write_row(
    table: &mut String,
    what: &str,
    through: &str,
    per_second: &Repeats,
    [p50_ms, p99_ms]: [f64; 2],
) -> anyhow::Result<()> {
    let per_second = per_second.shown(0);
    eprint_row(&format!(
        "{what} | {through}: {per_second}/s, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms"
    ));
    writeln!(
        table,
        "| {what} | {through} | {per_second} | {p50_ms:.2} | {p99_ms:.2} |"
    )?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "progress of a long benchmark")]
fn eprint_row(row: &str) {
    eprintln!("{row}");
}

async fn hone(table: &mut String, standin: &StandIn) -> anyhow::Result<()> {
    let server = started(standin)?;
    let headers = server.authorization();
    let request = |model: &str, is_streamed| {
        let body = body(model, is_streamed);
        Request::post(server.host(), "/openai/v1/chat/completions", &headers, &body)
    };
    let mut answered = 0;
    for (what, is_streamed) in SATURATED {
        let request = request("standin/gpt-4o-mini", is_streamed);
        answered += row(table, what, "Hone, recording on", &request).await?;
        ensure_recorded(&server, answered).await?;
    }
    for (what, is_streamed, at) in [
        ("plain", false, Answers::whole_ms as fn(&Answers, f64) -> f64),
        ("streamed, to the first event", true, Answers::first_ms),
    ] {
        let (alone, through) = (
            direct(standin, is_streamed),
            request("standin/gpt-4o-mini", is_streamed),
        );
        answered += added(table, what, &alone, &through, at).await?;
        ensure_recorded(&server, answered).await?;
    }
    let resident_mb = server.resident_mb();
    writeln!(
        table,
        "| resident after this load, MiB | Hone | {resident_mb:.0} | | |"
    )?;
    server.run(&[
        "task",
        "create",
        "durable",
        "--kind",
        "generate",
        "--policy",
        r#"{"recording":{"moment":"before_reply"},"gateway":{"models":[{"model":"standin/gpt-4o-mini"}]}}"#,
    ])?;
    let what = "plain, 64 connections, recorded before the reply";
    answered += row(table, what, "Hone, SQLite", &request("task:durable", false)).await?;
    ensure_recorded(&server, answered).await?;
    writeln!(
        table,
        "| recorded interactions, counted after every run, equal answered requests | Hone | {answered} | | |"
    )?;
    idle_streams(table, standin).await
}

/// A server that asks the stand-in.
fn started(standin: &StandIn) -> anyhow::Result<Server> {
    Server::start_with(None, Some(&config_for(standin)))
}

fn config_for(standin: &StandIn) -> String {
    format!(
        "[gateway.providers.standin]\nkind = \"openai\"\nbase_url = \"http://{}/v1\"\n",
        standin.address
    )
}

/// Fails unless as many interactions are recorded as requests were answered; the last ones have some milliseconds.
async fn ensure_recorded(server: &Server, answered: usize) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_millis(200)).await;
    let recorded = server.count("interactions")?;
    anyhow::ensure!(
        recorded == answered,
        "{recorded} interactions are recorded, {answered} requests were answered"
    );
    Ok(())
}

async fn idle_streams(table: &mut String, standin: &StandIn) -> anyhow::Result<()> {
    let server = started(standin)?;
    let headers = server.authorization();
    let held = json!({ "model": "standin/hold", "stream": true, "messages": [{ "role": "user", "content": "wait" }] });
    let path = "/openai/v1/chat/completions";
    let request = Request::post(server.host(), path, &headers, &held.to_string());
    let before = server.resident_mb();
    let open = load::open_streams(&request, IDLE_STREAMS).await?;
    let (count, resident_mb) = (open.len(), server.resident_mb());
    eprint_row(&format!("{count} open streams: {resident_mb:.0} MiB"));
    writeln!(
        table,
        "| {count} open streams, MiB | Hone | {resident_mb:.0} (before {before:.0}) | | |"
    )?;
    Ok(())
}
