//! Recording, feedback and classification over HTTP: the release binary, load from this process, on one machine.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::learn::{build_hone, hone_binary};
use super::load::{self, Answers, Request};
use super::report::{Repeats, append};

const CONNECTIONS: usize = 64;
const SECONDS: u64 = 4;
const REPEATS: usize = 3;
const NDJSON_ROWS: usize = 100_000;

/// Records that were acknowledged.
#[derive(Default)]
struct Answered {
    interactions: usize,
    feedback: usize,
}

pub(crate) fn run() -> anyhow::Result<()> {
    build_hone()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let table = runtime.block_on(measure())?;
    append("server", &table)
}

async fn measure() -> anyhow::Result<String> {
    let mut table = String::from(
        "| what | database | requests or rows a second | p50 ms | p99 ms |\n|---|---|---|---|---|\n",
    );
    let mut databases = vec![("SQLite", None)];
    #[expect(
        clippy::disallowed_methods,
        reason = "the PostgreSQL to measure is named in the environment"
    )]
    if let Ok(server) = std::env::var("HONE_TEST_POSTGRES") {
        let name = format!("hone_bench_{}", std::process::id());
        Command::new("psql")
            .args([
                &format!("{server}/postgres"),
                "-qc",
                &format!("CREATE DATABASE {name}"),
            ])
            .status()?;
        databases.push(("PostgreSQL", Some(format!("{server}/{name}"))));
    }
    for (name, url) in databases {
        let server = Server::start(url.as_deref())?;
        writeln!(
            table,
            "| process start to first answer, ms; idle MiB | {name} | {:.0} ms; {:.0} MiB | | |",
            server.start_ms,
            server.resident_mb()
        )?;
        let interaction = interaction();
        let mut answered = Answered::default();
        answered.interactions += load_row(
            &mut table,
            &server,
            name,
            "`POST /v1/interactions`, 2 KB, 64 connections",
            "/v1/interactions",
            &interaction,
        )
        .await?;
        let known: Value = server.post("/v1/interactions", &interaction).await?;
        answered.interactions += 1;
        let thumb = json!({ "interaction_id": known["id"], "kind": "thumb", "up": true }).to_string();
        answered.feedback += load_row(
            &mut table,
            &server,
            name,
            "`POST /v1/feedback`, 64 connections",
            "/v1/feedback",
            &thumb,
        )
        .await?;
        let quiet = json!({ "task": "bench", "text": "where is my parcel", "record": false }).to_string();
        load_row(
            &mut table,
            &server,
            name,
            "`POST /v1/classify`, not recorded, 64 connections",
            "/v1/classify",
            &quiet,
        )
        .await?;
        let kept = json!({ "task": "bench", "text": "where is my parcel" }).to_string();
        answered.interactions += load_row(
            &mut table,
            &server,
            name,
            "`POST /v1/classify`, recorded, 64 connections",
            "/v1/classify",
            &kept,
        )
        .await?;
        let stored = answered.interactions + ndjson_row(&mut table, &server, name).await?;
        let counted = (server.count("interactions")?, server.count("feedback")?);
        anyhow::ensure!(
            counted == (stored, answered.feedback),
            "{counted:?} rows are stored, {stored} and {} were acknowledged",
            answered.feedback
        );
        writeln!(
            table,
            "| resident after the load | {name} | {:.0} MiB | | |",
            server.resident_mb()
        )?;
    }
    Ok(table)
}

