//! Sending the same request twice does once.

use hone_testkit::TestApp;
use rstest::rstest;
use serde_json::{Value, json};

use crate::desk::{LABELS, correct, versions};

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn every_post_can_be_repeated_with_its_key(#[values("sqlite", "postgres")] kind: &str) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    let twice = async |key: &str, path: &str, body: Value| {
        let (first, second) = (
            app.post_once(key, path, &body).await,
            app.post_once(key, path, &body).await,
        );
        assert!(first.0 < 300 && second.0 < 300, "{path}: {first:?} {second:?}");
        (first.1, second.1)
    };
    let (a, b) = twice("a", "/v1/tasks", json!({ "name": "second", "kind": "classify" })).await;
    assert_eq!(a, b);
    let examples: Vec<Value> = (0..30)
        .map(|number| {
            let (label, text) = LABELS[number % 3];
            json!({ "input": format!("{text} {number}"), "label": label })
        })
        .collect();
    let (a, b) = twice(
        "b",
        "/v1/examples",
        json!({ "task": "intent", "examples": examples }),
    )
    .await;
    assert_eq!(a, b);
    let (_, list) = app.get("/v1/examples?task=intent&limit=500").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 30);
    app.run_jobs().await;
    let (a, b) = twice("c", "/v1/datasets", json!({ "task": "intent" })).await;
    assert_eq!(a["id"], b["id"]);
    let (a, b) = twice("d", "/v1/tasks/intent/train", json!({ "settings": { "c": 0.5 } })).await;
    assert_eq!(a, b);
    app.run_jobs().await;
    assert_eq!(versions(&app).await.len(), 2, "one by the trigger, one by hand");
    let (a, b) = twice(
        "e",
        "/v1/deployments",
        json!({ "task": "intent", "version": "1.0.0" }),
    )
    .await;
    assert_eq!(a, b);
    let id = a["id"].as_str().unwrap();
    let (a, b) = twice("f", &format!("/v1/deployments/{id}/rollback"), json!({})).await;
    assert_eq!(a, b);
    let (a, b) = twice(
        "g",
        "/v1/classify",
        json!({ "task": "intent", "texts": ["my parcel", "my money"] }),
    )
    .await;
    assert_eq!(a, b);
    let lines = "{\"task\":\"intent\",\"input\":\"a\"}\n{\"task\":\"intent\",\"input\":\"b\"}\n";
    let http = reqwest::Client::new();
    let stream = async || {
        let request = http
            .post(format!("{}/v1/interactions", app.address))
            .header("idempotency-key", "h")
            .header("content-type", "application/x-ndjson");
        let response = request.bearer_auth(&app.key).body(lines).send().await.unwrap();
        response.json::<Value>().await.unwrap()
    };
    assert_eq!(stream().await["recorded"], 2);
    assert_eq!(stream().await["duplicates"], 2);
    let (_, list) = app.get("/v1/interactions?task=intent").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_used_for_something_else_is_refused() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    correct(&app, 60, 0).await;
    app.run_jobs().await;
    for (path, first, other) in [
        (
            "/v1/tasks",
            json!({ "name": "a", "kind": "classify" }),
            json!({ "name": "b", "kind": "classify" }),
        ),
        (
            "/v1/tasks/intent/train",
            json!({ "settings": { "c": 0.5 } }),
            json!({ "settings": { "c": 0.7 } }),
        ),
        (
            "/v1/classify",
            json!({ "task": "intent", "text": "my parcel" }),
            json!({ "task": "intent", "text": "my money" }),
        ),
        (
            "/v1/examples",
            json!({ "task": "intent", "examples": [{ "input": "one", "label": "order" }] }),
            json!({ "task": "intent", "examples": [{ "input": "two", "label": "order" }] }),
        ),
    ] {
        let status = app.post_once("key", path, &first).await.0;
        assert!(status < 300, "{path}: {status}");
        let (status, problem) = app.post_once("key", path, &other).await;
        assert!(status == 409 || status == 422, "{path}: {status} {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains("another"),
            "{path}: {problem}"
        );
    }
}
