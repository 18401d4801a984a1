//! Deployments that share a task's traffic: a new version comes to serve step by step, and goes by itself when it harms.
use hone_testkit::TestApp;
use rstest::rstest;
use serde_json::{Value, json};

use crate::desk::{correct, versions};

/// A task with version 1.0.0 live and 1.1.0 a candidate.
async fn with_candidate(kind: &str) -> Option<TestApp> {
    let app = TestApp::of_kind(kind).await?;
    correct(&app, 60, 0).await;
    app.run_jobs().await;
    let policy = json!({ "policy": { "deployment": { "automatic": false }, "training": { "automatic": false },
        "curation": { "automatic": false } } });
    assert_eq!(app.put("/v1/tasks/intent", &policy).await.0, 200);
    app.clock.advance_us(1_000_000);
    app.post("/v1/tasks/intent/train", &json!({ "settings": { "c": 0.7 } }))
        .await;
    app.run_jobs().await;
    let found = versions(&app).await;
    assert_eq!(found[0], ("1.1.0".to_owned(), "candidate".to_owned()));
    Some(app)
}

async fn deploy(app: &TestApp, plan: &Value) -> Value {
    let body = json!({ "task": "intent", "version": "1.1.0", "plan": plan });
    let (status, deployment) = app.post("/v1/deployments", &body).await;
    assert_eq!(status, 201, "{deployment}");
    deployment
}

async fn shown(app: &TestApp, deployment: &Value) -> Value {
    let id = deployment["id"].as_str().unwrap();
    app.get(&format!("/v1/deployments/{id}")).await.1
}

