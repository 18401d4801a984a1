//! A desk whose messages people label: what the other tests need of the loop.

use hone_testkit::TestApp;
use serde_json::{Value, json};

/// Three labels, each with a text.
pub(crate) const LABELS: [(&str, &str); 3] = [
    ("order", "where is my parcel"),
    ("refund", "give my money back"),
    ("login", "reset the password"),
];

/// Sends `count` messages that a person labels.
pub(crate) async fn correct(app: &TestApp, count: usize, offset: usize) {
    for number in offset..offset + count {
        let (label, text) = LABELS[number % 3];
        let new = json!({ "task": "intent", "input": format!("{text} {:x} number {number}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)), "label": "unknown" });
        let (_, body) = app.post("/v1/interactions", &new).await;
        let correction = json!({ "interaction_id": body["id"], "kind": "correction", "label": label });
        assert_eq!(app.post("/v1/feedback", &correction).await.0, 201);
    }
}

/// The versions of the task with their stages, latest first.
pub(crate) async fn versions(app: &TestApp) -> Vec<(String, String)> {
    let (_, models) = app.get("/v1/models?task=intent").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    models["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| (text(&model["version"]), text(&model["stage"])))
        .collect()
}

/// Asks the model; gives status and answer.
pub(crate) async fn classify(app: &TestApp, text: &str) -> (u16, Value) {
    app.post("/v1/classify", &json!({ "task": "intent", "text": text }))
        .await
}
