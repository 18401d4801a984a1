//! `hone demo`: the whole loop on an empty machine, in seconds.
//!
//! Starts a server over an empty folder and replays a support desk through the HTTP API: customers write, the model
//! answers where there is one, people correct it, Hone retrains as the triggers say. Nothing is computed here that the
//! server does not answer.

mod chart;
mod client;
mod desk;
mod replay;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use hone_domain::{ScopeSet, TaskKind, TaskPolicy, TrainingPolicy};
use tokio::net::TcpListener;

use crate::app::App;
use crate::args::DemoArgs;
use crate::config::Config;
use crate::output::Output;
use crate::server;
use crate::telemetry;

/// Asked once more at the end, for the reader to correct.
const QUESTION: &str = "my parcel is late";
/// Name of the task that the demo makes.
pub(crate) const TASK: &str = "intent";

pub(crate) async fn run(
    args: &DemoArgs,
    given: Option<&Path>,
    config: Config,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let folder = demo_folder(given)?;
    let data = folder.display().to_string();
    let mut config = config;
    config.data = folder.clone();
    let place = if config.database.take().is_some() {
        format!("--data {data} --database {}", config.database_url())
    } else {
        format!("--data {data}")
    };
    "error".clone_into(&mut config.log.level);
    let _traces = telemetry::start(&config)?;
    let app = App::open(config).await?;
    let listener = match TcpListener::bind(("127.0.0.1", args.port)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("no free port on 127.0.0.1")?,
    };
    let running = server::start(&app, listener, true).await?;
    let key = app
        .engine
        .create_key(app.project, "demo", ScopeSet::all(), None)
        .await?;
    app.engine
        .create_task(app.project, TASK, TaskKind::Classify, demo_policy(), None)
        .await?;
    let address = format!("http://{}", running.address);
    output.say(format!(
        "Hone serves {address} over the empty folder {data}; open the page to watch\n"
    ));
    let client = client::Client::new(&address, &key.secret)?;
    let story = replay::run(&client, output).await?;
    let asked = client.ask(QUESTION).await?;
    let summary = client.summary().await?;
    output.result(
        &serde_json::json!({
            "replay": story, "versions": summary, "data": data, "url": address, "key": key.secret,
        }),
        || {
            chart::print(&story, &summary, output);
            let next = Next {
                address: &address,
                key: &key.secret,
                place: &place,
                interaction_id: &asked.interaction_id,
                folder: &data,
            };
            next.print(args.stay, output);
        },
    );
    if args.stay {
        server::stop_signal().await?;
    }
    running.stop().await;
    app.close().await;
    Ok(ExitCode::SUCCESS)
}

/// The folder given, which must be empty, or one of its own. It stays, so that the commands printed at the end work.
fn demo_folder(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(folder) = given {
        let is_empty = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
        anyhow::ensure!(
            is_empty,
            "{} is not empty; the demo needs a folder of its own",
            folder.display()
        );
        return Ok(folder.to_owned());
    }
    let folder = tempfile::Builder::new()
        .prefix("hone-demo-")
        .tempdir()
        .context("no temporary folder can be made")?;
    Ok(folder.keep())
}

/// The documented triggers; characters help with typing errors.
fn demo_policy() -> TaskPolicy {
    TaskPolicy {
        training: TrainingPolicy {
            settings: serde_json::json!({ "features": "words_and_characters" }),
            ..TrainingPolicy::default()
        },
        ..TaskPolicy::default()
    }
}

/// What the commands printed at the end need.
struct Next<'a> {
    address: &'a str,
    key: &'a str,
    /// The options that name the demo's folder.
    place: &'a str,
    interaction_id: &'a str,
    /// The demo's folder.
    folder: &'a str,
}

impl Next<'_> {
    fn print(&self, stays: bool, output: Output) {
        let Self {
            address,
            key,
            place,
            interaction_id,
            ..
        } = self;
        let hone =
            std::env::current_exe().map_or_else(|_| "hone".to_owned(), |path| path.display().to_string());
        let curl = |path: &str, body: serde_json::Value| {
            output.raw(&format!(
                "  curl -s {address}{path} -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'"
            ));
        };
        output.raw("\nWhat to try next");
        if !stays {
            output.raw("  # the page, and the API for the calls below");
            let listen = address.trim_start_matches("http://");
            output.raw(&format!("  {hone} {place} serve --listen {listen} &"));
        }
        output.raw(&format!(
            "  # ask the model, then tell it what would have been right for \"{QUESTION}\""
        ));
        curl(
            "/v1/classify",
            serde_json::json!({ "task": TASK, "text": QUESTION }),
        );
        curl(
            "/v1/feedback",
            serde_json::json!({ "interaction_id": interaction_id, "kind": "correction", "label": "order_status" }),
        );
        output.raw("  # the registry, a training by hand, one step back");
        output.raw(&format!("  {hone} {place} models {TASK}"));
        output.raw(&format!("  {hone} {place} train {TASK}"));
        output.raw(&format!("  {hone} {place} rollback {TASK}"));
        output.raw(&format!("  # when you are done\n  rm -r {}", self.folder));
    }
}
