//! How it ends when it does not end well: the client gets what its SDK understands, the record says what happened,
//! nothing leaks or hangs.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// Policies of a task whose models are these, with short waits.
fn impatient(models: &[&str]) -> Value {
    let models: Vec<Value> = models
        .iter()
        .enumerate()
        .map(|(order, model)| json!({ "model": model, "order": order }))
        .collect();
    json!({ "gateway": { "models": models, "backoff_ms": 1, "first_token_timeout_ms": 300, "total_timeout_ms": 1500 } })
}

#[rstest]
#[case::rate_limited("rate-limited", 429, "rate_limit_exceeded", "provider_429")]
#[case::failing("failing", 500, "server_error", "provider_500")]
#[case::refusing("refusing", 400, "invalid_request_error", "provider_400")]
#[case::broken("broken-json", 502, "bad_reply", "bad_reply")]
#[case::page("page", 502, "bad_reply", "bad_reply")]
#[case::compressed("compressed", 502, "bad_reply", "bad_reply")]
#[case::silent("silent", 504, "timeout", "timeout")]
#[case::endless("endless", 502, "bad_reply", "bad_reply")]
#[tokio::test]
async fn an_error_arrives_as_the_sdk_understands_it(
    #[case] model: &str,
    #[case] status: u16,
    #[case] code: &str,
    #[case] recorded_as: &str,
    #[values(false, true)] is_streamed: bool,
) {
    let standin = StandIn::start().await;
    let settings = GatewaySettings {
        max_reply_bytes: 1 << 20,
        ..settings(&standin)
    };
    let app = TestApp::with_providers(sqlite().await, &EngineSettings::default(), settings).await;
    generate_task(&app, "answers", impatient(&[&format!("openai/{model}")])).await;
    let mut body = chat("task:answers", "hi");
    body["stream"] = json!(is_streamed);
    let response = ask_chat(&app, &body).send().await.unwrap();
    let id = id_of(&response);
    if model == "rate-limited" {
        assert_eq!(response.headers()["retry-after"], "30");
    }
    if is_streamed && model == "endless" {
        let text = response.text().await.unwrap();
        assert!(
            text.contains("\"code\":\"bad_reply\""),
            "the stream ends with an error"
        );
    } else {
        assert!(!response.headers().contains_key("content-encoding"));
        let (given, reply) = json_of(response).await;
        assert_eq!(
            (given, reply["error"]["code"].as_str()),
            (status, Some(code)),
            "{reply}"
        );
        assert!(
            !reply.to_string().contains(&standin.address),
            "no address of the provider: {reply}"
        );
    }
    let shown = recorded(&app, &id).await;
    assert_eq!(
        (&shown["status"], &shown["error"]),
        (&json!("error"), &json!(recorded_as)),
        "{shown}"
    );
    if recorded_as.starts_with("provider_") {
        assert_eq!(
            shown["reply"]["error"]["code"], code,
            "what the provider said: {shown}"
        );
    }
    assert_eq!(standin.open_streams(), 0);
}

#[tokio::test]
async fn a_provider_that_repeats_its_key_does_not_show_it() {
    let (app, standin) = app().await;
    let response = ask_chat(&app, &chat("telling-the-key", "hi"))
        .send()
        .await
        .unwrap();
    let id = id_of(&response);
    let (status, reply) = json_of(response).await;
    assert_eq!(status, 401);
    assert!(
        reply.to_string().contains("wrong key: Some(\\\"Bearer …\\\")"),
        "{reply}"
    );
    let shown = recorded(&app, &id).await;
    assert!(!shown.to_string().contains(PROVIDER_KEY) && !reply.to_string().contains(PROVIDER_KEY));
    assert_eq!(standin.asked().len(), 1);
}

#[tokio::test]
async fn a_model_is_asked_again_and_then_the_next_one() {
    let (app, standin) = app().await;
    generate_task(&app, "again", impatient(&["openai/failing-once"])).await;
    let response = ask_chat(&app, &chat("task:again", "hi")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), standin.asked().len()), (200, 2));

    generate_task(
        &app,
        "next",
        impatient(&["openai/failing", "gone/any", "openai/silent", "anthropic/claude"]),
    )
    .await;
    let response = ask_chat(&app, &chat("task:next", "hi")).send().await.unwrap();
    assert_eq!(response.headers()["x-hone-model"], "anthropic/claude");
    let id = id_of(&response);
    let shown = recorded(&app, &id).await;
    assert_eq!(
        (&shown["model"], &shown["status"]),
        (&json!("anthropic/claude"), &json!("ok"))
    );
}

