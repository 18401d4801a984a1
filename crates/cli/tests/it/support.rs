//! The real binary in a folder of its own, for tests that kill it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A running `hone serve` or `hone worker`; killed when dropped.
pub struct Process {
    child: Child,
    /// Where it listens, for `serve`.
    pub address: String,
}

impl Process {
    /// Starts a command and waits until it says that it runs.
    pub fn start(data: &Path, database: Option<&str>, command: &[&str]) -> Self {
        let mut child = hone(data, database)
            .args(command)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the process ended before it ran").unwrap();
        let address = first
            .split_whitespace()
            .find(|word| word.starts_with("http"))
            .unwrap_or_default()
            .to_owned();
        Self { child, address }
    }

    /// SIGKILL: no chance to write anything more.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary with its folder and database.
pub fn hone(data: &Path, database: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hone"));
    command
        .current_dir(data)
        .arg("--data")
        .arg(data)
        .env_remove("HONE_DATA");
    if let Some(url) = database {
        command.args(["--database", url]);
    }
    command
}

/// Runs a command to its end.
pub fn run(data: &Path, database: Option<&str>, args: &[&str]) -> Output {
    hone(data, database).args(args).output().unwrap()
}

/// Runs a command with `--json` that must succeed; gives its answer.
pub fn run_json(data: &Path, database: Option<&str>, args: &[&str]) -> serde_json::Value {
    let output = hone(data, database).arg("--json").args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Writes `count` labelled examples as JSONL and gives the file's path.
pub fn examples_file(data: &Path, count: usize) -> String {
    let texts = [
        ("order", "where is my parcel"),
        ("refund", "give my money back"),
        ("login", "reset the password"),
    ];
    let lines: Vec<String> = (0..count)
        .map(|number| {
            let (label, text) = texts[number % 3];
            // So different that none is nearly the same as another.
            let name = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            serde_json::json!({ "text": format!("{text} {name:x} please {number}"), "label": label })
                .to_string()
        })
        .collect();
    let path = data.join("examples.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path.display().to_string()
}

/// Makes an API key with every scope.
pub fn new_key(data: &Path, database: Option<&str>) -> String {
    run_json(data, database, &["key", "create"])["key"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// What is answered at a URL.
pub async fn get_json(http: &reqwest::Client, url: String, key: &str) -> serde_json::Value {
    let response = http.get(url).bearer_auth(key).send().await.unwrap();
    response.json().await.unwrap()
}

/// The ids of everything that a list has, page by page.
pub async fn list_all(address: &str, key: &str, path: &str) -> Vec<String> {
    let http = reqwest::Client::new();
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let url = format!("{address}{path}?limit=500{after}");
        let page = get_json(&http, url, key).await;
        ids.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return ids,
        }
    }
}
