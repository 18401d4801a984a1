//! Discovery: topics with names and rates, failures that come again, topics without a label.

use hone_testkit::TestApp;
use serde_json::{Value, json};

use crate::desk::correct;

const FILLERS: [&str; 8] = [
    "please",
    "today",
    "quickly",
    "thank you",
    "for me",
    "as soon as you can",
    "if possible",
    "again",
];

async fn ask(app: &TestApp, number: usize, text: &str, label: &str) -> String {
    let input = format!("{} {text} {}", FILLERS[number % 8], FILLERS[(number / 8 + 3) % 8]);
    let new = json!({ "task": "intent", "input": input, "label": label });
    let (status, body) = app.post("/v1/interactions", &new).await;
    assert_eq!(status, 201, "{body}");
    app.clock.advance_us(1_000_000);
    body["id"].as_str().unwrap().to_owned()
}

async fn discovered(app: &TestApp) -> Value {
    let (status, _) = app.post("/v1/tasks/intent/topics", &json!({})).await;
    assert_eq!(status, 202);
    app.run_jobs().await;
    let (status, found) = app.get("/v1/tasks/intent/topics").await;
    assert_eq!(status, 200, "{found}");
    found
}

#[tokio::test]
async fn topics_have_names_sizes_and_rates() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    assert_eq!(app.get("/v1/tasks/intent/topics").await.0, 404);
    for number in 0..40 {
        let id = ask(&app, number, "where is the parcel that I ordered", "order").await;
        let thumb = json!({ "interaction_id": id, "kind": "thumb", "up": number % 4 != 0 });
        app.post("/v1/feedback", &thumb).await;
    }
    for number in 0..20 {
        ask(
            &app,
            number,
            "how can I reset the password of my account",
            "login",
        )
        .await;
    }
    let found = discovered(&app).await;
    assert_eq!(found["requests"], 60);
    let topics = found["topics"].as_array().unwrap();
    assert_eq!(topics.len(), 2, "{found}");
    let (parcel, password) = (&topics[0], &topics[1]);
    assert_eq!(
        (parcel["size"].as_u64(), password["size"].as_u64()),
        (Some(40), Some(20))
    );
    assert!(
        parcel["name"].as_str().unwrap().contains("parcel"),
        "{}",
        parcel["name"]
    );
    assert!(password["medoid"]["input"].as_str().unwrap().contains("password"));
    assert_eq!(
        (parcel["approval_rate"].as_f64(), parcel["judged"].as_u64()),
        (Some(0.75), Some(40))
    );
    assert!(password["approval_rate"].is_null());
    assert_eq!(parcel["labels"][0], json!(["order", 40]));
    assert!(parcel["growth"].as_f64().unwrap() < 1.0, "asked first: {parcel}");
    assert!(password["growth"].is_null(), "asked in the later half alone");
    // Disliked again and again.
    let failures = found["failures"].as_array().unwrap();
    assert_eq!(
        (failures[0]["kind"].as_str(), failures[0]["count"].as_u64()),
        (Some("disliked"), Some(10))
    );
    assert_eq!(
        app.post("/v1/tasks/intent/topics?days=0", &json!({})).await.0,
        422
    );
}

#[tokio::test]
async fn a_label_taken_for_another_again_and_again_is_a_pattern() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    for number in 0..5 {
        let id = ask(&app, number, "give my money back", "order").await;
        let correction = json!({ "interaction_id": id, "kind": "correction", "label": "refund" });
        app.post("/v1/feedback", &correction).await;
    }
    let found = discovered(&app).await;
    let pattern = &found["failures"][0];
    assert_eq!(pattern["what"], "refund is taken for order", "{found}");
    assert_eq!(
        (
            pattern["count"].as_u64(),
            pattern["examples"].as_array().map(Vec::len)
        ),
        (Some(5), Some(3))
    );
}

#[tokio::test]
async fn what_no_label_is_for_is_found_among_the_requests() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    correct(&app, 400, 0).await;
    app.run_jobs().await;
    assert_eq!(app.get("/v1/tasks/intent").await.1["serving"], "1.0.0");
    for number in 0..24 {
        ask(
            &app,
            number,
            "which vegetarian dishes does the canteen offer",
            "order",
        )
        .await;
    }
    let found = discovered(&app).await;
    let without = found["without_label"].as_array().unwrap();
    assert!(!without.is_empty(), "{found}");
    assert!(
        without[0]["medoid"]["input"]
            .as_str()
            .unwrap()
            .contains("canteen"),
        "{}",
        without[0]
    );
    assert!(without[0]["size"].as_u64().unwrap() >= 20);
}
