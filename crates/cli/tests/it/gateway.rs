//! The gateway in the real binary: what a crash costs, what it says of itself.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use hone_testkit::StandIn;
use rstest::rstest;
use serde_json::json;

use crate::support::{Process, get_json, list_all, new_key, run_json};

const CLIENTS: usize = 16;
const KILLS: usize = 3;
/// Records that may be at risk, with room for a busy machine on which a client sees its answer late.
const AT_RISK: Duration = Duration::from_millis(20 + 250);

fn configure(folder: &Path, standin: &StandIn, more: &str) {
    let provider = format!(
        "[gateway.providers.openai]\nkind = \"openai\"\nbase_url = \"{}/v1\"\n",
        standin.address
    );
    std::fs::write(folder.join("hone.toml"), provider + more).unwrap();
}

/// Asks until the server is gone; gives the interactions that were answered, with the time of each answer.
async fn ask(address: String, key: String) -> Vec<(String, Instant)> {
    let http = reqwest::Client::new();
    let body = json!({ "model": "task:answers", "messages": [{ "role": "user", "content": "hello" }] });
    let mut answered = Vec::new();
    loop {
        let request = http
            .post(format!("{address}/openai/v1/chat/completions"))
            .bearer_auth(&key)
            .json(&body);
        let Ok(response) = request.send().await else {
            return answered;
        };
        let id = response.headers()["x-hone-interaction-id"]
            .to_str()
            .unwrap()
            .to_owned();
        if response.bytes().await.is_err() {
            return answered;
        }
        answered.push((id, Instant::now()));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_under_load_loses_no_more_than_the_policy_says(
    #[values("after_reply", "before_reply")] moment: &str,
) {
    let (folder, standin) = (tempfile::tempdir().unwrap(), StandIn::start().await);
    configure(folder.path(), &standin, "");
    let key = new_key(folder.path(), None);
    let policy =
        json!({ "recording": { "moment": moment }, "gateway": { "models": [{ "model": "openai/m" }] } });
    let create = [
        "task",
        "create",
        "answers",
        "--kind",
        "generate",
        "--policy",
        &policy.to_string(),
    ];
    run_json(folder.path(), None, &create);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--no-worker"];
    let mut answered = Vec::new();
    for _ in 0..KILLS {
        let mut server = Process::start(folder.path(), None, &serve);
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(ask(server.address.clone(), key.clone()));
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.kill();
        answered.push(clients.join_all().await.concat());
    }
    let server = Process::start(folder.path(), None, &serve);
    let recorded: HashSet<String> = list_all(&server.address, &key, "/v1/interactions")
        .await
        .into_iter()
        .collect();
    for round in answered {
        assert!(round.len() > CLIENTS, "there was load");
        let lost = round
            .iter()
            .filter(|(id, _)| !recorded.contains(id))
            .map(|(_, at)| *at);
        let lost: Vec<Instant> = lost.collect();
        if moment == "before_reply" {
            assert!(
                lost.is_empty(),
                "{} of {} answers are not recorded",
                lost.len(),
                round.len()
            );
        }
        let span = lost
            .iter()
            .max()
            .zip(lost.iter().min())
            .map_or(Duration::ZERO, |(last, first)| *last - *first);
        assert!(
            span <= AT_RISK,
            "answers of {span:?} are lost: {} of {}",
            lost.len(),
            round.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_traces_tell_of_requests_and_of_no_key() {
    let (folder, standin) = (tempfile::tempdir().unwrap(), StandIn::start().await);
    // One instance takes the traces of the other, over OTLP.
    let collector_folder = tempfile::tempdir().unwrap();
    let collector_key = new_key(collector_folder.path(), None);
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let collector = Process::start(collector_folder.path(), None, &serve);
    let telemetry = format!(
        "[telemetry]\notlp_endpoint = \"{}/otlp/v1/traces\"\notlp_headers = {{ authorization = \"Bearer {collector_key}\" }}\n",
        collector.address
    );
    configure(folder.path(), &standin, &telemetry);
    let key = new_key(folder.path(), None);
    let server = Process::start(folder.path(), None, &serve);
    let http = reqwest::Client::new();
    for model in ["openai/gpt-4o-mini", "openai/refusing", "task:none"] {
        let body =
            json!({ "model": model, "messages": [{ "role": "user", "content": "a secret question" }] });
        let request = http
            .post(format!("{}/openai/v1/chat/completions", server.address))
            .bearer_auth(&key)
            .json(&body);
        request.send().await.unwrap().bytes().await.unwrap();
    }
    let url = format!("{}/openai/v1/chat/completions", server.address);
    http.post(url).bearer_auth("hone_wrong").send().await.unwrap();
    let metrics = async {
        loop {
            let url = format!("{}/metrics", server.address);
            let metrics = http.get(url).send().await.unwrap().text().await.unwrap();
            // The records are committed a moment later.
            if metrics.contains("hone_recorder_commit_seconds_bucket") {
                return metrics;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let metrics = tokio::time::timeout(Duration::from_mins(1), metrics)
        .await
        .unwrap();
    for line in [
        "hone_gateway_requests_total{endpoint=\"chat_completions\",provider=\"openai\",outcome=\"ok\"} 1",
        "hone_gateway_requests_total{endpoint=\"chat_completions\",provider=\"openai\",outcome=\"error\"} 1",
        "hone_gateway_refusals_total{endpoint=\"chat_completions\",kind=\"not_found\"} 1",
        "hone_gateway_refusals_total{endpoint=\"chat_completions\",kind=\"invalid_api_key\"} 1",
        "hone_gateway_tokens_total{provider=\"openai\",direction=\"input\"} 12",
        "hone_recorder_queue_bytes",
        "hone_gateway_upstream_seconds_bucket",
        "hone_jobs_due",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    for family in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().unwrap();
        let help = format!("# HELP {name} ");
        assert!(metrics.contains(&help), "{name} is not explained");
    }
    assert!(!metrics.contains("secret") && !metrics.contains(&key));

    // Spans are sent every five seconds; the collector makes interactions of those that ask a model.
    let seen = async {
        loop {
            let url = format!("{}/v1/interactions?task=otlp", collector.address);
            let page = get_json(&http, url, &collector_key).await;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            if items.len() >= 2 {
                return items;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_mins(1), seen).await.unwrap();
    let ok = seen.iter().find(|item| item["status"] == "ok").unwrap();
    assert_eq!(
        (&ok["model"], &ok["tokens_input"]),
        (&json!("openai/gpt-4o-mini"), &json!(12))
    );
    assert!(
        seen.iter().any(|item| item["error"] == "provider_400"),
        "{seen:?}"
    );
    assert!(
        !json!(seen).to_string().contains("secret"),
        "texts do not leave by traces"
    );
}