/// Sends a request for a while, three times; gives how many were acknowledged.
async fn load_row(
    table: &mut String,
    server: &Server,
    database: &str,
    what: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<usize> {
    let headers = server.authorization();
    let request = Request {
        // Made, taken or answered.
        status: "HTTP/1.1 2",
        ..Request::post(server.host(), path, &headers, body)
    };
    let mut loads = Vec::new();
    for _ in 0..REPEATS {
        loads.push(load::run(&request, CONNECTIONS, SECONDS, None).await?);
    }
    let per_second = Repeats::new(loads.iter().map(Answers::per_second).collect());
    let at = |share| Repeats::new(loads.iter().map(|load| load.whole_ms(share)).collect()).median();
    let answered: usize = loads.iter().map(Answers::count).sum();
    anyhow::ensure!(answered > 0, "{path} answered nothing");
    writeln!(
        table,
        "| {what} | {database} | {} | {:.2} | {:.2} |",
        per_second.shown(0),
        at(0.5),
        at(0.99)
    )?;
    Ok(answered)
}

/// Streams many rows, three times; gives how many were acknowledged.
async fn ndjson_row(table: &mut String, server: &Server, database: &str) -> anyhow::Result<usize> {
    let line = json!({ "task": "bench", "input": text_of(1_900), "label": "order" }).to_string() + "\n";
    let body = line.repeat(NDJSON_ROWS);
    let mut rates = Vec::new();
    for _ in 0..REPEATS {
        let start = Instant::now();
        let request = server
            .http
            .post(format!("{}/v1/interactions", server.address))
            .bearer_auth(&server.key);
        let response = request
            .header("content-type", "application/x-ndjson")
            .body(body.clone())
            .send()
            .await?;
        let report: Value = response.json().await?;
        anyhow::ensure!(
            report["recorded"] == NDJSON_ROWS,
            "not all rows were recorded: {report}"
        );
        rates.push(NDJSON_ROWS as f64 / start.elapsed().as_secs_f64());
    }
    writeln!(
        table,
        "| NDJSON, 2 KB a row, one stream | {database} | {} | | |",
        Repeats::new(rates).shown(0)
    )?;
    Ok(REPEATS * NDJSON_ROWS)
}

/// An interaction of 2 KB.
pub(super) fn interaction() -> String {
    json!({ "task": "bench", "input": text_of(2_000), "label": "order" }).to_string()
}

fn text_of(bytes: usize) -> String {
    "where is my parcel it should have come on monday ".repeat(bytes / 49 + 1)[..bytes].to_owned()
}

/// Asks whether the server lives, and waits for the answer.
fn first_answer(host: &str) -> anyhow::Result<()> {
    let mut stream = std::net::TcpStream::connect(host)?;
    stream.write_all(
        format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "not healthy: {answer}");
    Ok(())
}

/// The release binary over a fresh database, with a trained task.
pub(super) struct Server {
    binary: PathBuf,
    process: Child,
    pub address: String,
    key: String,
    start_ms: f64,
    http: reqwest::Client,
    data: tempfile::TempDir,
    database: Option<String>,
}

impl Server {
    fn start(database: Option<&str>) -> anyhow::Result<Self> {
        Self::start_with(database, None)
    }

    /// Starts with a configuration file beside the data.
    pub fn start_with(database: Option<&str>, config: Option<&str>) -> anyhow::Result<Self> {
        Self::start_binary(hone_binary(), database, config)
    }

    /// Starts this binary of Hone.
    pub fn start_binary(
        binary: PathBuf,
        database: Option<&str>,
        config: Option<&str>,
    ) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        if let Some(config) = config {
            std::fs::write(data.path().join("hone.toml"), config)?;
        }
        let command = || {
            let mut command = Command::new(&binary);
            command
                .current_dir(data.path())
                .arg("--data")
                .arg(data.path())
                .arg("--json");
            if let Some(url) = database {
                command.args(["--database", url]);
            }
            command
        };
        let run = |args: &[&str]| -> anyhow::Result<Value> {
            let output = command().args(args).output()?;
            anyhow::ensure!(
                output.status.success(),
                "hone {args:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
        };
        let key = run(&["key", "create"])?["key"]
            .as_str()
            .context("no key")?
            .to_owned();
        run(&["import", "bench", &write_examples(data.path())?])?;
        run(&["train", "bench"])?;
        run(&[
            "task",
            "set",
            "bench",
            r#"{"training":{"automatic":false},"curation":{"automatic":false}}"#,
        ])?;
        let start = Instant::now();
        let mut process = command()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().context("no output")?;
        let line = BufReader::new(output)
            .lines()
            .next()
            .context("the server did not start")??;
        let said: Value = serde_json::from_str(&line)?;
        let address = said["serving"].as_str().context("no address")?.to_owned();
        first_answer(address.trim_start_matches("http://"))?;
        let start_ms = start.elapsed().as_secs_f64() * 1e3;
        Ok(Self {
            binary,
            process,
            address,
            key,
            start_ms,
            http: reqwest::Client::new(),
            data,
            database: database.map(str::to_owned),
        })
    }

    /// The address without its scheme.
    pub fn host(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    /// The header that its key goes into, with its line end.
    pub fn authorization(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.key)
    }

    /// Runs a command beside the server.
    pub fn run(&self, args: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(&self.binary);
        command
            .current_dir(self.data.path())
            .arg("--data")
            .arg(self.data.path());
        if let Some(url) = &self.database {
            command.args(["--database", url]);
        }
        let output = command.args(args).output()?;
        anyhow::ensure!(
            output.status.success(),
            "hone {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    pub async fn post(&self, path: &str, body: &str) -> anyhow::Result<Value> {
        let request = self
            .http
            .post(format!("{}{path}", self.address))
            .bearer_auth(&self.key);
        Ok(request
            .header("content-type", "application/json")
            .body(body.to_owned())
            .send()
            .await?
            .json()
            .await?)
    }

    /// Rows of a table, counted in the database itself.
    pub fn count(&self, table: &str) -> anyhow::Result<usize> {
        let select = format!("SELECT COUNT(*) FROM {table}");
        let output = match &self.database {
            Some(url) => Command::new("psql").args([url, "-tAc", &select]).output()?,
            None => Command::new("python3")
                .args(["-c", "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])"])
                .arg(self.data.path().join("hone.sqlite"))
                .arg(&select)
                .output()?,
        };
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }

    /// Processor time that the server has taken so far, in seconds: it depends less on what else the machine does than the time
    /// of an answer.
    pub fn processor_s(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("no fields in stat")?;
        // The 14th and the 15th of all fields, in hundredths of a second (proc(5)).
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / 100.0)
    }

    pub fn resident_mb(&self) -> f64 {
        resident_mb_of(&Path::new("/proc").join(self.process.id().to_string()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Memory of the process whose folder under `/proc` this is.
pub(crate) fn resident_mb_of(process: &Path) -> f64 {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap_or_default();
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1_024.0
}

fn write_examples(folder: &Path) -> anyhow::Result<String> {
    let labels = [
        ("order", "where is my parcel"),
        ("refund", "money back please"),
        ("login", "reset my password"),
    ];
    let mut lines = String::new();
    for number in 0..300 {
        let (label, text) = labels[number % labels.len()];
        writeln!(
            lines,
            "{}",
            json!({ "text": format!("{text} {number}"), "label": label })
        )?;
    }
    let file = folder.join("examples.jsonl");
    std::fs::write(&file, lines)?;
    Ok(file.display().to_string())
}
