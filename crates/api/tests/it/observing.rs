//! What is observed: metrics over a period and by what they are broken down by, snapshots, readiness.
use hone_testkit::TestApp;
use rstest::rstest;
use serde_json::{Value, json};

/// The clock of the tests starts on Sunday, 2026-01-18 at 07:00.
const HOUR_US: i64 = 3_600_000_000;

async fn record(app: &TestApp, fields: Value) -> Value {
    let mut new = json!({ "task": "intent", "input": "where is my parcel" });
    let given = fields.as_object().unwrap().clone();
    new.as_object_mut().unwrap().extend(given);
    let (status, body) = app.post("/v1/interactions", &new).await;
    assert_eq!(status, 201, "{body}");
    body["id"].clone()
}

async fn say(app: &TestApp, interaction: &Value, fields: Value) {
    let mut new = json!({ "interaction_id": interaction });
    let given = fields.as_object().unwrap().clone();
    new.as_object_mut().unwrap().extend(given);
    let (status, body) = app.post("/v1/feedback", &new).await;
    assert_eq!(status, 201, "{body}");
}

async fn metrics(app: &TestApp, query: &str) -> Value {
    let (status, body) = app.get(&format!("/v1/metrics?task=intent&{query}")).await;
    assert_eq!(status, 200, "{body}");
    body["items"][0].clone()
}

