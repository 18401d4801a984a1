//! What a crash may cost: nothing that was acknowledged, and nothing twice.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::support::{Process, examples_file, list_all, new_key, run_json};
use serde_json::{Value, json};

/// Kills of the server under load.
const KILLS: usize = 10;
const CLIENTS: u32 = 8;

/// Sends interactions with feedback until the server is gone; gives the ids of what was acknowledged.
async fn load(address: String, key: String, round: usize, client: u32) -> (Vec<String>, Vec<String>) {
    let http = reqwest::Client::new();
    let (mut interactions, mut feedback) = (Vec::new(), Vec::new());
    for number in 0.. {
        let id = uuid::Uuid::from_u128((round as u128) << 64 | u128::from(client) << 32 | number);
        let post = |path: &str, body: Value| {
            http.post(format!("{address}{path}"))
                .bearer_auth(&key)
                .json(&body)
                .send()
        };
        let new = json!({ "id": id, "task": "intent", "input": format!("text {round} {client} {number}") });
        match post("/v1/interactions", new).await {
            Ok(response) if response.status().is_success() => interactions.push(id.to_string()),
            _ => break,
        }
        let thumb = json!({ "id": id, "interaction_id": id, "kind": "thumb", "up": true });
        match post("/v1/feedback", thumb).await {
            Ok(response) if response.status().is_success() => feedback.push(id.to_string()),
            _ => break,
        }
    }
    (interactions, feedback)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing_it_acknowledged_and_keeps_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let key = new_key(folder.path(), None);
    run_json(folder.path(), None, &["task", "create", "intent"]);
    let (mut interactions, mut feedback) = (Vec::new(), Vec::new());
    for round in 1..=KILLS {
        let mut server = Process::start(
            folder.path(),
            None,
            &["serve", "--listen", "127.0.0.1:0", "--no-worker"],
        );
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            clients.spawn(load(server.address.clone(), key.clone(), round, client));
        }
        // The moment of the kill differs from round to round.
        tokio::time::sleep(Duration::from_millis(60 + 17 * round as u64)).await;
        server.kill();
        while let Some(acknowledged) = clients.join_next().await {
            let (i, f) = acknowledged.unwrap();
            interactions.extend(i);
            feedback.extend(f);
        }
    }
    assert!(
        interactions.len() > KILLS,
        "the load was too light to show anything: {}",
        interactions.len()
    );
    let server = Process::start(
        folder.path(),
        None,
        &["serve", "--listen", "127.0.0.1:0", "--no-worker"],
    );
    for (path, acknowledged) in [("/v1/interactions", interactions), ("/v1/feedback", feedback)] {
        let stored = list_all(&server.address, &key, path).await;
        let distinct: HashSet<&String> = stored.iter().collect();
        assert_eq!(distinct.len(), stored.len(), "{path}: something is there twice");
        let lost: Vec<&String> = acknowledged.iter().filter(|id| !distinct.contains(id)).collect();
        assert!(
            lost.is_empty(),
            "{path}: {} of {} acknowledged are lost",
            lost.len(),
            acknowledged.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_training_is_followed_and_one_version_registered() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let key = new_key(data, None);
    run_json(data, None, &["import", "intent", &examples_file(data, 3_000)]);
    // Many small steps make the training long enough to be killed in the middle.
    let policy = r#"{"training":{"settings":{"tolerance":0.000000001,"max_epochs":10000}}}"#;
    run_json(data, None, &["task", "set", "intent", policy]);
    let server = Process::start(data, None, &["serve", "--listen", "127.0.0.1:0", "--no-worker"]);
    let http = reqwest::Client::new();
    let start = http
        .post(format!("{}/v1/tasks/intent/train", server.address))
        .bearer_auth(&key)
        .send();
    let run: Value = start.await.unwrap().json().await.unwrap();
    let run_id = run["run_id"].as_str().unwrap();

    let mut worker = Process::start(data, None, &["worker"]);
    let get = async |path: String| -> Value {
        http.get(format!("{}{path}", server.address))
            .bearer_auth(&key)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    wait_for(async || get(format!("/v1/runs/{run_id}")).await["status"] == "running").await;
    worker.kill();
    assert_eq!(
        get(format!("/v1/runs/{run_id}")).await["status"],
        "running",
        "it was killed in the middle"
    );
    // The next worker takes the job up when the killed one's lease has run out.
    let _next = Process::start(data, None, &["worker"]);
    wait_for(async || get(format!("/v1/runs/{run_id}")).await["status"] == "completed").await;
    let models = get("/v1/models?task=intent".to_owned()).await;
    assert_eq!(models["items"].as_array().unwrap().len(), 1, "{models}");
    let trainings = get("/v1/jobs".to_owned()).await;
    let trained: Vec<&Value> = trainings["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|job| job["kind"] == "TrainModel")
        .collect();
    assert_eq!(
        (trained.len(), &trained[0]["attempt"], &trained[0]["state"]),
        (1, &json!(2), &json!("succeeded"))
    );
}

async fn wait_for(mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(90), "waited too long");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
