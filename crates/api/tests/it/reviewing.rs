//! The review queue: who gets what, what becomes of what they say, and how far they agree.

use hone_domain::TaskKind;
use hone_storage::reviews::Filter;
use hone_testkit::TestApp;
use serde_json::{Value, json};

use crate::desk::correct;

async fn app_on(kind: &str, task_kind: TaskKind, policy: Value) -> Option<TestApp> {
    let app = TestApp::of_kind(kind).await?;
    let policy = serde_json::from_value(policy).unwrap();
    app.engine
        .create_task(app.project, "desk", task_kind, policy, None)
        .await
        .unwrap();
    Some(app)
}

async fn app_with(task_kind: TaskKind, policy: Value) -> TestApp {
    app_on("sqlite", task_kind, policy).await.unwrap()
}

async fn record(app: &TestApp, interaction: Value) -> String {
    let (status, body) = app.post("/v1/interactions", &interaction).await;
    assert_eq!(status, 201, "{body}");
    app.clock.advance_us(1_000);
    body["id"].as_str().unwrap().to_owned()
}

async fn ask_about(app: &TestApp, body: Value) -> Value {
    let (status, review) = app.post("/v1/reviews", &body).await;
    assert_eq!(status, 201, "{review}");
    review
}

async fn claim(app: &TestApp, reviewer: &str) -> Option<Value> {
    let body = json!({ "task": "desk", "reviewer": reviewer });
    let (status, claimed) = app.post("/v1/reviews/claim", &body).await;
    assert_eq!(status, 200, "{claimed}");
    claimed.as_array().unwrap().first().cloned()
}

async fn answer(app: &TestApp, claimed: &Value, said: Value) -> (u16, Value) {
    let mut body = said;
    body["token"] = claimed["token"].clone();
    app.post(&format!("/v1/reviews/{}", claimed["id"].as_str().unwrap()), &body)
        .await
}

async fn examples(app: &TestApp) -> Vec<Value> {
    app.run_jobs().await;
    let (_, body) = app.get("/v1/examples?task=desk").await;
    body["items"].as_array().unwrap().clone()
}

fn labelled(input: &str, label: &str) -> Value {
    json!({ "task": "desk", "input": input, "label": label, "confidence": 0.4 })
}

const QUIET: &str = r#"{ "review": { "automatic": false, "gold_share": 0.0, "random_share": 0.0 } }"#;

fn quiet() -> Value {
    serde_json::from_str(QUIET).unwrap()
}

#[tokio::test]
async fn what_a_reviewer_says_becomes_an_expert_s_feedback() {
    let app = app_with(TaskKind::Classify, quiet()).await;
    let texts = [
        (
            "where is my parcel",
            json!({ "verdict": "approve" }),
            Some("order"),
        ),
        (
            "give my money back",
            json!({ "verdict": "correct", "label": "refund", "comment": "clear" }),
            Some("refund"),
        ),
        ("asdf qwer", json!({ "verdict": "reject" }), None),
    ];
    for (text, said, right) in texts {
        let id = record(&app, labelled(text, "order")).await;
        ask_about(&app, json!({ "task": "desk", "interaction_id": id })).await;
        let claimed = claim(&app, "ann").await.unwrap();
        assert_eq!(
            (claimed["input"].as_str(), claimed["reason"].as_str()),
            (Some(text), Some("by_hand"))
        );
        let (status, progress) = answer(&app, &claimed, said).await;
        assert_eq!(
            (status, progress["state"].as_str()),
            (200, Some("decided")),
            "{progress}"
        );
        let example = examples(&app).await.remove(0);
        assert_eq!(
            example["status"],
            if right.is_some() { "approved" } else { "rejected" }
        );
        if let Some(right) = right {
            assert_eq!(
                (example["label"].as_str(), example["source"].as_str()),
                (Some(right), Some("expert"))
            );
            assert_eq!(example["is_validated"], true);
        }
        let (_, shown) = app
            .get(&format!("/v1/reviews/{}", claimed["id"].as_str().unwrap()))
            .await;
        assert_eq!(shown["answers"][0]["reviewer"], "ann");
    }
    assert!(claim(&app, "ann").await.is_none());
    let (_, said) = app.get("/v1/feedback?task=desk&kind=comment").await;
    assert_eq!(said["items"][0]["text"], "clear");
}

