//! `hone history` in the real binary: killed in the middle, it goes on where it stopped.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rstest::rstest;

use crate::support::{Process, hone, list_all, new_key, run_json};

const ROWS: usize = 12_000;
/// Rows that a table cannot give: the text is missing.
const EMPTY_EVERY: usize = 4_000;
const LONGEST: Duration = Duration::from_mins(1);

/// The rows that an import has noted as done.
fn noted(data: &Path) -> usize {
    let notes = std::fs::read_dir(data.join("imports")).into_iter().flatten();
    let read = notes.filter_map(|note| std::fs::read_to_string(note.ok()?.path()).ok()?.parse().ok());
    read.max().unwrap_or(0)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_goes_on_and_records_nothing_twice(#[values(false, true)] is_postgres: bool) {
    let url = hone_testkit::postgres_url();
    let database = url.as_deref().filter(|_| is_postgres);
    if is_postgres && database.is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut table = String::from("asked,answered,stars\n");
    for row in 1..=ROWS {
        let asked = if row % EMPTY_EVERY == 0 { "" } else { "where is it" };
        let number = if asked.is_empty() {
            String::new()
        } else {
            format!(" {row}")
        };
        writeln!(table, "{asked}{number},on its way,{}", row % 5 + 1).unwrap();
    }
    let file = data.join("table.csv");
    std::fs::write(&file, table).unwrap();
    let arguments = [
        "history",
        "support",
        file.to_str().unwrap(),
        "--from",
        "table",
        "--kind",
        "generate",
        "--map",
        "input=asked",
        "--map",
        "output=answered",
        "--map",
        "rating=stars",
    ];
    let key = new_key(data, database);
    let mut done = 0;
    for _ in 0..2 {
        let mut importing = hone(data, database)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + LONGEST;
        while noted(data) <= done {
            assert!(
                Instant::now() < until,
                "the import gets no further than row {done}"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        importing.kill().unwrap();
        importing.wait().unwrap();
        done = noted(data);
    }
    assert!((1..ROWS).contains(&done), "killed in the middle: {done}");
    let report = run_json(data, database, &arguments);
    assert_eq!(report["skipped"], done);
    // Rows are named by their lines, of which the first is the header.
    assert_eq!(report["rows"], ROWS + 1 - done);
    let server = Process::start(
        data,
        database,
        &["serve", "--listen", "127.0.0.1:0", "--no-worker"],
    );
    let taken = ROWS - ROWS / EMPTY_EVERY;
    for path in ["/v1/interactions", "/v1/feedback"] {
        let stored = list_all(&server.address, &key, path).await;
        let distinct: HashSet<&String> = stored.iter().collect();
        assert_eq!((stored.len(), distinct.len()), (taken, taken), "{path}");
    }
    // The same file again changes nothing.
    let again = run_json(data, database, &arguments);
    assert_eq!(
        (&again["recorded"], &again["duplicates"]),
        (&0.into(), &(2 * taken).into())
    );
    let refused = again["refused"].as_array().unwrap();
    assert_eq!(refused.len(), ROWS / EMPTY_EVERY);
    assert_eq!(refused[0]["line"], EMPTY_EVERY + 1);
}

#[test]
fn another_task_gets_its_own_records_and_a_changed_row_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let file = data.join("table.csv");
    std::fs::write(&file, "question,answer\nhow are you,fine\nwhat is it,that\n").unwrap();
    let import = |task: &str, columns: &[&str], more: &[&str]| {
        let mapped = columns.iter().flat_map(|column| ["--map", column]);
        let start = [
            "history",
            task,
            file.to_str().unwrap(),
            "--from",
            "table",
            "--kind",
            "generate",
        ];
        let arguments: Vec<&str> = start
            .into_iter()
            .chain(mapped)
            .chain(more.iter().copied())
            .collect();
        let output = hone(data, None).arg("--json").args(arguments).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report)
    };
    let whole = ["input=question", "output=answer"];
    assert_eq!(import("a", &["input=question"], &["--dry-run"]).1["taken"], 2);
    assert_eq!(import("a", &["input=question"], &[]).1["recorded"], 2);
    assert_eq!(import("b", &whole, &[]).1["recorded"], 2);
    let (code, changed) = import("a", &whole, &[]);
    assert_eq!(code, Some(3), "nothing was taken");
    assert_eq!(
        (&changed["recorded"], &changed["duplicates"]),
        (&0.into(), &0.into())
    );
    assert_eq!(changed["refused"][0]["line"], 2);
    assert!(
        changed["refused"][1]["problem"]
            .as_str()
            .unwrap()
            .contains("other content"),
        "{changed}"
    );
}
