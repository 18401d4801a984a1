//! A full disk: a clear error, nothing half-written, and everything acknowledged still there.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Process, run_json};

/// A small file system of its own, unmounted when dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(folder)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: no file system can be mounted here");
        None
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_plainly_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(folder.path()) else {
        return;
    };
    let key = run_json(folder.path(), None, &["key", "create"])["key"]
        .as_str()
        .unwrap()
        .to_owned();
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
}
