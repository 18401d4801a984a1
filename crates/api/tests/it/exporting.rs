//! Exports: filters, preference formats, several pages, what is checked before it is given.

use hone_domain::{TaskKind, TaskPolicy};
use hone_engine::{TrainingFormat, check_file};
use hone_testkit::TestApp;
use serde_json::{Value, json};

async fn app_with(kind: TaskKind) -> TestApp {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    app.engine
        .create_task(app.project, "desk", kind, TaskPolicy::default(), None)
        .await
        .unwrap();
    app
}

async fn record(app: &TestApp, interaction: Value) -> String {
    let (status, body) = app.post("/v1/interactions", &interaction).await;
    assert_eq!(status, 201, "{body}");
    app.clock.advance_us(1_000);
    body["id"].as_str().unwrap().to_owned()
}

async fn say(app: &TestApp, id: &str, said: Value) {
    let mut body = said;
    body["interaction_id"] = id.into();
    let (status, body) = app.post("/v1/feedback", &body).await;
    assert_eq!(status, 201, "{body}");
    app.clock.advance_us(1_000);
}

async fn export(app: &TestApp, query: &str) -> String {
    let response = reqwest::Client::new()
        .get(format!("{}/v1/examples/export?task=desk{query}", app.address))
        .bearer_auth(&app.key)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200, "{query}");
    response.text().await.unwrap()
}

#[tokio::test]
async fn what_is_exported_can_be_filtered_and_is_never_cut_at_a_page() {
    let app = app_with(TaskKind::Classify).await;
    for page in 0..5u64 {
        let examples: Vec<Value> = (0..1_000)
            .map(|number| {
                let name = (page * 1_000 + number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let label = ["a", "b"][number as usize % 2];
                json!({ "input": format!("{name:x} says hello"), "label": label })
            })
            .collect();
        let (status, _) = app
            .post("/v1/examples", &json!({ "task": "desk", "examples": examples }))
            .await;
        assert_eq!(status, 201);
    }
    let id = record(
        &app,
        json!({ "task": "desk", "input": "where is it", "label": "a" }),
    )
    .await;
    say(&app, &id, json!({ "kind": "correction", "label": "b" })).await;
    app.run_jobs().await;
    let all = export(&app, "").await;
    assert_eq!(all.lines().count(), 5_001);
    let ids: std::collections::BTreeSet<String> = all
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 5_001);
    assert_eq!(export(&app, "&label=a").await.lines().count(), 2_500);
    let corrected = export(&app, "&source=user").await;
    let row: Value = serde_json::from_str(&corrected).unwrap();
    assert_eq!(
        (row["label"].as_str(), row["quality"].as_f64()),
        (Some("b"), Some(1.0))
    );
    assert_eq!(export(&app, "&min_quality=0.95").await.lines().count(), 1);
    assert_eq!(export(&app, "&until=2000-01-01T00:00:00Z").await, "");
    assert_eq!(export(&app, "&format=csv").await.lines().count(), 5_002);
    let list: Vec<Value> = serde_json::from_str(&export(&app, "&format=json").await).unwrap();
    assert_eq!(list.len(), 5_001);
    let (_, dataset) = app.post("/v1/datasets", &json!({ "task": "desk" })).await;
    let path = format!("/v1/datasets/{}/export", dataset["id"].as_str().unwrap());
    let frozen = reqwest::Client::new().get(format!("{}{path}?split=test", app.address));
    let frozen = frozen
        .bearer_auth(&app.key)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(
        frozen.lines().count() as u64,
        dataset["statistics"]["by_split"]["test"].as_u64().unwrap()
    );
    for wrong in [
        "&format=xml",
        "&from=yesterday",
        "&max_length_ratio=0.5",
        "&min_quality=2",
        "&format=kto&label=a",
        "&max_length_ratio=2",
    ] {
        assert_eq!(
            app.get(&format!("/v1/examples/export?task=desk{wrong}")).await.0,
            422,
            "{wrong}"
        );
    }
    assert_eq!(app.get(&format!("{path}?format=kto")).await.0, 422);
}

#[tokio::test]
async fn what_people_prefer_becomes_pairs_and_judged_answers() {
    let app = app_with(TaskKind::Generate).await;
    let ask = |input: &str, output: &str, conversation: &str| json!({ "task": "desk", "input": input, "output": output, "conversation": conversation });
    // An edit, said twice.
    let id = record(&app, ask("where is it", "No idea about that.", "a")).await;
    for _ in 0..2 {
        say(
            &app,
            &id,
            json!({ "kind": "correction", "text": "It comes tomorrow, ann@example.com." }),
        )
        .await;
    }
    // A choice.
    let id = record(&app, ask("what does it cost", "Ten.", "b")).await;
    say(&app, &id, json!({ "kind": "preference", "preference": { "chosen": "It costs ten euros.", "rejected": "Ten." } })).await;
    // Asked again: the last answer is what the person went on with.
    record(&app, ask("how do I pay", "With money.", "c")).await;
    record(&app, ask("how do I pay", "By card or by transfer.", "c")).await;
    // Judged alone: good, bad, and one that refuses though it was liked.
    let id = record(&app, ask("are you open", "Yes, until six.", "d")).await;
    say(&app, &id, json!({ "kind": "thumb", "up": true })).await;
    let id = record(&app, ask("are you closed", "Maybe.", "e")).await;
    say(&app, &id, json!({ "kind": "rating", "rating": 1 })).await;
    let id = record(
        &app,
        ask("write my thesis", "I'm sorry, but I can't help with that.", "f"),
    )
    .await;
    say(&app, &id, json!({ "kind": "thumb", "up": true })).await;

    for (format, checked, lines) in [
        ("openai_preference", TrainingFormat::OpenAiPreference, 3),
        ("preference", TrainingFormat::Preference, 3),
        ("kto", TrainingFormat::Kto, 8),
    ] {
        let file = export(&app, &format!("&format={format}")).await;
        let report = check_file(file.as_bytes(), checked).unwrap();
        assert_eq!(
            (report.good, report.problems.len()),
            (lines, 0),
            "{format}: {file}"
        );
        assert!(!file.contains("ann@"), "personal data is redacted: {file}");
        assert!(!file.contains("can't help"), "{file}");
    }
    let pairs = export(&app, "&format=preference").await;
    let pairs: Vec<Value> = pairs
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        pairs[2],
        json!({ "prompt": "how do I pay", "chosen": "By card or by transfer.", "rejected": "With money." })
    );
    // Of about the same length: "It comes tomorrow…" and "No idea…" are, the others are not.
    let even = export(&app, "&format=preference&max_length_ratio=1.8").await;
    assert_eq!(even.lines().count(), 1, "{even}");
    let (status, statistics) = app.get("/v1/tasks/desk/preferences").await;
    assert_eq!(status, 200, "{statistics}");
    assert_eq!(
        statistics["pairs"],
        json!({ "choice": 1, "edit": 1, "regeneration": 1 })
    );
    assert_eq!(
        (statistics["good"].as_u64(), statistics["bad"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(statistics["left_out"], json!({ "refusal": 1, "said_anew": 1 }));
    assert_eq!(statistics["longer_chosen"], 1.0);
}
