//! Recording over HTTP: what is taken is durable and once, what is not names its field, a full queue says so.

use hone_engine::{EngineSettings, RecorderSettings};
use hone_testkit::{TestApp, sqlite};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

#[rstest]
#[tokio::test]
async fn an_interaction_is_recorded_and_shown_with_its_feedback(#[values("sqlite", "postgres")] kind: &str) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    let new = json!({
        "task": "intent", "input": "Where is my order?", "label": "refund", "confidence": 0.4, "latency_ms": 1.5,
        "conversation": "chat-1", "turn": 0, "tags": ["web"], "cost_usd": 0.000_25,
        "subject": { "user_id": "ann@example.org", "ip_address": "192.0.2.1" },
    });
    let (status, body) = app.post("/v1/interactions", &new).await;
    assert_eq!(
        (status, body["outcome"].as_str()),
        (201, Some("recorded")),
        "{body}"
    );
    let id = body["id"].as_str().unwrap();
    let correction = json!({ "interaction_id": id, "kind": "correction", "label": "order_status" });
    let (status, body) = app.post("/v1/feedback", &correction).await;
    assert_eq!(
        (status, body["is_mismatch"].as_bool()),
        (201, Some(true)),
        "{body}"
    );

    let (status, shown) = app.get(&format!("/v1/interactions/{id}")).await;
    assert_eq!(status, 200);
    assert_eq!(shown["input"], "Where is my order?");
    assert_eq!(shown["cost_usd"], 0.000_25);
    assert_eq!(shown["feedback"][0]["detected_label"], "refund");
    assert!(
        !shown.to_string().contains("ann@example.org"),
        "identity is kept apart from content"
    );
    let (_, conversation) = app.get("/v1/conversations/chat-1").await;
    assert_eq!(
        (&conversation["turns"], &conversation["interactions"][0]["id"]),
        (&json!(1), &json!(id))
    );
}

#[rstest]
#[tokio::test]
async fn a_repeated_id_is_absorbed_and_one_with_other_content_refused(
    #[values("sqlite", "postgres")] kind: &str,
) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    let id = Uuid::from_u128(5);
    let new = json!({ "id": id, "task": "intent", "input": "hello there" });
    assert_eq!(app.post("/v1/interactions", &new).await.0, 201);
    let (status, body) = app.post("/v1/interactions", &new).await;
    assert_eq!((status, body["outcome"].as_str()), (200, Some("duplicate")));
    let other = json!({ "id": id, "task": "intent", "input": "something else" });
    let (status, body) = app.post("/v1/interactions", &other).await;
    assert_eq!(
        (status, body["errors"][0]["pointer"].as_str()),
        (409, Some("/id")),
        "{body}"
    );
    let (_, list) = app.get("/v1/interactions?task=intent").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_idempotency_key_makes_a_post_safe_to_repeat() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    let send = async |body: Value| app.post_once("order-1", "/v1/interactions", &body).await;
    let (first, a) = send(json!({ "task": "intent", "input": "hello" })).await;
    let (second, b) = send(json!({ "task": "intent", "input": "hello" })).await;
    assert_eq!((first, second, &a["id"]), (201, 200, &b["id"]));
    assert_eq!(send(json!({ "task": "intent", "input": "another" })).await.0, 409);
}

