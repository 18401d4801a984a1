//! The gateway beside LiteLLM and Portkey in one run: recording on, with the stand-in provider and the load on the same
//! machine. What is recorded is counted in the database after every run.

mod load;
mod peers;
mod standin;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::task::JoinSet;

use self::load::{Answers, Request};
use super::learn::build_hone;
use super::report::{Repeats, append};
use super::server::Server;

const CONNECTIONS: usize = 64;
const SECONDS: u64 = 4;
const REPEATS: usize = 3;
/// Connections and pause that make a thousand requests a second.
const THOUSAND_A_SECOND: (usize, Duration) = (50, Duration::from_millis(50));
const IDLE_STREAMS: usize = 9_000;

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
    let mut tasks = JoinSet::new();
    let standin = standin::start(&mut tasks).await?;
    let mut table =
        String::from("| what | through | requests a second | p50 ms | p99 ms |\n|---|---|---|---|---|\n");
    let direct = |is_streamed| {
        Request::post(
            &standin,
            "/v1/chat/completions",
            "",
            &body("gpt-4o-mini", is_streamed),
        )
    };
    row(
        &mut table,
        "plain, 64 connections",
        "stand-in alone",
        &direct(false),
        None,
    )
    .await?;
    row(
        &mut table,
        "streamed (19 events), 64 connections",
        "stand-in alone",
        &direct(true),
        None,
    )
    .await?;
    let at_rate = Some(THOUSAND_A_SECOND.1);
    let base = row(
        &mut table,
        "plain, 1,000 a second",
        "stand-in alone",
        &direct(false),
        at_rate,
    )
    .await?;
    let base_first = row(
        &mut table,
        "streamed, 1,000 a second, to the first event",
        "stand-in alone",
        &direct(true),
        at_rate,
    )
    .await?;
    hone(&mut table, &standin, &base, &base_first).await?;
    if with_peers {
        peers::measure(&mut table, &standin).await?;
    }
    Ok(table)
}

/// Repeats a load and writes its row; gives the last repetition's answers and how many there were in all.
async fn row(
    table: &mut String,
    what: &str,
    through: &str,
    request: &Request,
    pause: Option<Duration>,
) -> anyhow::Result<Measured> {
    let connections = if pause.is_some() {
        THOUSAND_A_SECOND.0
    } else {
        CONNECTIONS
    };
    let warm = load::run(request, connections, 1, pause).await;
    let warm = warm.with_context(|| format!("{what} through {through}"))?;
    let mut runs = Vec::new();
    for _ in 0..REPEATS {
        runs.push(load::run(request, connections, SECONDS, pause).await?);
    }
    let is_first = what.contains("first event");
    let at = |share: f64| {
        let of = |run: &Answers| {
            if is_first {
                run.first_ms(share)
            } else {
                run.whole_ms(share)
            }
        };
        Repeats::new(runs.iter().map(of).collect()).median()
    };
    let per_second = Repeats::new(runs.iter().map(Answers::per_second).collect());
    let (p50_ms, p99_ms) = (at(0.5), at(0.99));
    writeln!(
        table,
        "| {what} | {through} | {} | {p50_ms:.2} | {p99_ms:.2} |",
        per_second.shown(0)
    )?;
    eprint_row(what, through, per_second.median(), p50_ms, p99_ms);
    let answered = warm.count() + runs.iter().map(Answers::count).sum::<usize>();
    Ok(Measured {
        p50_ms,
        p99_ms,
        answered,
    })
}

struct Measured {
    p50_ms: f64,
    p99_ms: f64,
    /// Requests that were answered, with those before the measurement.
    answered: usize,
}

#[expect(clippy::print_stderr, reason = "progress of a long benchmark")]
fn eprint_row(what: &str, through: &str, per_second: f64, p50_ms: f64, p99_ms: f64) {
    eprintln!("{what} | {through}: {per_second:.0}/s, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms");
}

async fn hone(
    table: &mut String,
    standin: &str,
    base: &Measured,
    base_first: &Measured,
) -> anyhow::Result<()> {
    let config =
        format!("[gateway.providers.standin]\nkind = \"openai\"\nbase_url = \"http://{standin}/v1\"\n");
    let server = Server::start_with(None, Some(&config))?;
    let address = server.address.trim_start_matches("http://").to_owned();
    let headers = format!("Authorization: Bearer {}\r\n", server.key);
    let request = |model: &str, is_streamed| {
        Request::post(
            &address,
            "/openai/v1/chat/completions",
            &headers,
            &body(model, is_streamed),
        )
    };
    let plain = request("standin/gpt-4o-mini", false);
    let streamed = request("standin/gpt-4o-mini", true);
    let at_rate = Some(THOUSAND_A_SECOND.1);
    let mut answered = 0;
    for (what, request) in [
        ("plain, 64 connections", &plain),
        ("streamed (19 events), 64 connections", &streamed),
    ] {
        answered += row(table, what, "Hone, recording on", request, None)
            .await?
            .answered;
        ensure_recorded(&server, answered).await?;
    }
    let at = row(
        table,
        "plain, 1,000 a second",
        "Hone, recording on",
        &plain,
        at_rate,
    )
    .await?;
    let first = row(
        table,
        "streamed, 1,000 a second, to the first event",
        "Hone, recording on",
        &streamed,
        at_rate,
    )
    .await?;
    writeln!(
        table,
        "| added at 1,000 a second | Hone, recording on | | {:.2} | {:.2} |\n\
         | added to the first event at 1,000 a second | Hone, recording on | | {:.2} | {:.2} |",
        at.p50_ms - base.p50_ms,
        at.p99_ms - base.p99_ms,
        first.p50_ms - base_first.p50_ms,
        first.p99_ms - base_first.p99_ms
    )?;
    writeln!(
        table,
        "| resident after this load, MiB | Hone | {:.0} | | |",
        server.resident_mb()
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
    answered += at.answered + first.answered;
    ensure_recorded(&server, answered).await?;
    let durable = request("task:durable", false);
    answered += row(
        table,
        "plain, 64 connections, recorded before the reply",
        "Hone, SQLite",
        &durable,
        None,
    )
    .await?
    .answered;
    ensure_recorded(&server, answered).await?;
    writeln!(
        table,
        "| recorded interactions, counted after every run, equal answered requests | Hone | {answered} | | |"
    )?;
    idle_streams(table, standin).await
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

async fn idle_streams(table: &mut String, standin: &str) -> anyhow::Result<()> {
    let config =
        format!("[gateway.providers.standin]\nkind = \"openai\"\nbase_url = \"http://{standin}/v1\"\n");
    let server = Server::start_with(None, Some(&config))?;
    let address = server.address.trim_start_matches("http://").to_owned();
    let headers = format!("Authorization: Bearer {}\r\n", server.key);
    let held = json!({ "model": "standin/hold", "stream": true, "messages": [{ "role": "user", "content": "wait" }] });
    let request = Request::post(
        &address,
        "/openai/v1/chat/completions",
        &headers,
        &held.to_string(),
    );
    let before = server.resident_mb();
    let open = load::open_streams(&request, IDLE_STREAMS).await?;
    writeln!(
        table,
        "| {} open streams, MiB | Hone | {:.0} (before {before:.0}) | | |",
        open.len(),
        server.resident_mb()
    )?;
    Ok(())
}
