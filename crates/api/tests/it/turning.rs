//! The loop turns over HTTP: corrections become examples, examples a model, the gate refuses a worse one, rollback goes
//! back in one step.
use hone_engine::EngineSettings;
use hone_testkit::TestApp;
use rstest::rstest;
use serde_json::json;

use crate::desk::{classify, correct, versions};

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn corrections_become_a_model_that_answers(#[values("sqlite", "postgres")] kind: &str) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    let (status, problem) = classify(&app, "where is my parcel").await;
    assert_eq!(
        (status, problem["type"].as_str()),
        (409, Some("/errors/no-model")),
        "{problem}"
    );
    correct(&app, 24, 0).await;
    app.run_jobs().await;
    assert_eq!(versions(&app).await, [("1.0.0".to_owned(), "live".to_owned())]);

    let (status, answer) = classify(&app, "please reset my password").await;
    assert_eq!(status, 200);
    let prediction = &answer["predictions"][0];
    assert_eq!(
        (&prediction["label"], &answer["model_version"]),
        (&json!("login"), &json!("1.0.0"))
    );
    assert_eq!(prediction["alternatives"].as_array().unwrap().len(), 3);
    // The prediction was recorded and leads back to the version, its run and its dataset.
    let id = prediction["interaction_id"].as_str().unwrap();
    let (_, shown) = app.get(&format!("/v1/interactions/{id}")).await;
    assert_eq!(shown["model_version"]["version"], "1.0.0");
    let (_, dataset) = app
        .get(&format!(
            "/v1/datasets/{}",
            shown["model_version"]["dataset_id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(dataset["example_count"], 24);
    let (_, run) = app
        .get(&format!(
            "/v1/runs/{}",
            shown["model_version"]["run_id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(
        (&run["status"], &run["decision"]["accepted"]),
        (&json!("completed"), &json!(true))
    );

    // Nothing happens below the trigger, and a second version comes above it.
    correct(&app, 60, 100).await;
    app.run_jobs().await;
    assert_eq!(versions(&app).await.len(), 1);
    correct(&app, 60, 200).await;
    app.run_jobs().await;
    assert_eq!(versions(&app).await[0], ("1.1.0".to_owned(), "live".to_owned()));
    assert_eq!(versions(&app).await[1].1, "retired");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_gate_refuses_a_worse_version_and_rollback_takes_one_step(
    #[values("sqlite", "postgres")] kind: &str,
) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    correct(&app, 60, 0).await;
    app.run_jobs().await;
    let starved = json!({ "settings": { "max_features": 1, "word_ngrams": [1, 1] } });
    let (status, _) = app.post("/v1/tasks/intent/train", &starved).await;
    assert_eq!(status, 202);
    app.run_jobs().await;
    assert_eq!(
        versions(&app).await[0],
        ("1.1.0".to_owned(), "refused".to_owned())
    );
    assert_eq!(classify(&app, "money back").await.1["model_version"], "1.0.0");

    let deploy = json!({ "task": "intent", "version": "1.1.0" });
    let (status, deployment) = app.post("/v1/deployments", &deploy).await;
    assert_eq!(status, 201, "{deployment}");
    assert_eq!(classify(&app, "money back").await.1["model_version"], "1.1.0");
    let id = deployment["id"].as_str().unwrap();
    let (status, undone) = app
        .post(&format!("/v1/deployments/{id}/rollback"), &json!({}))
        .await;
    assert_eq!(
        (status, undone["kind"].as_str()),
        (201, Some("rollback")),
        "{undone}"
    );
    assert_eq!(classify(&app, "money back").await.1["model_version"], "1.0.0");
    let (_, compared) = app.get("/v1/models/compare?task=intent&a=1.0.0&b=1.1.0").await;
    assert!(
        compared["a"]["macro_f1"].as_f64() > compared["b"]["macro_f1"].as_f64(),
        "{compared}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_examples_are_refused_with_a_remedy() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    let (status, problem) = app.post("/v1/tasks/intent/train", &json!({})).await;
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("needs 20"),
        "{problem}"
    );
    // What has been said and not been looked at may be enough: that is known when the job has curated it.
    correct(&app, 3, 0).await;
    let (status, started) = app.post("/v1/tasks/intent/train", &json!({})).await;
    assert_eq!(status, 202);
    app.run_jobs().await;
    let (_, run) = app
        .get(&format!("/v1/runs/{}", started["run_id"].as_str().unwrap()))
        .await;
    assert_eq!(run["status"], "failed");
    assert!(run["error"].as_str().unwrap().contains("needs 20"), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rollback_does_not_go_forward_again() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    correct(&app, 60, 0).await;
    app.run_jobs().await;
    for c in [0.5, 0.7] {
        app.post("/v1/tasks/intent/train", &json!({ "settings": { "c": c } }))
            .await;
        app.run_jobs().await;
    }
    let back = async || {
        app.clock.advance_us(1_000);
        let wanted = hone_engine::DeployRequest::Rollback(None);
        let done = app
            .engine
            .deploy(app.project, "intent", &wanted, "test", None)
            .await;
        done.map(|_| ())
    };
    let serving = async || classify(&app, "money back").await.1["model_version"].clone();
    app.clock.advance_us(1_000);
    let by_hand = hone_engine::DeployRequest::Version("1.0.0".to_owned());
    app.engine
        .deploy(app.project, "intent", &by_hand, "test", None)
        .await
        .unwrap();
    back().await.unwrap();
    assert_eq!(serving().await, "1.2.0");
    back().await.unwrap();
    assert_eq!(serving().await, "1.1.0");
    back().await.unwrap();
    assert_eq!(serving().await, "1.0.0");
    assert!(
        back()
            .await
            .unwrap_err()
            .to_string()
            .contains("no earlier version")
    );
    assert_eq!(serving().await, "1.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_model_is_refused_and_the_previous_one_serves() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    correct(&app, 60, 0).await;
    app.run_jobs().await;
    app.post("/v1/tasks/intent/train", &json!({ "settings": { "c": 0.5 } }))
        .await;
    app.run_jobs().await;
    let (_, model) = app.get("/v1/models/intent/1.1.0").await;
    assert_eq!(model["stage"], "live", "{model}");
    let hash = model["artifact_hash"].as_str().unwrap();
    let file = app
        .database
        .folder
        .path()
        .join("artifacts")
        .join(&hash[..2])
        .join(hash);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();

    // A server that starts now finds the damage.
    let (ids, _clock) = hone_testkit::ids();
    let artifacts =
        hone_storage::artifacts::ArtifactStore::in_folder(&app.database.folder.path().join("artifacts"))
            .unwrap();
    let second =
        hone_engine::Engine::start(app.engine.db.clone(), artifacts, ids, &EngineSettings::default());
    second.refresh_router().await.unwrap();
    let task = second.get_task(app.project, "intent").await.unwrap();
    assert_eq!(second.served(&task).unwrap().version.version, "1.0.0");
    let (status, problem) = app
        .post(
            "/v1/deployments",
            &json!({ "task": "intent", "version": "1.1.0" }),
        )
        .await;
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("damaged"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn curation_gives_every_rejection_a_reason() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    for (input, label, feedback) in [
        ("good one", "order", json!({ "kind": "rating", "rating": 5 })),
        ("GOOD ONE!", "order", json!({ "kind": "thumb", "up": true })),
        ("bad one", "order", json!({ "kind": "rating", "rating": 2 })),
        ("disliked", "order", json!({ "kind": "thumb", "up": false })),
        (
            "only a comment",
            "order",
            json!({ "kind": "comment", "text": "hm" }),
        ),
    ] {
        let (_, body) = app
            .post(
                "/v1/interactions",
                &json!({ "task": "intent", "input": input, "label": label }),
            )
            .await;
        let mut feedback = feedback;
        feedback["interaction_id"] = body["id"].clone();
        app.post("/v1/feedback", &feedback).await;
        // Curation looks in the order of ids, which is the order of milliseconds.
        app.clock.advance_us(1_000);
    }
    app.run_jobs().await;
    let (_, list) = app.get("/v1/examples?task=intent").await;
    let mut decided: Vec<(String, String)> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|example| {
            (
                example["input"].as_str().unwrap().to_owned(),
                example["reason"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    decided.sort();
    assert_eq!(decided.len(), 4, "{decided:?}");
    assert!(decided[0].1.starts_with("duplicate of example"), "{decided:?}");
    assert_eq!(decided[1].1, "rated 2, below 4, and no correction");
    assert_eq!(decided[2].1, "thumb down and no correction");
    assert_eq!(decided[3].1, "rated well");
    // A correction that comes later changes the decision.
    let (_, interactions) = app.get("/v1/interactions?task=intent").await;
    let bad = interactions["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["input"] == "bad one")
        .unwrap();
    let correction = json!({ "interaction_id": bad["id"], "kind": "correction", "label": "refund" });
    app.post("/v1/feedback", &correction).await;
    app.run_jobs().await;
    let (_, list) = app
        .get("/v1/examples?task=intent&label=refund&status=approved")
        .await;
    assert_eq!(list["items"][0]["input"], "bad one");
}

#[tokio::test]
async fn references_become_examples_and_exports_are_safe() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    let gold = json!({ "task": "intent", "input": "=HYPERLINK(1)", "label": "refund" });
    assert_eq!(app.post("/v1/references", &gold).await.0, 201);
    app.run_jobs().await;
    let (status, dataset) = app.post("/v1/datasets", &json!({ "task": "intent" })).await;
    assert_eq!((status, &dataset["example_count"]), (201, &json!(1)), "{dataset}");
    let (_, again) = app.post("/v1/datasets", &json!({ "task": "intent" })).await;
    assert_eq!(
        dataset["id"], again["id"],
        "nothing changed, so it is the same dataset"
    );
    let path = format!(
        "{}/v1/datasets/{}/export?format=csv",
        app.address,
        dataset["id"].as_str().unwrap()
    );
    let csv = reqwest::Client::new()
        .get(path)
        .bearer_auth(&app.key)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(csv.contains("'=HYPERLINK(1)"), "{csv}");
}

#[test]
fn the_openapi_document_is_complete_and_stays_the_same() {
    let document = hone_api::openapi();
    insta::assert_snapshot!(document.to_pretty_json().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_judged_again_stays_in_its_part_and_the_later_word_wins() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    correct(&app, 60, 0).await;
    app.run_jobs().await;
    let (_, before) = app.get("/v1/examples?task=intent&limit=500").await;
    let held_out = before["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|example| example["split"] == "test")
        .unwrap()
        .clone();
    // The same text comes again, and a person says otherwise.
    let say = async |label: &str| {
        let new = json!({ "task": "intent", "input": held_out["input"], "label": "unknown" });
        let id = app.post("/v1/interactions", &new).await.1["id"].clone();
        let correction = json!({ "interaction_id": id, "kind": "correction", "label": label });
        assert_eq!(app.post("/v1/feedback", &correction).await.0, 201);
        app.clock.advance_us(1_000);
        id
    };
    let usable = async || {
        app.run_jobs().await;
        let (_, after) = app.get("/v1/examples?task=intent&limit=500").await;
        let rows = after["items"].as_array().unwrap().clone();
        let mut same = rows
            .into_iter()
            .filter(|row| row["input"] == held_out["input"] && row["status"] != "rejected");
        let found = same.next().unwrap();
        assert!(same.next().is_none(), "one example a text");
        (found["label"].clone(), found["split"].clone())
    };
    let first = say("fraud").await;
    assert_eq!(usable().await, (json!("fraud"), json!("test")));
    say("legal").await;
    assert_eq!(usable().await, (json!("legal"), json!("test")));
    // A comment on the older interaction has it looked at again; its older correction does not come back.
    let comment = json!({ "interaction_id": first, "kind": "comment", "text": "thanks" });
    app.post("/v1/feedback", &comment).await;
    assert_eq!(usable().await, (json!("legal"), json!("test")));
}

#[tokio::test]
async fn policies_out_of_bounds_are_refused_by_name() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    for (policy, pointer) in [
        (
            json!({ "prediction": { "alternatives": 1_000_000_000_000u64 } }),
            "/policy/prediction/alternatives",
        ),
        (
            json!({ "training": { "max_age_hours": i64::MAX } }),
            "/policy/training/max_age_hours",
        ),
        (
            json!({ "training": { "split": { "train": 0.9, "validation": 0.1, "test": 0.0 } } }),
            "/policy/training/split",
        ),
    ] {
        let new = json!({ "name": "other", "kind": "classify", "policy": policy });
        let (status, problem) = app.post("/v1/tasks", &new).await;
        assert_eq!(
            (status, problem["errors"][0]["pointer"].as_str()),
            (422, Some(pointer)),
            "{problem}"
        );
    }
    let (status, problem) = app
        .post(
            "/v1/tasks",
            &json!({ "name": "other", "kind": "classify", "policy": [] }),
        )
        .await;
    assert_eq!(
        (status, problem["errors"][0]["pointer"].as_str()),
        (422, Some("/policy")),
        "{problem}"
    );
    let nameless = json!({ "task": "in\u{0}tent", "input": "hello" });
    assert_eq!(app.post("/v1/interactions", &nameless).await.0, 404);
}
