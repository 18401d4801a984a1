//! What passes through: every endpoint, both ways untouched, with its record.

use hone_domain::RecordingContent;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_chat_passes_untouched_and_is_recorded_with_everything() {
    let (app, standin) = app().await;
    let body = r#"{"model":"openai/gpt-4o-mini", "x_unknown": {"kept": [1.0, 2.50]}, "seed": 12345678901234567890,
        "messages":[{"role":"user","content":[{"type":"text","text":"where is it"},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],
        "metadata":{"hone_conversation":"chat-7","hone_subject":"ann@example.org","mine":"1"}}"#;
    let response = app
        .request("/openai/v1/chat/completions")
        .header("content-type", "application/json")
        .header("x-hone-tags", "web, beta")
        .header("x-hone-action-type", "answer")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.headers()["x-request-id"],
        "req-1",
        "the provider's headers come back"
    );
    assert_eq!(response.headers()["x-hone-model"], "openai/gpt-4o-mini");
    let id = id_of(&response);
    let (status, reply) = json_of(response).await;
    assert_eq!(
        (status, &reply["x_unknown"]),
        (200, &json!({ "kept": [1.0, 2.50] }))
    );
    assert_eq!(reply["choices"][0]["message"]["content"], "echo: where is it");

    let asked = standin.asked().pop().unwrap();
    assert_eq!(asked.uri, "/v1/chat/completions");
    assert_eq!(asked.headers["authorization"], format!("Bearer {PROVIDER_KEY}"));
    assert!(
        asked
            .headers
            .keys()
            .all(|name| !name.as_str().starts_with("x-hone"))
    );
    assert!(
        asked.body.contains(r#""x_unknown":{"kept": [1.0, 2.50]}"#),
        "{}",
        asked.body
    );
    assert!(asked.body.contains("12345678901234567890"));
    assert!(asked.body.contains(r#""model":"gpt-4o-mini""#));
    assert!(
        asked.body.contains(r#""metadata":{"mine":"1"}"#),
        "{}",
        asked.body
    );

    let shown = recorded(&app, &id).await;
    assert_eq!(
        (&shown["status"], &shown["source"]),
        (&json!("ok"), &json!("model"))
    );
    assert_eq!(shown["model"], "openai/gpt-4o-mini");
    assert_eq!(shown["output"], "echo: where is it");
    assert_eq!(
        (&shown["tokens_input"], &shown["tokens_output"]),
        (&json!(12), &json!(5))
    );
    // 10 fresh input tokens at .15, 2 cached at .075, 5 output tokens at .60 USD a million: 4.65 millionths.
    assert_eq!(shown["cost_usd"], json!(5e-6));
    assert_eq!(
        (&shown["tags"], &shown["action_type"]),
        (&json!(["web", "beta"]), &json!("answer"))
    );
    assert!(shown["latency_ms"].as_f64().unwrap() > 0.0);
    assert!(shown["input"].as_str().unwrap().starts_with("where is it"));
    assert!(!shown.to_string().contains("ann@example.org") && shown["subject_id"].is_string());
    let (_, conversation) = app.get("/v1/conversations/chat-7").await;
    assert_eq!(conversation["interactions"][0]["id"], id);
}

#[tokio::test]
async fn a_streamed_chat_is_heard_and_its_tokens_are_counted_without_the_client_noticing() {
    let (app, standin) = app().await;
    let response = ask_chat(&app, &streamed(chat("gpt-4o-mini", "one two three")))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let id = id_of(&response);
    let text = response.text().await.unwrap();
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let last = events.last().unwrap();
    assert_eq!(
        (&last["choices"][0]["finish_reason"], &last["hone_interaction_id"]),
        (&json!("stop"), &json!(id))
    );
    assert!(
        events.iter().all(|event| event.get("usage").is_none()),
        "the count was not asked for by the client"
    );
    assert_eq!(
        standin.last_body()["stream_options"],
        json!({ "include_usage": true })
    );
    let shown = recorded(&app, &id).await;
    assert_eq!(
        (&shown["output"], &shown["tokens_output"]),
        (&json!("echo: one two three"), &json!(5))
    );
    assert!(shown["first_token_ms"].as_f64().unwrap() <= shown["latency_ms"].as_f64().unwrap());

    let mut counting = streamed(chat("gpt-4o-mini", "again"));
    counting["stream_options"] = json!({ "include_usage": true });
    let text = ask_chat(&app, &counting)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.contains("\"completion_tokens\":5"), "{text}");
}

#[rstest]
#[case::chat_tools("/openai/v1/chat/completions", json!({ "model": "tools", "messages": [], "tools": [] }), "find_parcel")]
#[case::responses("/openai/v1/responses", json!({ "model": "gpt-4o", "input": "hello" }), "echo: hello")]
#[case::messages("/anthropic/v1/messages", json!({ "model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{ "role": "user", "content": "hello" }] }), "echo: hello")]
#[case::messages_tools("/anthropic/v1/messages", json!({ "model": "tools", "max_tokens": 9, "messages": [], "tools": [] }), "find_parcel")]
#[tokio::test]
async fn every_protocol_is_heard_plain_and_streamed(
    #[case] path: &str,
    #[case] body: Value,
    #[case] said: &str,
) {
    let (app, _standin) = app().await;
    for body in [body.clone(), streamed(body)] {
        let is_streamed = body["stream"] == true;
        let response = app.request(path).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let id = id_of(&response);
        let text = response.text().await.unwrap();
        if is_streamed {
            assert!(
                text.contains(&format!("\"hone_interaction_id\":\"{id}\"")),
                "{text}"
            );
        }
        let shown = recorded(&app, &id).await;
        let heard = format!("{}{}", shown["output"], shown["reply"]);
        assert!(heard.contains(said), "streamed {is_streamed}: {shown}");
        assert_eq!(
            (&shown["status"], &shown["tokens_output"]),
            (&json!("ok"), &json!(5))
        );
        assert_eq!(shown["first_token_ms"].is_number(), is_streamed);
    }
}

#[tokio::test]
async fn embeddings_and_models_pass_too() {
    let (app, _standin) = app().await;
    let body = json!({ "model": "text-embedding-3-small", "input": ["a", "b"] });
    let response = app
        .request("/openai/v1/embeddings")
        .json(&body)
        .send()
        .await
        .unwrap();
    let id = id_of(&response);
    let (_, reply) = json_of(response).await;
    assert_eq!(reply["data"][0]["embedding"], json!([0.25, -0.5, 0.75]));
    assert_eq!(recorded(&app, &id).await["tokens_input"], 4);

    generate_task(&app, "answers", json!({})).await;
    let (status, models) = app.get("/openai/v1/models").await;
    let names: Vec<&str> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(status, 200);
    assert!(
        names.contains(&"task:answers") && names.contains(&"openai/gpt-4o-mini"),
        "{names:?}"
    );
    let (status, one) = app.get("/openai/v1/models/openai/gpt-4o-mini").await;
    assert_eq!((status, &one["object"]), (200, &json!("model")));
    assert_eq!(app.get("/openai/v1/models/openai/none").await.0, 404);
}

#[tokio::test]
async fn azure_is_asked_as_azure_wants_it() {
    let (app, standin) = app().await;
    let response = ask_chat(&app, &chat("azure/my-deployment", "hi"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let asked = standin.asked().pop().unwrap();
    assert_eq!(
        asked.uri,
        "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21"
    );
    assert_eq!(asked.headers["api-key"], PROVIDER_KEY);
    assert!(!asked.headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_task_records_as_its_policy_says() {
    let (app, _standin) = app().await;
    let routes = json!([{ "model": "openai/gpt-4o-mini" }]);
    for (name, recording) in [
        ("bare", json!({ "content": RecordingContent::Metadata })),
        ("never", json!({ "share": 0.0, "rest": "nothing" })),
        ("durable", json!({ "moment": "before_reply" })),
        ("private", json!({})),
    ] {
        generate_task(
            &app,
            name,
            json!({ "gateway": { "models": routes }, "recording": recording }),
        )
        .await;
    }
    let response = ask_chat(&app, &chat("task:bare", "my secret"))
        .send()
        .await
        .unwrap();
    let shown = recorded(&app, &id_of(&response)).await;
    assert_eq!(
        (&shown["input"], &shown["tokens_input"]),
        (&json!(""), &json!(12))
    );
    assert!(!shown.to_string().contains("secret"), "{shown}");

    let response = ask_chat(&app, &chat("task:never", "hi")).send().await.unwrap();
    assert!(!response.headers().contains_key("x-hone-interaction-id"));

    // The record is there with the reply, without waiting.
    for body in [chat("task:durable", "hi"), streamed(chat("task:durable", "hi"))] {
        let response = ask_chat(&app, &body).send().await.unwrap();
        let id = id_of(&response);
        response.bytes().await.unwrap();
        assert_eq!(app.get(&format!("/v1/interactions/{id}")).await.0, 200);
    }

    let opted_out = ask_chat(&app, &chat("task:private", "hi")).header("x-hone-opt-out", "true");
    let response = opted_out.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("x-hone-interaction-id"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (_, list) = app.get("/v1/interactions?task=private").await;
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn feedback_on_a_passed_request_finds_it() {
    let (app, _standin) = app().await;
    let response = ask_chat(&app, &chat("gpt-4o-mini", "hi")).send().await.unwrap();
    let id = id_of(&response);
    recorded(&app, &id).await;
    let (status, _) = app
        .post(
            "/v1/feedback",
            &json!({ "interaction_id": id, "kind": "thumb", "up": true }),
        )
        .await;
    assert_eq!(status, 201);
    assert_eq!(recorded(&app, &id).await["feedback"][0]["kind"], "thumb");
}
