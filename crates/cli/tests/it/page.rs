//! The first page in a real browser: Debian's chromium, driven through chromedriver.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Process, examples_file, new_key, run, run_json};
use fantoccini::{ClientBuilder, Locator};
use serde_json::json;

struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_driver() -> Option<(Driver, u16)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut command = Command::new("chromedriver");
    command
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        println!("skipped: no chromedriver; scripts/test installs it");
        return None;
    };
    Some((Driver(child), port))
}

async fn browser(port: u16, profile: &std::path::Path) -> fantoccini::Client {
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ];
    let mut arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    let mut capabilities = serde_json::Map::new();
    capabilities.insert("goog:chromeOptions".to_owned(), json!({ "args": arguments }));
    for _ in 0..100 {
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities.clone());
        if let Ok(client) = builder.connect(&format!("http://127.0.0.1:{port}")).await {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the browser does not start");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_curve_versions_and_interactions_and_keeps_up() {
    let Some((_driver, port)) = start_driver() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let key = new_key(data, None);
    run_json(data, None, &["import", "intent", &examples_file(data, 150)]);
    run_json(data, None, &["train", "intent"]);
    run(
        data,
        None,
        &[
            "train",
            "intent",
            "--settings",
            r#"{"features":"words","max_features":1,"word_ngrams":[1,1]}"#,
        ],
    );
    let server = Process::start(data, None, &["serve", "--listen", "127.0.0.1:0"]);
    let client = browser(port, &data.join("profile")).await;
    client.goto(&server.address).await.unwrap();
    client
        .wait()
        .for_element(Locator::Css("#task-intent .u-wrap canvas"))
        .await
        .unwrap();
    let text = async |css: &str| {
        client
            .find(Locator::Css(css))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    assert_eq!(text("#task-intent .serving").await, "1.0.0");
    let versions = text("#task-intent .versions").await;
    assert!(
        versions.contains("refused") && versions.contains("live"),
        "{versions}"
    );

    // What happens now appears without reloading.
    let http = reqwest::Client::new();
    let post = async |path: &str, body: serde_json::Value| -> serde_json::Value {
        let request = http
            .post(format!("{}{path}", server.address))
            .bearer_auth(&key)
            .json(&body);
        request.send().await.unwrap().json().await.unwrap()
    };
    let answer = post(
        "/v1/classify",
        json!({ "task": "intent", "text": "<b>where</b> is my parcel" }),
    )
    .await;
    let id = &answer["predictions"][0]["interaction_id"];
    post(
        "/v1/feedback",
        json!({ "interaction_id": id, "kind": "correction", "label": "order" }),
    )
    .await;
    let row = Locator::XPath("//table[contains(@class,'interactions')]//td[contains(., '<b>where</b>')]");
    client
        .wait()
        .at_most(Duration::from_secs(10))
        .for_element(row)
        .await
        .unwrap();
    let interactions = text("#task-intent .interactions").await;
    assert!(interactions.contains("confirmed order"), "{interactions}");
    client.close().await.unwrap();
}
