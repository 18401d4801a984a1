//! Curation, reviews, datasets and files from the command line.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{examples_file, hone, run, run_json};

fn json_of(data: &Path, args: &[&str]) -> Value {
    run_json(data, None, args)
}

#[test]
fn datasets_are_compared_tagged_backed_up_and_written_by_day() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    json_of(data, &["import", "intent", &examples_file(data, 60)]);
    let first = json_of(data, &["datasets", "freeze", "intent", "--tag", "first"]);
    assert_eq!(first["tags"], json!(["first"]));
    let again = json_of(data, &["datasets", "freeze", "intent"]);
    assert_eq!(again["id"], first["id"], "nothing has changed");

    let listed = json_of(data, &["examples", "list", "intent", "--limit", "2"]);
    let (one, other) = (
        listed[0]["id"].as_str().unwrap(),
        listed[1]["id"].as_str().unwrap(),
    );
    json_of(data, &["examples", "reject", one, "--reason", "not ours"]);
    let rejected = json_of(data, &["examples", "list", "intent", "--status", "rejected"]);
    assert_eq!(
        (rejected[0]["reason"].as_str(), rejected[0]["step"].as_str()),
        (Some("not ours"), Some("review"))
    );
    json_of(data, &["datasets", "freeze", "intent", "--tag", "second"]);
    let comparison = json_of(data, &["datasets", "compare", "first", "second"]);
    assert_eq!(
        (comparison["removed"].as_u64(), comparison["same"].as_u64()),
        (Some(1), Some(59))
    );
    json_of(data, &["examples", "restore", one]);
    assert_ne!(one, other);

    let backup = data.join("first.backup");
    let backup = backup.to_str().unwrap();
    json_of(data, &["datasets", "backup", "first", backup]);
    let elsewhere = tempfile::tempdir().unwrap();
    json_of(elsewhere.path(), &["task", "create", "intent"]);
    let restored = json_of(elsewhere.path(), &["datasets", "restore", "intent", backup]);
    for field in ["id", "content_hash", "example_count", "tags", "statistics"] {
        assert_eq!(restored[field], first[field], "{field}");
    }
    let mut bytes = std::fs::read(backup).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(backup, bytes).unwrap();
    let refused = run(elsewhere.path(), None, &["datasets", "restore", "intent", backup]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is damaged"));

    let snapshot = json_of(data, &["datasets", "snapshot", "intent"]);
    let file = data.join(snapshot["file"].as_str().unwrap());
    assert!(
        file.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("training-snapshot-2")
    );
    let chat: Value =
        serde_json::from_str(std::fs::read_to_string(&file).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(chat["messages"][1]["role"], "assistant");
    assert_eq!(
        json_of(data, &["datasets", "snapshot", "intent"])["is_new"],
        false
    );
}

#[test]
fn what_is_exported_in_any_format_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    json_of(data, &["import", "intent", &examples_file(data, 60)]);
    for (name, format) in [
        ("out.jsonl", None),
        ("out.json", None),
        ("out.csv", None),
        ("out.parquet", None),
        ("chats.jsonl", Some("openai-chat")),
        ("sft.jsonl", Some("sft")),
    ] {
        let path = data.join(name);
        let file = path.to_str().unwrap();
        let mut args = vec!["export", "intent", file];
        args.extend(format.iter().flat_map(|format| ["--format", format]));
        assert_eq!(json_of(data, &args)["rows"], 60, "{name}");
        let elsewhere = tempfile::tempdir().unwrap();
        let mut args = vec!["import", "intent", file];
        args.extend(format.iter().flat_map(|format| ["--format", format]));
        let report = json_of(elsewhere.path(), &args);
        assert_eq!(
            (&report["approved"], &report["refused"]),
            (&json!(60), &json!([])),
            "{name}"
        );
    }
    // A table with other columns says what it has.
    let table = data.join("other.csv");
    std::fs::write(&table, "question,answer\nhi,there\n").unwrap();
    let refused = run(data, None, &["import", "intent", table.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(3));
    let wrong = data.join("wrong.parquet");
    std::fs::write(&wrong, "no parquet").unwrap();
    let refused = run(data, None, &["import", "intent", wrong.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is no Parquet file"));
}

#[test]
fn reviews_are_answered_with_single_keys() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    create_task(data, "desk", r#"{"review":{"random_share":0,"gold_share":0}}"#);
    let history = data.join("history.jsonl");
    let rows = ["where is my parcel", "give my money back", "asdf", "how do I pay"]
        .map(|text| json!({ "input": text, "label": "order", "confidence": 0.5 }).to_string());
    std::fs::write(&history, rows.join("\n")).unwrap();
    let told = json_of(
        data,
        &[
            "history",
            "desk",
            history.to_str().unwrap(),
            "--from",
            "table",
            "--kind",
            "classify",
        ],
    );
    assert_eq!(told["recorded"], 4);
    let mut child = hone(data, None)
        .args(["--json", "review", "desk", "--as", "ann"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Approve one, correct one with a remark, skip one, reject one.
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"a\nk\nclear\nc\nrefund\ns\nr\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said, json!({ "answered": 3, "skipped": 1 }));
    json_of(data, &["curate", "desk"]);
    let examples = json_of(data, &["examples", "list", "desk", "--status", "approved"]);
    let mut labels: Vec<&str> = examples
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["label"].as_str().unwrap())
        .collect();
    labels.sort_unstable();
    assert_eq!(labels, ["order", "refund"]);
    let statistics = json_of(data, &["review", "desk", "--statistics"]);
    assert_eq!(
        (
            statistics["reviews"].as_u64(),
            statistics["reviewers"][0]["skipped"].as_u64()
        ),
        (Some(3), Some(1))
    );
}

#[test]
fn a_dry_run_and_a_privacy_rule_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    json_of(data, &["import", "intent", &examples_file(data, 9)]);
    let preview = json_of(
        data,
        &[
            "curate",
            "intent",
            "--dry-run",
            "--policy",
            r#"{"min_quality":0.95}"#,
        ],
    );
    assert_eq!(preview["report"]["rejected_by"], json!({ "quality": 9 }));
    assert_eq!(
        json_of(data, &["examples", "list", "intent", "--status", "approved"])
            .as_array()
            .map(Vec::len),
        Some(9)
    );
    json_of(data, &["privacy", r#"{"personal_data":{"handling":"redact"}}"#]);
    assert_eq!(json_of(data, &["privacy"])["personal_data"]["handling"], "redact");
    let refused = run(
        data,
        None,
        &["privacy", r#"{"personal_data":{"handling":"reject"}}"#],
    );
    assert!(String::from_utf8_lossy(&refused.stderr).contains("/personal_data/handling"));
    assert_eq!(json_of(data, &["subject", "opt-out", "ann"])["opted_out"], true);
}

fn create_task(data: &Path, name: &str, policy: &str) {
    json_of(data, &["task", "create", name, "--policy", policy]);
}

/// Starts a command and kills it after a while, again and again, a little later each time; then lets it end.
fn killed_on_the_way(data: &Path, args: &[&str]) -> Value {
    let mut kills = 0;
    for round in 1..=6u64 {
        let mut child = hone(data, None)
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(40 + 45 * round));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    assert!(kills > 0, "{args:?} was never killed on its way");
    json_of(data, args)
}

#[test]
fn an_import_and_a_curation_that_are_killed_go_on_and_take_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let report = killed_on_the_way(data, &["import", "intent", &examples_file(data, 6_000)]);
    let told = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(
        (told("approved") + told("already"), told("rejected")),
        (6_000, 0),
        "{report}"
    );
    assert_eq!(
        json_of(data, &["datasets", "freeze", "intent"])["example_count"],
        6_000
    );

    create_task(data, "desk", r#"{"curation":{"automatic":false}}"#);
    let rows: Vec<String> = (0..4_000u64)
        .map(|number| {
            let name = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            json!({ "input": format!("{name:x} is late"), "label": "a", "correction": "b" }).to_string()
        })
        .collect();
    let history = data.join("history.jsonl");
    std::fs::write(&history, rows.join("\n")).unwrap();
    let history = history.to_str().unwrap();
    json_of(
        data,
        &[
            "history", "desk", history, "--from", "table", "--kind", "classify",
        ],
    );
    killed_on_the_way(data, &["curate", "desk"]);
    let frozen = json_of(data, &["datasets", "freeze", "desk"]);
    assert_eq!(
        (&frozen["example_count"], &frozen["lineage"]["from_interactions"]),
        (&json!(4_000), &json!(4_000))
    );
}

#[test]
fn an_export_that_is_killed_leaves_no_half_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    json_of(data, &["import", "intent", &examples_file(data, 6_000)]);
    let out = data.join("out.jsonl");
    for delay_ms in [5u64, 20, 35, 50, 65] {
        let mut child = hone(data, None)
            .args(["export", "intent", "out.jsonl"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(delay_ms));
        let _ = child.kill();
        child.wait().unwrap();
        if out.exists() {
            assert_eq!(
                std::fs::read_to_string(&out).unwrap().lines().count(),
                6_000,
                "after {delay_ms} ms"
            );
            std::fs::remove_file(&out).unwrap();
        }
    }
    assert_eq!(json_of(data, &["export", "intent", "out.jsonl"])["rows"], 6_000);
}