#[tokio::test]
async fn bad_input_of_every_kind_names_the_field_and_stores_nothing() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    for (body, status, pointer) in [
        (r#"{"task":"intent","input":3}"#, 422, "/input"),
        (r#"{"task":"intent"}"#, 422, "/input"),
        (r#"{"task":"nowhere","input":"hello"}"#, 404, "/task"),
        (
            r#"{"task":"intent","input":"hello","occurred_at":"2030-01-01T00:00:00Z"}"#,
            422,
            "/occurred_at",
        ),
        (r#"{"task":"intent","input":"hello","id":"7"}"#, 422, "/id"),
        (
            r#"{"task":"intent","input":"hello","source":"oracle"}"#,
            422,
            "/source",
        ),
        (
            r#"{"task":"intent","input":"hello","confidence":"high"}"#,
            422,
            "/confidence",
        ),
        ("{", 400, ""),
        ("", 400, ""),
    ] {
        let (actual, answer) = app.post_raw("/v1/interactions", "application/json", body).await;
        assert_eq!(actual, status, "{body}: {answer}");
        assert_eq!(answer["errors"][0]["pointer"], pointer, "{body}: {answer}");
        assert!(
            answer["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
            "{body}: {answer}"
        );
    }
    let (status, answer) = app
        .post_raw(
            "/v1/interactions",
            "application/json",
            b"{\"task\":\"\xff\"}".to_vec(),
        )
        .await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("UTF-8"));
    let (status, _) = app
        .post_raw("/v1/interactions", "application/json", vec![b' '; 9 << 20])
        .await;
    assert_eq!(status, 413);
    let (_, list) = app.get("/v1/interactions").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn keys_are_needed_and_scopes_hold() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    let http = reqwest::Client::new();
    let status = async |key: Option<&str>, path: &str| {
        let request = http.get(format!("{}{path}", app.address));
        let request = if let Some(key) = key {
            request.bearer_auth(key)
        } else {
            request
        };
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(None, "/v1/interactions").await, 401);
    assert_eq!(status(Some("hone_wrong"), "/v1/interactions").await, 401);
    let scopes = "record".parse().unwrap();
    let narrow = app
        .engine
        .create_key(app.project, "narrow", scopes, None)
        .await
        .unwrap();
    assert_eq!(status(Some(&narrow.secret), "/v1/interactions").await, 403);
    let expired = app
        .engine
        .create_key(app.project, "old", "read".parse().unwrap(), Some(1))
        .await
        .unwrap();
    assert_eq!(status(Some(&expired.secret), "/v1/interactions").await, 401);
    assert_eq!(status(None, "/healthz").await, 200);
    assert_eq!(status(Some(&app.key), "/v1/nowhere").await, 404);
}

#[rstest]
#[tokio::test]
async fn a_stream_stores_good_lines_and_names_bad_ones(#[values("sqlite", "postgres")] kind: &str) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    let mut lines: Vec<String> = (0..1_200)
        .map(|number| json!({ "task": "intent", "input": format!("text {number}") }).to_string())
        .collect();
    lines[700] = "{broken".to_owned();
    lines[900] = json!({ "task": "intent", "input": "x", "confidence": 7 }).to_string();
    let (status, report) = app
        .post_raw("/v1/interactions", "application/x-ndjson", lines.join("\n"))
        .await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(
        (&report["recorded"], &report["refused"]),
        (&json!(1_198), &json!(2))
    );
    assert_eq!(
        (&report["errors"][0]["line"], &report["errors"][1]["line"]),
        (&json!(701), &json!(901))
    );
    assert_eq!(report["errors"][1]["errors"][0]["pointer"], "/confidence");
    let mut conn = app.engine.db.read().await.unwrap();
    let task = app.engine.get_task(app.project, "intent").await.unwrap();
    let count = hone_storage::interactions::count(&mut conn, app.project, task.task_id())
        .await
        .unwrap();
    assert_eq!(count, 1_198);
}

#[tokio::test]
async fn a_full_queue_says_when_to_try_again() {
    let settings = EngineSettings {
        recorder: RecorderSettings {
            queue_bytes: 600,
            group_rows: 10,
        },
        ..EngineSettings::default()
    };
    let app = TestApp::over(sqlite().await, &settings).await;
    app.task("intent").await;
    let http = reqwest::Client::new();
    // A record that is larger than the whole queue goes alone.
    let body = json!({ "task": "intent", "input": "a".repeat(300) });
    let send = async || {
        let request = http
            .post(format!("{}/v1/interactions", app.address))
            .bearer_auth(&app.key)
            .json(&body);
        request.send().await.unwrap()
    };
    assert_eq!(send().await.status(), 201);
    // While somebody else holds the database the first one waits in the queue and the second finds no room.
    let mut conn = app.engine.db.begin().await.unwrap();
    hone_storage::tasks::list(&mut conn, app.project).await.unwrap();
    let waiting = send();
    let refused = async {
        loop {
            let response = send().await;
            if response.status() == 429 {
                return response;
            }
        }
    };
    let (waited, response) = tokio::join!(waiting, async {
        let response = refused.await;
        conn.rollback().await.unwrap();
        response
    });
    assert_eq!(waited.status(), 201);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["instance"], "/v1/interactions");
}

#[tokio::test]
async fn a_stream_of_large_records_leaves_room_for_others() {
    let settings = EngineSettings {
        recorder: RecorderSettings {
            queue_bytes: 5 << 20,
            group_rows: 1_000,
        },
        ..EngineSettings::default()
    };
    let app = TestApp::over(sqlite().await, &settings).await;
    app.task("intent").await;
    let line = json!({ "task": "intent", "input": "a".repeat(200_000) }).to_string();
    let lines = vec![line; 60].join("\n");
    let (status, report) = app
        .post_raw("/v1/interactions", "application/x-ndjson", lines)
        .await;
    assert_eq!((status, &report["recorded"]), (200, &json!(60)), "{report}");
}

#[rstest]
#[tokio::test]
async fn lists_are_in_the_order_of_recording_whatever_the_ids(#[values("sqlite", "postgres")] kind: &str) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    for (number, id) in [9u128, 2, 7, 4].into_iter().enumerate() {
        let new = json!({ "id": Uuid::from_u128(id), "task": "intent", "input": format!("text {number}") });
        assert_eq!(app.post("/v1/interactions", &new).await.0, 201);
        app.clock.advance_us(1_000);
    }
    for path in ["/v1/interactions?limit=3", "/v1/interactions?task=intent&limit=3"] {
        let (_, first) = app.get(path).await;
        let next = first["next"].as_str().unwrap();
        let (_, second) = app.get(&format!("{path}&after={next}")).await;
        let inputs: Vec<&Value> = [&first, &second]
            .into_iter()
            .flat_map(|page| page["items"].as_array().unwrap())
            .map(|row| &row["input"])
            .collect();
        assert_eq!(inputs, ["text 3", "text 2", "text 1", "text 0"], "{path}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_while_curation_runs_is_curated_too(#[values("sqlite", "postgres")] kind: &str) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    let mut ids = Vec::new();
    for number in 0..60 {
        let new = json!({ "task": "intent", "input": format!("text {number}"), "label": "old" });
        ids.push(app.post("/v1/interactions", &new).await.1["id"].clone());
    }
    let task = app.engine.get_task(app.project, "intent").await.unwrap();
    let say = async |label: &str| {
        for id in &ids {
            let correction = json!({ "interaction_id": id, "kind": "correction", "label": label });
            assert_eq!(app.post("/v1/feedback", &correction).await.0, 201);
            app.clock.advance_us(10);
        }
    };
    let curate = async || {
        for _ in 0..40 {
            app.engine.curate(task.task_id(), &|_| Ok(())).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(curate(), say("first"));
    tokio::join!(curate(), say("second"), curate());
    app.run_jobs().await;
    let (_, list) = app.get("/v1/examples?task=intent&limit=500").await;
    let labels: Vec<&Value> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|example| &example["label"])
        .collect();
    assert_eq!(labels, vec!["second"; 60]);
}

#[tokio::test]
async fn feedback_may_come_before_its_interaction() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    let id = Uuid::from_u128(9);
    let early = json!({ "interaction_id": id, "kind": "correction", "label": "refund" });
    assert_eq!(app.post("/v1/feedback", &early).await.0, 201);
    app.post(
        "/v1/interactions",
        &json!({ "id": id, "task": "intent", "input": "money back", "label": "other" }),
    )
    .await;
    app.run_jobs().await;
    let (_, shown) = app.get(&format!("/v1/interactions/{id}")).await;
    assert_eq!(shown["feedback"][0]["is_mismatch"], true);
    assert_eq!(
        (&shown["example"]["label"], &shown["example"]["weight"]),
        (&json!("refund"), &json!(2.0))
    );
}

#[tokio::test]
async fn every_kind_of_feedback_is_taken() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    let (_, body) = app
        .post("/v1/interactions", &json!({ "task": "intent", "input": "hello" }))
        .await;
    let id = &body["id"];
    for feedback in [
        json!({ "kind": "thumb", "up": true }),
        json!({ "kind": "rating", "rating": 5 }),
        json!({ "kind": "score", "name": "tone", "score": 0.7 }),
        json!({ "kind": "correction", "text": "the right answer" }),
        json!({ "kind": "comment", "text": "nice" }),
        json!({ "kind": "preference", "preference": { "chosen": "a", "rejected": "b" } }),
        json!({ "kind": "used", "used": true }),
        json!({ "kind": "helpful", "helpful": false }),
    ] {
        let mut feedback = feedback;
        feedback["interaction_id"] = id.clone();
        let (status, answer) = app.post("/v1/feedback", &feedback).await;
        assert_eq!(status, 201, "{feedback}: {answer}");
    }
    let (_, list) = app.get("/v1/feedback?task=intent&limit=5").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 5);
    let (_, rest) = app
        .get(&format!(
            "/v1/feedback?limit=5&after={}",
            list["next"].as_str().unwrap()
        ))
        .await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 3);
}
