//! A local classifier in front of an expensive model.

use hone_domain::ExampleOrigin;
use serde_json::{Value, json};

use super::*;

const INTENTS: [(&str, &str); 4] = [
    ("where is my parcel number", "order_status"),
    ("please refund the money for order", "refund"),
    ("cancel the subscription of account", "cancel"),
    ("the app crashes on device", "bug"),
];

/// A classify task with a trained classifier and a cascade that answers in JSON.
async fn cascade(app: &TestApp, shadow_share: f64) {
    let policy = json!({
        "gateway": { "models": [{ "model": "openai/gpt-4o-mini" }, { "model": "anthropic/claude", "order": 1 }] },
        "cascade": { "enabled": true, "max_error": 0.05, "shadow_share": shadow_share, "answer": "{\"intent\":\"{label}\"}" },
        "training": { "automatic": false },
        "curation": { "near_duplicates": 0.0 },
    });
    let policy = serde_json::from_value(policy).unwrap();
    let task = app
        .engine
        .create_task(app.project, "intent", TaskKind::Classify, policy, None)
        .await
        .unwrap();
    let examples: Vec<Value> = (0..1_200)
        .map(|number| {
            let (text, label) = INTENTS[number % 4];
            json!({ "input": format!("{text} {number}"), "label": label })
        })
        .collect();
    let examples = serde_json::from_value(json!(examples)).unwrap();
    app.engine
        .import_examples(&task, examples, ExampleOrigin::Imported)
        .await
        .unwrap();
    app.post("/v1/tasks/intent/train", &json!({})).await;
    app.run_jobs().await;
    let (_, shown) = app.get("/v1/tasks/intent").await;
    assert_eq!(shown["serving"], "1.0.0");
}

async fn ask(app: &TestApp, text: &str) -> (String, Value) {
    let response = ask_chat(app, &chat("task:intent", text)).send().await.unwrap();
    let model = response.headers()["x-hone-model"].to_str().unwrap().to_owned();
    let id = id_of(&response);
    let (status, reply) = json_of(response).await;
    assert_eq!(status, 200, "{reply}");
    recorded(app, &id).await;
    app.clock.advance_us(1_000);
    (model, reply)
}

#[tokio::test]
async fn the_classifier_answers_what_it_is_certified_for_and_passes_on_the_rest() {
    let (app, standin) = app().await;
    cascade(&app, 0.0).await;
    let passed = "answer exactly: {\"intent\": \"greeting\"}";
    let (model, reply) = ask(&app, passed).await;
    assert_eq!(model, "openai/gpt-4o-mini", "{reply}");
    let (model, reply) = ask(&app, "please refund the money for order 77").await;
    assert_eq!(model, "task:intent/1.0.0");
    assert_eq!(
        reply["choices"][0]["message"]["content"],
        "{\"intent\":\"refund\"}"
    );
    assert_eq!(standin.asked().len(), 1);
    let (_, list) = app.get("/v1/interactions?task=intent").await;
    let (local, passed) = (&list["items"][0], &list["items"][1]);
    assert_eq!(
        (&local["label"], &passed["label"]),
        (&json!("refund"), &json!("greeting"))
    );
    assert!(local["model_version_id"].is_string() && passed["model_version_id"].is_null());

    let (_, standing) = app.get("/v1/tasks/intent/cascade").await;
    assert_eq!(
        (&standing["answered"], &standing["passed_on"]),
        (&json!(1), &json!(1)),
        "{standing}"
    );
    // What the one passed request used is what the one answered request is taken to save.
    assert_eq!(standing["saved_tokens"], 17);
    assert!(standing["certified"]["threshold"].as_f64().unwrap() < 1.0);

    // The answer of the model behind is learned from, though nobody said anything of it.
    app.run_jobs().await;
    let (_, examples) = app.get("/v1/examples?task=intent&label=greeting").await;
    let example = &examples["items"][0];
    assert_eq!(
        (&example["status"], &example["is_validated"]),
        (&json!("approved"), &json!(false)),
        "{examples}"
    );
    assert!(example["reason"].as_str().unwrap().contains("openai/gpt-4o-mini"));
}

#[tokio::test]
async fn a_shadowed_answer_measures_the_disagreement() {
    let (app, standin) = app().await;
    cascade(&app, 1.0).await;
    let (model, _) = ask(
        &app,
        "please refund the money answer exactly: {\"intent\":\"cancel\"}",
    )
    .await;
    assert_eq!((model.as_str(), standin.asked().len()), ("openai/gpt-4o-mini", 1));
    let (_, standing) = app.get("/v1/tasks/intent/cascade").await;
    assert_eq!(
        (&standing["shadowed"], &standing["disagreed"]),
        (&json!(1), &json!(1)),
        "{standing}"
    );
    assert_eq!(standing["disagreement"]["high"], 1.0);
    // Once the disagreement is certain, the version answers no more.
    for _ in 0..5 {
        ask(
            &app,
            "please refund the money answer exactly: {\"intent\":\"cancel\"}",
        )
        .await;
    }
    let (_, standing) = app.get("/v1/tasks/intent/cascade").await;
    assert_eq!(standing["is_contradicted"], true, "{standing}");
}

#[tokio::test]
async fn a_local_answer_is_streamed_in_every_protocol() {
    let (app, standin) = app().await;
    cascade(&app, 0.0).await;
    let text = "where is my parcel number 5";
    for (path, body, last) in [
        ("/openai/v1/chat/completions", chat("task:intent", text), "[DONE]"),
        (
            "/openai/v1/responses",
            json!({ "model": "task:intent", "input": text }),
            "response.completed",
        ),
        (
            "/anthropic/v1/messages",
            json!({ "model": "task:intent", "max_tokens": 9, "messages": [{ "role": "user", "content": text }] }),
            "message_stop",
        ),
    ] {
        let response = app
            .request(path)
            .json(&streamed(body.clone()))
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream", "{path}");
        let events = response.text().await.unwrap();
        assert!(
            events.contains("order_status") && events.contains(last),
            "{events}"
        );
        let (status, reply) = json_of(app.request(path).json(&body).send().await.unwrap()).await;
        assert!(
            status == 200 && reply.to_string().contains("order_status"),
            "{reply}"
        );
    }
    assert!(standin.asked().is_empty());
}