/// Asks in `count` conversations and says of each answer whether it was right; gives how often each version answered.
async fn talk(
    app: &TestApp,
    from: usize,
    count: usize,
    is_right: impl Fn(bool, usize) -> bool,
) -> (usize, usize) {
    let (mut old, mut new) = (0, 0);
    for number in from..from + count {
        let body = json!({ "task": "intent", "text": "where is my parcel", "conversation": format!("talk {number}") });
        let (status, answer) = app.post("/v1/classify", &body).await;
        assert_eq!(status, 200, "{answer}");
        let is_new = answer["model_version"] == "1.1.0";
        let seen = if is_new { &mut new } else { &mut old };
        *seen += 1;
        let thumb = json!({ "interaction_id": answer["predictions"][0]["interaction_id"], "kind": "thumb",
            "up": is_right(is_new, *seen) });
        assert_eq!(app.post("/v1/feedback", &thumb).await.0, 201);
    }
    (old, new)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_goes_through_its_steps_and_serves_when_it_is_shown_to_do_no_harm(
    #[values("sqlite", "postgres")] kind: &str,
) {
    let Some(app) = with_candidate(kind).await else {
        return;
    };
    let plan = json!({ "strategy": "canary", "goal": { "metric": "thumb", "margin": 0.3 },
        "steps": [{ "percent": 20, "min_minutes": 10, "min_outcomes": 5 }, { "percent": 50, "min_outcomes": 20 }] });
    let deployment = deploy(&app, &plan).await;
    assert_eq!(
        (&deployment["state"], &deployment["step"]),
        (&json!("running"), &json!(0))
    );
    let right = |_: bool, number: usize| !number.is_multiple_of(10);
    let (old, new) = talk(&app, 0, 60, right).await;
    assert!((5..25).contains(&new) && old > 30, "{old} and {new}");
    app.run_jobs().await;
    // Ten minutes have not passed.
    let look = shown(&app, &deployment).await;
    assert_eq!(look["step"], 0, "{look}");
    assert!(
        look["look"]["reason"].as_str().unwrap().contains("10 minutes"),
        "{look}"
    );
    app.clock.advance_us(11 * 60_000_000);
    app.run_jobs().await;
    let second = shown(&app, &deployment).await;
    assert_eq!(
        (&second["step"], &second["arms"][0]["share"]),
        (&json!(1), &json!(0.5)),
        "{second}"
    );
    // What the new version had it keeps: the same conversations, asked again.
    let before = (0..60).collect::<Vec<usize>>();
    let ask = async |number: usize| {
        let body = json!({ "task": "intent", "text": "where is my parcel", "conversation": format!("talk {number}"), "record": false });
        app.post("/v1/classify", &body).await.1["model_version"] == "1.1.0"
    };
    let mut now_new = 0;
    for number in before {
        now_new += usize::from(ask(number).await);
    }
    assert!(now_new > new, "{now_new} after {new}");
    talk(&app, 100, 260, right).await;
    app.run_jobs().await;
    let ended = shown(&app, &deployment).await;
    assert_eq!(ended["state"], "live", "{ended}");
    let events: Vec<&str> = ended["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["start", "advance", "promote"]);
    assert!(
        ended["events"][2]["reason"]
            .as_str()
            .unwrap()
            .contains("non-inferior"),
        "{ended}"
    );
    let found = versions(&app).await;
    assert_eq!((found[0].1.as_str(), found[1].1.as_str()), ("live", "retired"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_harms_goes_by_itself_with_the_reason(#[values("sqlite", "postgres")] kind: &str) {
    let Some(app) = with_candidate(kind).await else {
        return;
    };
    let plan = json!({ "strategy": "canary", "steps": [{ "percent": 50 }] });
    let deployment = deploy(&app, &plan).await;
    // A fifth of the live version's answers is wrong, most of the new one's: the exact test sees it before there are 100.
    talk(&app, 0, 80, |is_new, number| {
        if is_new {
            number.is_multiple_of(4)
        } else {
            !number.is_multiple_of(5)
        }
    })
    .await;
    app.run_jobs().await;
    let ended = shown(&app, &deployment).await;
    assert_eq!(ended["state"], "rolled_back", "{ended}");
    assert!(
        ended["events"][1]["reason"]
            .as_str()
            .unwrap()
            .contains("shown to be worse"),
        "{ended}"
    );
    assert_eq!(versions(&app).await[0].1, "refused");
    assert_eq!(versions(&app).await[1].1, "live");
    assert_eq!(talk(&app, 200, 20, |_, _| true).await, (20, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_answers_too_and_nobody_sees_it() {
    let app = with_candidate("sqlite").await.unwrap();
    // A version that knows one word disagrees.
    let starved = json!({ "settings": { "max_features": 1, "word_ngrams": [1, 1] } });
    app.post("/v1/tasks/intent/train", &starved).await;
    app.run_jobs().await;
    let body = json!({ "task": "intent", "version": "1.2.0",
        "plan": { "strategy": "shadow", "share": 1.0, "steps": [] } });
    let (status, deployment) = app.post("/v1/deployments", &body).await;
    assert_eq!(status, 201, "{deployment}");
    for number in 0..30 {
        let (label, text) = crate::desk::LABELS[number % 3];
        let body = json!({ "task": "intent", "text": text });
        let (_, answer) = app.post("/v1/classify", &body).await;
        assert_eq!(
            (&answer["model_version"], &answer["predictions"][0]["label"]),
            (&json!("1.0.0"), &json!(label))
        );
        let correction = json!({ "interaction_id": answer["predictions"][0]["interaction_id"], "kind": "correction", "label": label });
        app.post("/v1/feedback", &correction).await;
    }
    app.run_jobs().await;
    let seen = shown(&app, &deployment).await;
    let disagreement = &seen["look"]["disagreement"];
    assert_eq!(disagreement["outcomes"], 30, "{seen}");
    assert!(disagreement["mean"].as_f64().unwrap() > 0.3, "{seen}");
    assert!(!seen["disagreements"].as_array().unwrap().is_empty(), "{seen}");
    // Both were judged on the same requests.
    let goal = &seen["look"]["comparisons"][0];
    assert_eq!(
        (&goal["live"]["outcomes"], &goal["new"]["outcomes"]),
        (&json!(30), &json!(30)),
        "{seen}"
    );
    assert_eq!(seen["state"], "rolled_back", "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_are_changed_by_hand_at_any_moment_and_only_as_is_legal() {
    let app = with_candidate("sqlite").await.unwrap();
    let deployment = deploy(&app, &json!({ "strategy": "ab" })).await;
    let id = deployment["id"].as_str().unwrap().to_owned();
    let change = async |what: &str| {
        let (status, body) = app
            .post(&format!("/v1/deployments/{id}/{what}"), &json!({}))
            .await;
        (status, body["state"].as_str().unwrap_or_default().to_owned())
    };
    let again = json!({ "task": "intent", "version": "1.1.0", "plan": { "strategy": "canary" } });
    let (status, problem) = app.post("/v1/deployments", &again).await;
    assert_eq!(status, 409);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("promote it or roll it back first"),
        "{problem}"
    );
    assert_eq!(change("resume").await.0, 409);
    assert_eq!(change("pause").await, (200, "paused".to_owned()));
    assert_eq!(change("pause").await.0, 409);
    // Paused, nothing is decided, and its conversations stay where they are.
    let (old, new) = talk(&app, 0, 80, |is_new, _| !is_new).await;
    app.run_jobs().await;
    assert!(old > 20 && new > 20, "{old} and {new}");
    assert_eq!(shown(&app, &deployment).await["state"], "paused");
    assert_eq!(change("resume").await, (200, "running".to_owned()));
    app.run_jobs().await;
    assert_eq!(shown(&app, &deployment).await["state"], "rolled_back");
    assert_eq!(change("promote").await.0, 409);
    assert_eq!(change("rollback").await.0, 409);

    let second = deploy(&app, &json!({ "strategy": "ab" })).await;
    let id = second["id"].as_str().unwrap();
    let (status, live) = app
        .post(
            &format!("/v1/deployments/{id}/promote"),
            &json!({ "reason": "looks good" }),
        )
        .await;
    assert_eq!((status, &live["state"]), (200, &json!("live")));
    let path = format!("/v1/deployments/{id}/promote");
    assert_eq!(
        app.post_once("once", &path, &json!({})).await.0,
        200,
        "sent again"
    );
    let (status, back) = app
        .post(&format!("/v1/deployments/{id}/rollback"), &json!({}))
        .await;
    assert_eq!((status, &back["kind"]), (201, &json!("rollback")));
    assert_eq!(shown(&app, &second).await["state"], "superseded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bandit_gives_the_better_version_more_and_ends_with_it() {
    let app = with_candidate("sqlite").await.unwrap();
    let plan = json!({ "strategy": "bandit", "min_outcomes": 30, "goal": { "metric": "thumb" } });
    let deployment = deploy(&app, &plan).await;
    let mut shares = Vec::new();
    for round in 0..12 {
        talk(&app, round * 40, 40, |is_new, number| {
            is_new || number.is_multiple_of(3)
        })
        .await;
        app.run_jobs().await;
        let seen = shown(&app, &deployment).await;
        shares.push(seen["arms"][0]["share"].as_f64().unwrap());
        if seen["state"] != "running" {
            break;
        }
    }
    assert!(shares.last().unwrap() > &0.8, "{shares:?}");
    let ended = shown(&app, &deployment).await;
    assert_eq!(ended["state"], "live", "{ended}");
    assert!(
        ended["events"][1]["reason"]
            .as_str()
            .unwrap()
            .contains("likelihood ratio"),
        "{ended}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_that_comes_late_and_for_another_deployment_counts_for_none() {
    let app = with_candidate("sqlite").await.unwrap();
    let plan = json!({ "strategy": "ab", "automatic": false });
    let first = deploy(&app, &plan).await;
    let body = json!({ "task": "intent", "text": "where is my parcel", "conversation": "a" });
    let (_, answer) = app.post("/v1/classify", &body).await;
    let id = first["id"].as_str().unwrap();
    app.post(&format!("/v1/deployments/{id}/rollback"), &json!({}))
        .await;
    let second = deploy(&app, &plan).await;
    let thumb =
        json!({ "interaction_id": answer["predictions"][0]["interaction_id"], "kind": "thumb", "up": false });
    assert_eq!(app.post("/v1/feedback", &thumb).await.0, 201);
    app.run_jobs().await;
    for deployment in [&first, &second] {
        let seen = shown(&app, deployment).await;
        for goal in seen["look"]["comparisons"].as_array().into_iter().flatten() {
            if goal["metric"] == "correctness" {
                assert_eq!(
                    (&goal["live"]["outcomes"], &goal["new"]["outcomes"]),
                    (&json!(0), &json!(0)),
                    "{seen}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plan_can_find_out_is_said_before_it_starts() {
    let app = with_candidate("sqlite").await.unwrap();
    let (status, forecast) = app
        .post("/v1/deployments/forecast", &json!({ "task": "intent", "plan": { "strategy": "ab", "goal": { "metric": "correctness", "margin": 0.05 } } }))
        .await;
    assert_eq!(status, 200, "{forecast}");
    assert!(forecast["outcomes_per_day"].as_f64().unwrap() > 5.0, "{forecast}");
    assert!(forecast["expected_days"].as_f64().unwrap() > 1.0, "{forecast}");
    assert!(
        forecast["minimum_detectable_effect"].as_f64().is_some(),
        "{forecast}"
    );
    let wrong = json!({ "task": "intent", "version": "1.1.0", "plan": { "strategy": "canary", "steps": [{ "percent": 150 }] } });
    let (status, problem) = app.post("/v1/deployments", &wrong).await;
    assert_eq!(
        (status, &problem["errors"][0]["pointer"]),
        (422, &json!("/plan/steps/0/percent")),
        "{problem}"
    );
    let several =
        json!({ "task": "intent", "versions": ["1.1.0", "1.0.0"], "plan": { "strategy": "canary" } });
    assert_eq!(
        app.post("/v1/deployments", &several).await.1["errors"][0]["pointer"],
        "/versions"
    );
}
