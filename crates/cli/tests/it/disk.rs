//! A full or read-only disk: a clear error, nothing half-written, and everything acknowledged still there.

use hone_testkit::SmallDisk;
use serde_json::{Value, json};

use crate::support::{Process, hone, new_key, run_json};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_plainly_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path(), "6m") else {
        return;
    };
    let key = new_key(folder.path(), None);
    run_json(folder.path(), None, &["task", "create", "intent"]);
    let server = Process::start(
        folder.path(),
        None,
        &["serve", "--listen", "127.0.0.1:0", "--no-worker"],
    );
    let http = reqwest::Client::new();
    // Random-looking text, so that compression does not make room.
    let text = |number: usize| -> String {
        (0..40_000)
            .map(|position| char::from(b'a' + ((number * 31 + position * position * 7) % 23) as u8))
            .collect()
    };
    let mut acknowledged = Vec::new();
    let refusal = loop {
        let body = json!({ "task": "intent", "input": text(acknowledged.len()) });
        let request = http
            .post(format!("{}/v1/interactions", server.address))
            .bearer_auth(&key)
            .json(&body);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let answer: Value = response.json().await.unwrap();
        if status != 201 {
            break (status, answer);
        }
        acknowledged.push(answer["id"].as_str().unwrap().to_owned());
        assert!(acknowledged.len() < 10_000, "the disk is not full yet");
    };
    assert_eq!(
        (refusal.0, refusal.1["type"].as_str()),
        (507, Some("/errors/disk-full")),
        "{}",
        refusal.1
    );
    assert!(!acknowledged.is_empty());
    for id in &acknowledged {
        let shown = http
            .get(format!("{}/v1/interactions/{id}", server.address))
            .bearer_auth(&key)
            .send()
            .await
            .unwrap();
        assert_eq!(shown.status(), 200, "an acknowledged interaction is gone");
    }
    disk.remount("size=60m");
    let body = json!({ "task": "intent", "input": "there is room again" });
    let request = http
        .post(format!("{}/v1/interactions", server.address))
        .bearer_auth(&key)
        .json(&body);
    assert_eq!(
        request.send().await.unwrap().status(),
        201,
        "with room it goes on by itself"
    );
}

#[test]
fn a_read_only_folder_is_said_plainly() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path(), "20m") else {
        return;
    };
    run_json(folder.path(), None, &["task", "create", "intent"]);
    disk.remount("ro");
    for command in [
        &["task", "create", "other"][..],
        &["serve", "--listen", "127.0.0.1:0"],
        &["doctor"],
    ] {
        let output = hone(folder.path(), None).args(command).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("writable"), "{command:?}: {said}");
    }
    disk.remount("rw");
    let tasks = run_json(folder.path(), None, &["task", "list"]);
    assert_eq!(tasks.as_array().unwrap().len(), 1, "{tasks}");
}
