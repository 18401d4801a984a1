//! Two servers and two workers on one PostgreSQL: what one deploys the other serves within a second.

use std::time::{Duration, Instant};

use crate::support::{Process, examples_file, new_key, run_json};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_reaches_both_servers_within_a_second_and_no_job_runs_twice() {
    let Some(url) = hone_testkit::postgres_url() else {
        return;
    };
    let database = Some(url.as_str());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let key = new_key(data, database);
    run_json(data, database, &["import", "intent", &examples_file(data, 120)]);
    run_json(data, database, &["train", "intent"]);
    run_json(data, database, &["train", "intent", "--settings", r#"{"c":0.5}"#]);
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let servers = [
        Process::start(data, database, &serve),
        Process::start(data, database, &serve),
    ];
    let _workers = [
        Process::start(data, database, &["worker"]),
        Process::start(data, database, &["worker"]),
    ];
    let http = reqwest::Client::new();
    let serving = async |server: &Process| -> String {
        let body = json!({ "task": "intent", "text": "where is my parcel" });
        let post = http
            .post(format!("{}/v1/classify", server.address))
            .bearer_auth(&key)
            .json(&body)
            .send();
        let answer: Value = post.await.unwrap().json().await.unwrap();
        answer["model_version"].as_str().unwrap().to_owned()
    };
    for server in &servers {
        assert_eq!(serving(server).await, "1.1.0");
    }
    let body = json!({ "task": "intent", "version": "1.0.0" });
    let deploy = http
        .post(format!("{}/v1/deployments", servers[0].address))
        .bearer_auth(&key)
        .json(&body)
        .send();
    assert_eq!(deploy.await.unwrap().status(), 201);
    let deployed = Instant::now();
    assert_eq!(serving(&servers[0]).await, "1.0.0");
    while serving(&servers[1]).await != "1.0.0" {
        assert!(
            deployed.elapsed() < Duration::from_secs(1),
            "the other server has not heard of it"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Ten trainings, four processes that run jobs: each runs once.
    for _ in 0..10 {
        let train = http
            .post(format!("{}/v1/tasks/intent/train", servers[1].address))
            .bearer_auth(&key)
            .send();
        assert_eq!(train.await.unwrap().status(), 202);
    }
    let list = async || -> Vec<Value> {
        let get = http
            .get(format!("{}/v1/jobs?limit=200", servers[0].address))
            .bearer_auth(&key)
            .send();
        get.await.unwrap().json::<Value>().await.unwrap()["items"]
            .as_array()
            .unwrap()
            .clone()
    };
    let start = Instant::now();
    loop {
        let jobs = list().await;
        if jobs.iter().all(|job| job["state"] == "succeeded") && jobs.len() >= 24 {
            assert!(jobs.iter().all(|job| job["attempt"] == 1), "{jobs:?}");
            break;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{jobs:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let get = http
        .get(format!("{}/v1/models?task=intent&limit=100", servers[0].address))
        .bearer_auth(&key)
        .send();
    let models: Value = get.await.unwrap().json().await.unwrap();
    assert_eq!(models["items"].as_array().unwrap().len(), 12);
    // All the while one of the four processes led: the lease never changed hands, which would have raised its token.
    let token = std::process::Command::new("psql")
        .args([
            url.as_str(),
            "-tAc",
            "SELECT string_agg(token::text, ',') FROM leases WHERE name = 'scheduler'",
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&token.stdout).trim(), "1");
}