/// Six interactions: five of today, of which one failed, and one of two days ago.
async fn six_interactions(app: &TestApp) {
    let plain = json!({ "label": "order", "confidence": 0.9, "model": "small", "latency_ms": 3.0, "tokens_input": 10,
        "tokens_output": 5, "cost_usd": 0.002, "action_type": "todo", "conversation": "a" });
    let first = record(app, plain.clone()).await;
    let second = record(app, plain).await;
    let other = json!({ "label": "refund", "confidence": 0.5, "model": "large", "latency_ms": 400.0, "source": "faq",
        "status": "escalated", "conversation": "b" });
    let third = record(app, other).await;
    record(
        app,
        json!({ "status": "error", "model": "large", "latency_ms": 9000.0, "error": "overloaded" }),
    )
    .await;
    record(app, json!({ "label": "order" })).await;
    record(
        app,
        json!({ "label": "order", "occurred_at": "2026-01-16T12:00:00Z" }),
    )
    .await;
    say(app, &first, json!({ "kind": "thumb", "up": true })).await;
    say(app, &second, json!({ "kind": "thumb", "up": false })).await;
    say(app, &second, json!({ "kind": "correction", "label": "refund" })).await;
    say(app, &third, json!({ "kind": "rating", "rating": 4 })).await;
    say(
        app,
        &third,
        json!({ "kind": "score", "name": "tone", "score": 0.5 }),
    )
    .await;
    say(
        app,
        &first,
        json!({ "kind": "score", "name": "tone", "score": 1.0 }),
    )
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_the_whole_its_parts_and_its_trend(#[values("sqlite", "postgres")] kind: &str) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    six_interactions(&app).await;
    let day = metrics(&app, "by=version").await;
    let totals = &day["totals"];
    let close = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-9;
    for (name, expected) in [
        ("interactions", 5.0),
        ("correctness", 1.0 / 3.0),
        ("approval_rate", 0.5),
        ("correction_rate", 0.2),
        ("escalation_rate", 0.2),
        ("error_rate", 0.2),
        ("success_rate", 0.8),
        ("rating", 4.0),
        ("confidence", (0.9 + 0.9 + 0.5) / 3.0),
        ("latency_ms", (3.0 + 3.0 + 400.0) / 3.0),
        ("tokens", 30.0),
        ("cost_usd", 0.004),
        ("cost_per_interaction_usd", 0.002),
        ("feedback_rate", 6.0 / 5.0),
        ("turns_per_conversation", 1.5),
    ] {
        assert!(close(&totals[name], expected), "{name}: {}", totals[name]);
    }
    // Nobody said whether an answer was used.
    assert!(totals.get("usage_rate").is_none());
    assert_eq!(day["scores"], json!({ "tone": { "count": 2, "mean": 0.75 } }));
    assert_eq!(
        (&day["grain"], day["trend"].as_array().unwrap().len()),
        (&json!("hour"), 1)
    );
    assert_eq!(day["trend"][0]["at"], "2026-01-18T07:00:00Z");
    let by = day["by"].as_array().unwrap();
    let names: Vec<&str> = by.iter().map(|value| value["value"].as_str().unwrap()).collect();
    assert_eq!(names, ["large", "small"]);
    assert!(close(&by[0]["indicators"]["error_rate"], 0.5));
    assert!(close(&by[1]["indicators"]["approval_rate"], 0.5));
    assert_eq!(by[0]["scores"]["tone"]["count"], 1);

    let week = metrics(&app, "period=week&grain=day&by=label").await;
    let days: Vec<&str> = week["trend"]
        .as_array()
        .unwrap()
        .iter()
        .map(|day| day["at"].as_str().unwrap())
        .collect();
    assert_eq!(days, ["2026-01-16T00:00:00Z", "2026-01-18T00:00:00Z"]);
    assert_eq!(week["by"][0]["value"], "order");
    assert!(close(&week["by"][0]["indicators"]["interactions"], 4.0));
    let ever = metrics(&app, "period=all").await;
    assert_eq!(
        (&ever["from"], &ever["totals"]["interactions"]),
        (&json!("2026-01-16T00:00:00Z"), &json!(6.0))
    );
    let then = metrics(&app, "from=2026-01-16T00:00:00Z&to=2026-01-17T00:00:00Z").await;
    assert_eq!(
        (&then["totals"]["interactions"], &then["to"]),
        (&json!(1.0), &json!("2026-01-17T00:00:00Z"))
    );
    let after = metrics(&app, "from=2026-01-17T00:00:00Z&to=2026-01-18T00:00:00Z").await;
    assert_eq!(after["before"]["interactions"], 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_questions_name_the_parameter_and_an_empty_task_has_zeros() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    let empty = metrics(&app, "period=all&by=source").await;
    assert_eq!(
        (&empty["totals"]["interactions"], &empty["trend"]),
        (&json!(0.0), &json!([]))
    );
    for (query, pointer) in [
        ("from=yesterday", "/query/from"),
        ("from=2026-01-18T00:00:00Z&to=2026-01-17T00:00:00Z", "/query/from"),
        ("period=day&from=2026-01-17T00:00:00Z", "/query/period"),
        ("period=month&grain=minute", "/query/grain"),
        ("period=decade", "/query"),
        ("per=day", "/query"),
    ] {
        let (status, problem) = app.get(&format!("/v1/metrics?{query}")).await;
        assert_eq!(
            (status, &problem["errors"][0]["pointer"]),
            (422, &json!(pointer)),
            "{query}: {problem}"
        );
    }
    assert_eq!(app.get("/v1/metrics?task=nothing").await.0, 404);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn snapshots_freeze_what_has_ended_once_and_what_is_asked_for(
    #[values("sqlite", "postgres")] kind: &str,
) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    six_interactions(&app).await;
    let periods = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| {
                format!(
                    "{} {}",
                    item["period"].as_str().unwrap(),
                    item["from"].as_str().unwrap()
                )
            })
            .collect()
    };
    // Monday, just after midnight.
    app.clock.advance_us(17 * HOUR_US + 6 * 60_000_000);
    for _ in 0..2 {
        assert_eq!(app.post("/v1/schedules/snapshots/run", &json!({})).await.0, 202);
        app.run_jobs().await;
    }
    let (_, list) = app.get("/v1/snapshots?task=intent").await;
    let mut found = periods(&list);
    found.sort();
    assert_eq!(
        found,
        [
            "daily 2026-01-16T00:00:00Z",
            "daily 2026-01-18T00:00:00Z",
            "hourly 2026-01-18T07:00:00Z",
            "weekly 2026-01-12T00:00:00Z",
        ]
    );
    let (_, weekly) = app.get("/v1/snapshots?period=weekly").await;
    let frozen = &weekly["items"][0]["metrics"];
    assert_eq!(
        (
            &frozen["totals"]["interactions"],
            &frozen["scores"]["tone"]["count"]
        ),
        (&json!(6.0), &json!(2))
    );
    assert_eq!(frozen["by"]["action_type"][0]["value"], "todo");

    let (status, taken) = app
        .post("/v1/snapshots", &json!({ "task": "intent", "period": "monthly" }))
        .await;
    assert_eq!(
        (status, &taken["from"]),
        (201, &json!("2026-01-01T00:00:00Z")),
        "{taken}"
    );
    assert_eq!(taken["metrics"]["totals"]["interactions"], 6.0);
    let (status, problem) = app
        .post("/v1/snapshots", &json!({ "task": "intent", "period": "yearly" }))
        .await;
    assert_eq!(
        (status, &problem["errors"][0]["pointer"]),
        (422, &json!("/period"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_by_the_minute_are_forgotten_and_those_by_the_day_stay() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    six_interactions(&app).await;
    app.clock.advance_us(4 * 24 * HOUR_US);
    app.post("/v1/schedules/snapshots/run", &json!({})).await;
    app.run_jobs().await;
    let minutes = "from=2026-01-18T06:00:00Z&to=2026-01-18T08:00:00Z";
    let gone = metrics(&app, minutes).await;
    assert_eq!(
        (&gone["grain"], &gone["totals"]["interactions"]),
        (&json!("minute"), &json!(0.0))
    );
    let hours = metrics(&app, &format!("{minutes}&grain=hour")).await;
    assert_eq!(hours["totals"]["interactions"], 5.0);
}