#[tokio::test]
async fn a_model_whose_provider_is_not_known_is_passed_over() {
    let (app, _standin) = app().await;
    generate_task(&app, "answers", impatient(&["nobody/x", "openai/gpt-4o"])).await;
    let response = ask_chat(&app, &chat("task:answers", "hi")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-hone-model"], "openai/gpt-4o");
    generate_task(&app, "none", impatient(&["nobody/x"])).await;
    let response = ask_chat(&app, &chat("task:none", "hi")).send().await.unwrap();
    let (status, reply) = json_of(response).await;
    assert_eq!(status, 404);
    assert!(
        reply.to_string().contains("nobody/x") || reply.to_string().contains("configured are"),
        "{reply}"
    );
}

#[tokio::test]
async fn a_refusal_of_the_provider_is_not_repeated() {
    let (app, standin) = app().await;
    generate_task(&app, "answers", impatient(&["openai/refusing", "openai/gpt-4o"])).await;
    let response = ask_chat(&app, &chat("task:answers", "hi")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), standin.asked().len()), (400, 1));
}

#[tokio::test]
async fn a_provider_that_fails_again_and_again_is_left_alone_for_a_while() {
    let (app, standin) = app().await;
    generate_task(
        &app,
        "answers",
        impatient(&["openai/failing", "anthropic/claude"]),
    )
    .await;
    for _ in 0..20 {
        let response = ask_chat(&app, &chat("task:answers", "hi")).send().await.unwrap();
        assert_eq!(response.headers()["x-hone-model"], "anthropic/claude");
    }
    let failing = standin
        .asked()
        .iter()
        .filter(|asked| asked.body.contains("\"failing\""))
        .count();
    // Five requests of three calls each close it.
    assert_eq!(failing, 15);
    let response = ask_chat(&app, &chat("openai/gpt-4o", "hi")).send().await.unwrap();
    assert_eq!(
        response.status(),
        200,
        "another model of the provider is not closed"
    );
    let response = ask_chat(&app, &chat("openai/failing", "hi"))
        .send()
        .await
        .unwrap();
    let (status, reply) = json_of(response).await;
    assert_eq!(
        (status, &reply["error"]["code"]),
        (503, &json!("unavailable")),
        "{reply}"
    );
}

#[tokio::test]
async fn nobody_at_the_providers_address_is_said_without_the_address() {
    let (app, _standin) = app().await;
    generate_task(&app, "answers", impatient(&["gone/any"])).await;
    let response = ask_chat(&app, &chat("task:answers", "hi")).send().await.unwrap();
    let id = id_of(&response);
    let (status, reply) = json_of(response).await;
    assert_eq!(
        (status, &reply["error"]["code"]),
        (502, &json!("unreachable")),
        "{reply}"
    );
    assert!(!reply.to_string().contains("127.0.0.1"), "{reply}");
    assert_eq!(recorded(&app, &id).await["error"], "unreachable");
}