#[tokio::test]
async fn two_who_race_for_an_item_do_not_both_get_it() {
    for kind in ["sqlite", "postgres"] {
        let Some(app) = app_on(kind, TaskKind::Classify, quiet()).await else {
            println!("skipped: no PostgreSQL");
            continue;
        };
        let task = app.engine.get_task(app.project, "desk").await.unwrap();
        for number in 0..5 {
            let id = record(&app, labelled(&format!("text number {number}"), "order")).await;
            ask_about(&app, json!({ "task": "desk", "interaction_id": id })).await;
        }
        let mut racing = tokio::task::JoinSet::new();
        for number in 0..16 {
            let (engine, task) = (app.engine.clone(), task.clone());
            racing.spawn(async move {
                let name = format!("reviewer {number}");
                engine.claim_reviews(&task, &name, &Filter::default(), 1).await
            });
        }
        let mut given: Vec<uuid::Uuid> = Vec::new();
        while let Some(one) = racing.join_next().await {
            let claimed = one.unwrap().unwrap();
            given.extend(claimed.into_iter().map(|claimed| claimed.review.id));
        }
        given.sort_unstable();
        let count = given.len();
        given.dedup();
        assert_eq!((count, given.len()), (5, 5), "{kind}");
    }
}

#[tokio::test]
async fn as_many_look_at_an_item_as_are_wanted_and_most_decide() {
    let policy =
        json!({ "review": { "automatic": false, "reviewers": 3, "gold_share": 0.0, "random_share": 0.0 } });
    let app = app_with(TaskKind::Classify, policy).await;
    let id = record(&app, labelled("give my money back", "order")).await;
    ask_about(&app, json!({ "task": "desk", "interaction_id": id })).await;
    let (ann, bob) = (
        claim(&app, "ann").await.unwrap(),
        claim(&app, "bob").await.unwrap(),
    );
    assert!(claim(&app, "ann").await.is_none(), "nobody is asked twice");
    let cleo = claim(&app, "cleo").await.unwrap();
    assert!(claim(&app, "dan").await.is_none(), "three are enough");
    let refund = json!({ "verdict": "correct", "label": "refund" });
    assert_eq!(answer(&app, &ann, refund.clone()).await.1["state"], "open");
    assert_eq!(
        answer(&app, &bob, json!({ "verdict": "skip" })).await.1["done"],
        1,
        "a declined item is no review"
    );
    assert!(claim(&app, "bob").await.is_none());
    let dan = claim(&app, "dan").await.unwrap();
    answer(&app, &cleo, json!({ "verdict": "approve" })).await;
    assert_eq!(answer(&app, &dan, refund.clone()).await.1["state"], "decided");
    assert_eq!(examples(&app).await[0]["label"], "refund");
    let (status, problem) = answer(&app, &dan, refund).await;
    assert_eq!(status, 409, "{problem}");

    let (_, statistics) = app.get("/v1/reviews/statistics?task=desk").await;
    assert_eq!(
        (statistics["reviews"].as_u64(), statistics["shared"].as_u64()),
        (Some(3), Some(1))
    );
    assert!(statistics["alpha"].as_f64().unwrap() <= 0.0, "{statistics}");
    assert_eq!(statistics["reviewers"][1]["skipped"], 1);
    assert_eq!(statistics["pairs"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn who_disagree_leave_it_to_an_editor() {
    let policy =
        json!({ "review": { "automatic": false, "reviewers": 2, "gold_share": 0.0, "random_share": 0.0 } });
    let app = app_with(TaskKind::Classify, policy).await;
    let id = record(&app, labelled("give my money back", "order")).await;
    let review = ask_about(&app, json!({ "task": "desk", "interaction_id": id })).await;
    let (ann, bob) = (
        claim(&app, "ann").await.unwrap(),
        claim(&app, "bob").await.unwrap(),
    );
    answer(&app, &ann, json!({ "verdict": "approve" })).await;
    let (_, progress) = answer(&app, &bob, json!({ "verdict": "reject" })).await;
    assert_eq!(progress["state"], "disputed");
    assert!(examples(&app).await.is_empty());
    let path = format!("/v1/reviews/{}/decision", review["id"].as_str().unwrap());
    let said = json!({ "verdict": "correct", "label": "refund", "editor": "eve" });
    assert_eq!(app.post(&path, &said).await.0, 200);
    assert_eq!(examples(&app).await[0]["label"], "refund");
    assert_eq!(app.post(&path, &said).await.0, 409);
    let (_, decided) = app.get("/v1/reviews?task=desk&state=decided").await;
    assert_eq!(decided["items"][0]["outcome"]["by"], "eve");
}

#[tokio::test]
async fn a_claim_that_has_run_out_goes_to_somebody_else() {
    let app = app_with(TaskKind::Classify, quiet()).await;
    let id = record(&app, labelled("where is it", "order")).await;
    ask_about(&app, json!({ "task": "desk", "interaction_id": id })).await;
    let ann = claim(&app, "ann").await.unwrap();
    assert!(claim(&app, "bob").await.is_none());
    app.clock.advance_us(16 * 60 * 1_000_000);
    let bob = claim(&app, "bob").await.unwrap();
    let (status, problem) = answer(&app, &ann, json!({ "verdict": "approve" })).await;
    assert_eq!(status, 409);
    assert!(
        problem["detail"].as_str().unwrap().contains("claim again"),
        "{problem}"
    );
    // Given back by hand it can be had at once.
    let path = format!("/v1/reviews/{}/release", bob["id"].as_str().unwrap());
    assert_eq!(app.post(&path, &json!({ "token": bob["token"] })).await.0, 204);
    assert_eq!(app.post(&path, &json!({ "token": bob["token"] })).await.0, 409);
    let cleo = claim(&app, "cleo").await.unwrap();
    assert_eq!(answer(&app, &cleo, json!({ "verdict": "approve" })).await.0, 200);
}

#[tokio::test]
async fn of_two_answers_the_better_one_becomes_a_preference() {
    let app = app_with(TaskKind::Generate, quiet()).await;
    let id = record(
        &app,
        json!({ "task": "desk", "input": "where is it", "output": "No idea." }),
    )
    .await;
    let pair = json!({ "task": "desk", "interaction_id": id, "alternative": "It comes tomorrow." });
    ask_about(&app, pair).await;
    let claimed = claim(&app, "ann").await.unwrap();
    assert_eq!(claimed["kind"], "pair");
    let (status, problem) = answer(&app, &claimed, json!({ "verdict": "approve" })).await;
    assert_eq!(
        (status, problem["errors"][0]["pointer"].as_str()),
        (422, Some("/verdict"))
    );
    assert_eq!(
        answer(&app, &claimed, json!({ "verdict": "second" })).await.0,
        200
    );
    let (_, said) = app.get("/v1/feedback?task=desk&kind=preference").await;
    let preference = &said["items"][0]["preference"];
    assert_eq!(
        preference,
        &json!({ "chosen": "It comes tomorrow.", "rejected": "No idea." }),
        "{said}"
    );
    let same = json!({ "task": "desk", "interaction_id": id, "alternative": "No idea." });
    assert_eq!(app.post("/v1/reviews", &same).await.0, 422);
}

#[tokio::test]
async fn what_is_known_measures_reviewers_and_decides_nothing() {
    let policy = json!({ "review": { "automatic": false, "gold_share": 1.0 } });
    let app = app_with(TaskKind::Classify, policy).await;
    let id = record(&app, labelled("give my money back", "order")).await;
    let gold = json!({ "task": "desk", "interaction_id": id, "gold_label": "refund" });
    ask_about(&app, gold).await;
    for (reviewer, said) in [
        ("ann", json!({ "verdict": "correct", "label": "refund" })),
        ("bob", json!({ "verdict": "approve" })),
    ] {
        let claimed = claim(&app, reviewer).await.unwrap();
        assert!(
            !claimed.to_string().contains("gold"),
            "reviewers do not see that it is known"
        );
        answer(&app, &claimed, said).await;
    }
    assert!(examples(&app).await.is_empty());
    let (_, statistics) = app.get("/v1/reviews/statistics?task=desk").await;
    let right: Vec<Option<f64>> = statistics["reviewers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pace| pace["gold_right"].as_f64())
        .collect();
    assert_eq!(right, [Some(1.0), Some(0.0)], "{statistics}");
}

#[tokio::test]
async fn the_queue_fills_itself_with_what_the_model_can_hardly_tell() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    correct(&app, 60, 0).await;
    app.run_jobs().await;
    for (number, text) in [
        "where is my parcel",
        "where is my money",
        "give my parcel back the money",
    ]
    .iter()
    .enumerate()
    {
        let new = json!({ "task": "intent", "input": format!("{text} {number}") });
        assert_eq!(app.post("/v1/interactions", &new).await.0, 201);
        app.clock.advance_us(1_000);
    }
    let body = json!({ "task": "intent", "reviewer": "ann", "limit": 10 });
    let (_, claimed) = app.post("/v1/reviews/claim", &body).await;
    let claimed = claimed.as_array().unwrap();
    assert_eq!(claimed.len(), 3, "{claimed:?}");
    let uncertain: Vec<f64> = claimed
        .iter()
        .filter(|review| review["reason"] == "uncertain")
        .map(|review| review["priority"].as_f64().unwrap())
        .collect();
    assert!(uncertain.is_sorted_by(|a, b| a >= b), "{uncertain:?}");
    assert!(claimed[0]["suggestion"].is_string() && claimed[0]["details"]["alternatives"].is_array());
    let (_, statistics) = app.get("/v1/reviews/statistics?task=intent").await;
    assert!(statistics["open"].is_object(), "{statistics}");
}

#[tokio::test]
async fn what_users_contradict_and_what_they_dislike_is_asked_about() {
    let policy = json!({ "review": { "automatic": false, "gold_share": 0.0 } });
    let app = app_with(TaskKind::Classify, policy).await;
    let sure =
        json!({ "task": "desk", "input": "give my money back", "label": "refund", "confidence": 0.97 });
    let contradicted = record(&app, sure).await;
    let correction = json!({ "interaction_id": contradicted, "kind": "correction", "label": "order" });
    app.post("/v1/feedback", &correction).await;
    let disliked = record(&app, labelled("where is it", "order")).await;
    app.post(
        "/v1/feedback",
        &json!({ "interaction_id": disliked, "kind": "rating", "rating": 1 }),
    )
    .await;
    app.run_jobs().await;
    let (_, open) = app.get("/v1/reviews?task=desk").await;
    let reasons: Vec<&str> = open["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["mismatch", "low_rating"]);
    assert_eq!(open["items"][0]["details"]["user_says"], "order");
    // The expert's word comes later than the user's and stands.
    let claimed = claim(&app, "ann").await.unwrap();
    answer(&app, &claimed, json!({ "verdict": "approve" })).await;
    let labels: Vec<Value> = examples(&app)
        .await
        .iter()
        .filter(|row| row["status"] == "approved")
        .map(|row| row["label"].clone())
        .collect();
    assert_eq!(labels, ["refund"]);
}

#[tokio::test]
async fn a_label_that_all_others_contradict_is_asked_about_after_training() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    let examples: Vec<Value> = (0..120u64)
        .map(|number| {
            let name = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let (text, label) = [("where is my parcel", "order"), ("give my money back", "refund")][number as usize % 2];
            let label = if number == 40 { "refund" } else { label };
            json!({ "input": format!("{text} {name:x} please"), "label": label, "split": if number % 6 < 2 { "test" } else { "train" } })
        })
        .collect();
    app.post("/v1/examples", &json!({ "task": "intent", "examples": examples }))
        .await;
    app.post("/v1/tasks/intent/train", &json!({})).await;
    app.run_jobs().await;
    let (_, open) = app.get("/v1/reviews?task=intent&reason=suspect").await;
    let items = open["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{open}");
    assert_eq!(
        (items[0]["label"].as_str(), items[0]["suggestion"].as_str()),
        (Some("refund"), Some("order"))
    );
    assert!(
        items[0]["details"]["neighbours"][0]["input"]
            .as_str()
            .unwrap()
            .contains("parcel")
    );
    // It came from no interaction: the example itself is corrected.
    let body = json!({ "task": "intent", "reviewer": "ann", "reason": "suspect" });
    let (_, claimed) = app.post("/v1/reviews/claim", &body).await;
    let (status, _) = answer(
        &app,
        &claimed[0],
        json!({ "verdict": "correct", "label": "order" }),
    )
    .await;
    assert_eq!(status, 200);
    let (_, found) = app.get("/v1/examples?task=intent&source=expert").await;
    assert_eq!(
        (
            found["items"][0]["label"].as_str(),
            found["items"][0]["decided_by"].as_str()
        ),
        (Some("order"), Some("person"))
    );
}

#[tokio::test]
async fn wrong_answers_are_refused_by_field_and_roles_are_kept() {
    let app = app_with(TaskKind::Classify, quiet()).await;
    let id = record(&app, labelled("where is it", "order")).await;
    ask_about(&app, json!({ "task": "desk", "interaction_id": id })).await;
    let claimed = claim(&app, "ann").await.unwrap();
    for (said, pointer) in [
        (json!({ "verdict": "correct" }), "/label"),
        (json!({ "verdict": "first" }), "/verdict"),
        (json!({ "verdict": "correct", "label": " " }), "/label"),
    ] {
        let (status, problem) = answer(&app, &claimed, said).await;
        assert_eq!(
            (status, problem["errors"][0]["pointer"].as_str()),
            (422, Some(pointer)),
            "{problem}"
        );
    }
    assert_eq!(app.post("/v1/reviews", &json!({ "task": "desk" })).await.0, 422);
    let unknown = json!({ "task": "desk", "interaction_id": "01a1ffd6-59a9-7554-86a4-3ca74066a146" });
    assert_eq!(app.post("/v1/reviews", &unknown).await.0, 404);
    let scopes = "review".parse().unwrap();
    let key = app
        .engine
        .create_key(app.project, "reviewer", scopes, None)
        .await
        .unwrap();
    for (path, status) in [("/v1/reviews/claim", 200), ("/v1/reviews", 403)] {
        let body = if status == 200 {
            json!({ "task": "desk" })
        } else {
            unknown.clone()
        };
        let request = reqwest::Client::new()
            .post(format!("{}{path}", app.address))
            .bearer_auth(&key.secret);
        assert_eq!(request.json(&body).send().await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn what_nobody_suggested_is_judged_freely() {
    let policy = json!({ "review": { "automatic": false, "gold_share": 0.0, "show_suggestions": false } });
    let app = app_with(TaskKind::Classify, policy).await;
    let id = record(&app, labelled("where is it", "order")).await;
    ask_about(&app, json!({ "task": "desk", "interaction_id": id })).await;
    let claimed = claim(&app, "ann").await.unwrap();
    for hidden in ["label", "suggestion", "details"] {
        assert!(claimed.get(hidden).is_none(), "{hidden}: {claimed}");
    }
    let (status, problem) = answer(&app, &claimed, json!({ "verdict": "approve" })).await;
    assert_eq!(
        (status, problem["errors"][0]["pointer"].as_str()),
        (422, Some("/verdict"))
    );
    let said = json!({ "verdict": "correct", "label": "order" });
    assert_eq!(answer(&app, &claimed, said).await.0, 200);
}

#[tokio::test]
async fn an_expert_s_rejection_goes_before_a_user_s_correction() {
    let app = app_with(TaskKind::Classify, quiet()).await;
    let id = record(&app, labelled("where is it", "order")).await;
    let correction = json!({ "interaction_id": id, "kind": "correction", "label": "refund" });
    app.post("/v1/feedback", &correction).await;
    assert_eq!(examples(&app).await[0]["status"], "approved");
    ask_about(&app, json!({ "task": "desk", "interaction_id": id })).await;
    let claimed = claim(&app, "ann").await.unwrap();
    answer(&app, &claimed, json!({ "verdict": "reject" })).await;
    let example = examples(&app).await.remove(0);
    assert_eq!(
        (example["status"].as_str(), example["reason"].as_str()),
        (Some("rejected"), Some("rejected by expert"))
    );
}
