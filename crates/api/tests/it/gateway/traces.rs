//! Traces of model calls that went another way.

use serde_json::{Value, json};

use super::*;

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

#[tokio::test]
async fn spans_become_interactions_once_and_evaluations_feedback() {
    let (app, _standin) = app().await;
    generate_task(&app, "assist", json!({})).await;
    let span = json!({ "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
        "startTimeUnixNano": "1760000000000000000", "endTimeUnixNano": "1760000000250000000",
        "attributes": [text("gen_ai.operation.name", "chat"), text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", "gpt-4o-mini"),
            text("gen_ai.input.messages", r#"[{"role":"user","parts":[{"type":"text","content":"Hi?"}]}]"#),
            text("gen_ai.output.messages", r#"[{"role":"assistant","parts":[{"type":"text","content":"Hello."}]}]"#),
            json!({ "key": "gen_ai.usage.input_tokens", "value": { "intValue": "1000000" } }),
            json!({ "key": "gen_ai.usage.output_tokens", "value": { "intValue": 0 } })],
        "events": [{ "name": "gen_ai.evaluation.result", "attributes": [text("gen_ai.evaluation.name", "relevance"),
            json!({ "key": "gen_ai.evaluation.score.value", "value": { "doubleValue": 0.5 } })] }] });
    let request = json!({ "resourceSpans": [{ "resource": { "attributes": [text("hone.task", "assist")] },
        "scopeSpans": [{ "spans": [span] }] }] });
    for _ in 0..2 {
        assert_eq!(app.post("/otlp/v1/traces", &request).await, (200, json!({})));
    }
    let (_, list) = app.get("/v1/interactions?task=assist").await;
    assert_eq!(
        list["items"].as_array().unwrap().len(),
        1,
        "a span that comes again changes nothing"
    );
    let id = list["items"][0]["id"].as_str().unwrap();
    let shown = recorded(&app, id).await;
    assert_eq!(
        (&shown["input"], &shown["output"], &shown["latency_ms"]),
        (&json!("Hi?"), &json!("Hello."), &json!(250.0))
    );
    assert_eq!(shown["cost_usd"], 0.15, "by the price table");
    assert_eq!(
        (&shown["feedback"][0]["name"], &shown["feedback"][0]["value"]),
        (&json!("relevance"), &json!(0.5))
    );
}

#[tokio::test]
async fn what_is_no_export_is_refused() {
    let (app, _standin) = app().await;
    for (content_type, body, said) in [
        ("application/json", "[]", "no ExportTraceServiceRequest"),
        (
            "application/x-protobuf",
            "{\"a\":1}",
            "no ExportTraceServiceRequest",
        ),
        ("text/plain", "x", "content-type text/plain is not taken"),
    ] {
        let (status, reply) = app.post_raw("/otlp/v1/traces", content_type, body).await;
        assert_eq!(status, 400, "{reply}");
        assert!(
            reply["error"]["message"].as_str().unwrap().contains(said),
            "{reply}"
        );
    }
    assert_eq!(
        app.post_raw("/otlp/v1/traces", "application/x-protobuf", "")
            .await
            .0,
        200,
        "an empty export is none"
    );
}

#[tokio::test]
async fn a_task_that_records_nothing_records_no_spans() {
    let (app, _standin) = app().await;
    generate_task(&app, "quiet", json!({ "recording": { "content": "nothing" } })).await;
    let span = json!({ "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
        "attributes": [text("gen_ai.operation.name", "chat"), text("gen_ai.prompt", "secret")] });
    let request = json!({ "resourceSpans": [{ "resource": { "attributes": [text("hone.task", "quiet")] },
        "scopeSpans": [{ "spans": [span] }] }] });
    assert_eq!(app.post("/otlp/v1/traces", &request).await.0, 200);
    assert_eq!(app.get("/v1/interactions?task=quiet").await.1["items"], json!([]));
}

#[tokio::test]
async fn a_person_who_opted_out_leaves_no_span() {
    let (app, _standin) = app().await;
    generate_task(&app, "assist", json!({})).await;
    let spans = [
        ("eee19b7ec3c1b174", json!({ "boolValue": false })),
        ("eee19b7ec3c1b175", json!({ "boolValue": true })),
        // What is neither yes nor no counts as yes.
        ("eee19b7ec3c1b176", json!({ "stringValue": "Yes, please" })),
    ]
    .map(|(id, said)| {
        json!({ "traceId": "5b8efff798038103d269b633813fc60c", "spanId": id,
            "attributes": [text("gen_ai.operation.name", "chat"), text("gen_ai.prompt", id), text("hone.task", "assist"),
                json!({ "key": "hone.opt_out", "value": said })] })
    });
    let request = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] });
    assert_eq!(app.post("/otlp/v1/traces", &request).await.0, 200);
    let (_, list) = app.get("/v1/interactions?task=assist").await;
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{list}");
    assert_eq!(items[0]["input"], "eee19b7ec3c1b174");
}