#[rstest]
#[case::chat("/openai/v1/chat/completions")]
#[case::messages("/anthropic/v1/messages")]
#[tokio::test]
async fn a_stream_that_is_cut_ends_with_an_error_and_keeps_what_came(#[case] path: &str) {
    let (app, _standin) = app().await;
    let mut body = streamed(chat("cut", "one two three four five six"));
    body["max_tokens"] = json!(9);
    let response = app.request(path).json(&body).send().await.unwrap();
    let id = id_of(&response);
    let text = response.text().await.unwrap();
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.contains("broke off") && last.contains("\"error\""), "{text}");
    assert!(!text.contains("[DONE]"));
    let shown = recorded(&app, &id).await;
    assert_eq!(
        (&shown["status"], &shown["error"]),
        (&json!("error"), &json!("bad_reply"))
    );
    assert!(
        shown["output"].as_str().unwrap().starts_with("echo: one"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_stream_that_takes_too_long_ends_with_an_error() {
    let (app, standin) = app().await;
    let mut policy = impatient(&["openai/slow-stream"]);
    policy["gateway"]["total_timeout_ms"] = json!(500);
    generate_task(&app, "answers", policy).await;
    let text = "one two three four five six seven eight nine ten";
    let response = ask_chat(&app, &streamed(chat("task:answers", text)))
        .send()
        .await
        .unwrap();
    let id = id_of(&response);
    let text = response.text().await.unwrap();
    assert!(text.contains("\"code\":\"timeout\""), "{text}");
    assert_eq!(recorded(&app, &id).await["error"], "timeout");
    assert_eq!(standin.open_streams(), 0);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_provider_and_leaves_a_record() {
    let (app, standin) = app().await;
    let text = "one two three four five six seven eight nine ten";
    let mut response = ask_chat(&app, &streamed(chat("slow-stream", text)))
        .send()
        .await
        .unwrap();
    let id = id_of(&response);
    let first = response.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"data: "));
    assert!(standin.open_streams() > 0);
    response.chunk().await.unwrap();
    response.chunk().await.unwrap();
    drop(response);
    let shown = recorded(&app, &id).await;
    assert_eq!(
        (&shown["status"], &shown["error"]),
        (&json!("cancelled"), &json!("client_gone"))
    );
    assert!(shown["output"].as_str().unwrap().starts_with("echo:"), "{shown}");
    for _ in 0..200 {
        if standin.open_streams() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(standin.open_streams(), 0, "the call to the provider is cancelled");
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_answer_is_recorded_too() {
    let (app, _standin) = app().await;
    let asking = ask_chat(&app, &chat("silent", "anybody?")).timeout(Duration::from_millis(200));
    assert!(asking.send().await.unwrap_err().is_timeout());
    let shown = latest(&app, "gateway", 1).await;
    assert_eq!(
        (&shown["status"], &shown["input"]),
        (&json!("cancelled"), &json!("anybody?"))
    );
    assert_eq!(shown["request"]["model"], "silent");
}

#[rstest]
#[case::no_json("{\"model\":", 400, "no JSON object")]
#[case::no_model("{\"messages\":[]}", 400, "field model is missing")]
#[case::unknown_task("{\"model\":\"task:none\"}", 404, "hone task create none")]
#[case::wrong_kind("{\"model\":\"x\",\"metadata\":{\"hone_turn\":\"x\"}}", 400, "x-hone-turn")]
#[case::array("[]", 400, "no JSON object")]
#[tokio::test]
async fn a_request_that_cannot_be_taken_is_refused_with_the_remedy(
    #[case] body: &'static str,
    #[case] status: u16,
    #[case] said: &str,
) {
    let (app, standin) = app().await;
    let (given, reply) = app
        .post_raw("/openai/v1/chat/completions", "application/json", body)
        .await;
    assert_eq!(given, status, "{reply}");
    assert!(
        reply["error"]["message"].as_str().unwrap().contains(said),
        "{reply}"
    );
    assert!(standin.asked().is_empty());
}

#[tokio::test]
async fn keys_are_checked_in_both_protocols_and_never_shown() {
    let (app, standin) = app().await;
    let http = reqwest::Client::new();
    let unknown = http
        .post(format!("{}/anthropic/v1/messages", app.address))
        .header("x-api-key", "hone_wrong");
    let (status, reply) = json_of(unknown.json(&chat("claude", "hi")).send().await.unwrap()).await;
    assert_eq!(
        (status, &reply["type"], &reply["error"]["type"]),
        (401, &json!("error"), &json!("authentication_error"))
    );
    assert!(standin.asked().is_empty());
    let known = http
        .post(format!("{}/anthropic/v1/messages", app.address))
        .header("x-api-key", &app.key);
    assert_eq!(
        known.json(&chat("claude", "hi")).send().await.unwrap().status(),
        200
    );
    assert_eq!(standin.asked()[0].headers["x-api-key"], PROVIDER_KEY);
    let (_, list) = app.get("/v1/interactions").await;
    assert!(!list.to_string().contains(PROVIDER_KEY));
}

#[tokio::test]
async fn headers_cannot_be_smuggled_to_the_provider() {
    let (app, standin) = app().await;
    let asking = ask_chat(&app, &chat("gpt-4o", "hi"))
        .header("x-forwarded-host", "evil.example")
        .header("api-key", "mine")
        .header("cookie", "a=b")
        .header("x-hone-provider-key", "sk-other");
    assert_eq!(asking.send().await.unwrap().status(), 200);
    let asked = standin.asked().pop().unwrap();
    for name in ["x-forwarded-host", "api-key", "cookie", "x-hone-provider-key"] {
        assert!(!asked.headers.contains_key(name), "{name} reached the provider");
    }
    assert_eq!(asked.headers["authorization"], format!("Bearer {PROVIDER_KEY}"));
    // A model's name that would end a URL's path early stays a name.
    let response = ask_chat(&app, &chat("azure/../../evil?x=", "hi"))
        .send()
        .await
        .unwrap();
    assert!(
        standin
            .asked()
            .iter()
            .all(|asked| !asked.uri.starts_with("/evil")),
        "{response:?}"
    );
}
