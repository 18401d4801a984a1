//! What runs by the clock: listed, changed, paused, run by hand; the cycle for an outside cron; the report that compares versions.
use hone_testkit::TestApp;
use rstest::rstest;
use serde_json::{Value, json};

use crate::desk::{correct, versions};

async fn schedules(app: &TestApp) -> Vec<(String, String)> {
    let (_, body) = app.get("/v1/schedules").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = body["items"].as_array().unwrap().iter();
    items
        .map(|item| (text(&item["name"]), text(&item["next_at"])))
        .collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_schedules_are_there_and_can_be_changed(#[values("sqlite", "postgres")] kind: &str) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    // The clock starts on Sunday, 2026-01-18 at 07:00.
    let pair = |name: &str, at: &str| (name.to_owned(), at.to_owned());
    assert_eq!(
        schedules(&app).await,
        [
            pair("check-alerts", "2026-01-18T07:01:00Z"),
            pair("check-triggers", "2026-01-18T07:30:00Z"),
            pair("daily-curation", "2026-01-19T02:15:00Z"),
            pair("daily-discovery", "2026-01-19T04:00:00Z"),
            pair("daily-drift", "2026-01-19T01:45:00Z"),
            pair("monthly-evaluation", "2026-02-01T05:00:00Z"),
            pair("snapshots", "2026-01-18T07:05:00Z"),
            pair("weekly-training", "2026-01-25T03:30:00Z"),
        ]
    );
    let change = json!({ "cron": "30 8 * * MON-FRI", "time_zone": "Europe/Berlin", "missed": "skip" });
    let (status, changed) = app.put("/v1/schedules/daily-curation", &change).await;
    assert_eq!(
        (status, &changed["next_at"]),
        (200, &json!("2026-01-19T07:30:00Z")),
        "{changed}"
    );
    assert_eq!(
        (&changed["action"], &changed["missed"]),
        (&json!("curate"), &json!("skip"))
    );
    let (_, paused) = app
        .put("/v1/schedules/daily-curation", &json!({ "paused": true }))
        .await;
    assert_eq!(
        (&paused["paused"], &paused["cron"]),
        (&json!(true), &json!("30 8 * * MON-FRI"))
    );

    let own = json!({ "action": "train", "cron": "0 4 * * *", "task": "intent" });
    assert_eq!(app.put("/v1/schedules/nightly", &own).await.1["task"], "intent");
    for (wrong, field) in [
        (json!({ "action": "train", "cron": "every night" }), "/cron"),
        (
            json!({ "action": "train", "cron": "0 4 * * *", "time_zone": "Mars/Olympus" }),
            "/cron",
        ),
        (
            json!({ "action": "train", "cron": "0 4 * * *", "task": "nothing" }),
            "/task",
        ),
        (json!({ "action": "dance", "cron": "0 4 * * *" }), "/action"),
        (json!({ "cron": "0 4 * * *" }), "/action"),
    ] {
        let (status, problem) = app.put("/v1/schedules/wrong", &wrong).await;
        assert_eq!(
            (status, &problem["errors"][0]["pointer"]),
            (422, &json!(field)),
            "{problem}"
        );
    }
    assert_eq!(app.delete("/v1/schedules/nightly").await, 204);
    assert_eq!(app.delete("/v1/schedules/nightly").await, 404);
    assert_eq!(app.post("/v1/schedules/nightly/run", &json!({})).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cycle_curates_and_trains_and_a_schedule_runs_by_hand() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    let policy = json!({ "policy": { "curation": { "automatic": false } } });
    app.put("/v1/tasks/intent", &policy).await;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    correct(&app, 30, 0).await;
    app.run_jobs().await;
    assert!(versions(&app).await.is_empty());
    let (status, started) = app.post("/v1/cycle", &json!({})).await;
    assert_eq!(status, 202);
    app.run_jobs().await;
    app.run_jobs().await;
    assert_eq!(versions(&app).await, [("1.0.0".to_owned(), "live".to_owned())]);
    let (_, job) = app
        .get(&format!("/v1/jobs/{}", started["job_id"].as_str().unwrap()))
        .await;
    assert_eq!(
        (&job["state"], &job["result"]["started"]),
        (&json!("succeeded"), &json!(["intent"])),
        "{job}"
    );

    // Ten new examples are below every trigger; the weekly training takes them all the same.
    correct(&app, 10, 100).await;
    for name in ["daily-curation", "weekly-training"] {
        assert_eq!(
            app.post(&format!("/v1/schedules/{name}/run"), &json!({})).await.0,
            202
        );
        app.run_jobs().await;
    }
    assert_eq!(versions(&app).await.len(), 2);
    let (_, runs) = app.get("/v1/runs?task=intent").await;
    assert_eq!(runs["items"][0]["reason"], "schedule");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_compares_versions_on_the_same_examples() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    correct(&app, 60, 0).await;
    app.run_jobs().await;
    app.post("/v1/tasks/intent/train", &json!({ "settings": { "c": 0.7 } }))
        .await;
    app.run_jobs().await;
    app.post("/v1/schedules/monthly-evaluation/run", &json!({})).await;
    app.run_jobs().await;
    let (_, list) = app.get("/v1/reports").await;
    let report = &list["items"][0];
    assert_eq!(report["title"], "Evaluation of 2026-01-18");
    let path = format!("{}/v1/reports/{}", app.address, report["id"].as_str().unwrap());
    let client = reqwest::Client::new();
    let fetch = async |format: &str| {
        let request = client
            .get(format!("{path}?format={format}"))
            .bearer_auth(&app.key);
        request.send().await.unwrap().text().await.unwrap()
    };
    let markdown = fetch("markdown").await;
    assert!(
        markdown.contains("| 1.1.0 | live |") && markdown.contains("| 1.0.0 | retired |"),
        "{markdown}"
    );
    assert!(markdown.contains("| interactions | 60 | 0 |"), "{markdown}");
    let page = fetch("html").await;
    assert!(
        page.contains("<rect") && page.contains("<td>1.1.0</td>"),
        "{page}"
    );
}
