//! New versions of generate tasks on live traffic: one that fails is gone within its first calls; a shadow is asked and not seen.

use serde_json::{Value, json};

use super::*;

async fn register(app: &TestApp, model: &str, instructions: &str) -> Value {
    let spec = json!({ "model": model, "messages": [{ "role": "system", "template": instructions }] });
    let (status, body) = app.post("/v1/tasks/greet/versions", &spec).await;
    assert_eq!(status, 201, "{body}");
    body
}

async fn deploy(app: &TestApp, body: &Value) -> Value {
    app.clock.advance_us(1_000);
    let (status, deployment) = app.post("/v1/deployments", body).await;
    assert_eq!(status, 201, "{deployment}");
    deployment
}

async fn app_with(model: &str) -> (TestApp, StandIn) {
    app_of("openai/gpt-4o-mini", model).await
}

/// A task with a live version and a candidate.
async fn app_of(live: &str, candidate: &str) -> (TestApp, StandIn) {
    let (app, standin) = app().await;
    let policy = json!({ "gateway": { "retries": 0 } });
    generate_task(&app, "greet", policy).await;
    register(&app, live, "Greet.").await;
    register(&app, candidate, "Greet warmly.").await;
    (app, standin)
}

/// Asks until the version that serves answers again; gives how many calls failed.
async fn failures(app: &TestApp) -> usize {
    let mut failed = 0;
    for _ in 0..400 {
        let response = ask_chat(app, &chat("task:greet", "Hello!")).send().await.unwrap();
        if response.status() != 200 {
            failed += 1;
        }
    }
    failed
}

async fn deployment(app: &TestApp, deployment: &Value) -> Value {
    let id = deployment["id"].as_str().unwrap();
    app.get(&format!("/v1/deployments/{id}")).await.1
}

#[tokio::test]
async fn a_version_that_fails_outright_is_gone_within_its_first_calls() {
    for model in ["openai/failing", "nobody/knows"] {
        let (app, _standin) = app_with(model).await;
        let started = deploy(&app, &json!({ "task": "greet", "version": "1.1.0" })).await;
        let failed = failures(&app).await;
        assert!((10..50).contains(&failed), "{model}: {failed} calls failed");
        let ended = deployment(&app, &started).await;
        assert_eq!(ended["state"], "rolled_back", "{ended}");
        assert_eq!(
            ended["events"][2]["reason"], "10 calls in a row failed",
            "{ended}"
        );
    }
}

#[tokio::test]
async fn a_canary_that_fails_is_taken_off_unless_the_live_version_fails_too() {
    let (app, _standin) = app_with("openai/failing").await;
    let plan = json!({ "strategy": "canary", "steps": [{ "percent": 50 }] });
    let started = deploy(
        &app,
        &json!({ "task": "greet", "version": "1.1.0", "plan": plan }),
    )
    .await;
    let failed = failures(&app).await;
    assert!((10..50).contains(&failed), "{failed} calls failed");
    let ended = deployment(&app, &started).await;
    assert_eq!(
        (&ended["state"], &ended["arms"][0]["share"]),
        (&json!("rolled_back"), &json!(0.5)),
        "{ended}"
    );
    let (_, models) = app.get("/v1/models?task=greet").await;
    let stage_of = |version: &str| {
        let mut items = models["items"].as_array().unwrap().iter();
        items.find(|model| model["version"] == version).unwrap()["stage"].clone()
    };
    assert_eq!(
        (stage_of("1.1.0"), stage_of("1.0.0")),
        (json!("refused"), json!("live"))
    );

    // Where the provider fails for both, going back helps nobody.
    let (app, _standin) = app_of("openai/failing", "openai/failing").await;
    let both = deploy(
        &app,
        &json!({ "task": "greet", "version": "1.1.0", "plan": plan }),
    )
    .await;
    assert_eq!(failures(&app).await, 400);
    assert_eq!(deployment(&app, &both).await["state"], "running");
}

#[tokio::test]
async fn a_new_version_that_cannot_take_what_clients_send_costs_no_request_and_goes() {
    let (app, _standin) = app_with("openai/gpt-4o-mini").await;
    let spec = json!({ "model": "openai/gpt-4o-mini", "messages": [{ "role": "system", "template": "Greet {{ name }}." }],
        "inputs": { "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] } });
    let (status, _) = app.post("/v1/tasks/greet/versions", &spec).await;
    assert_eq!(status, 201);
    let plan = json!({ "strategy": "ab" });
    let body = json!({ "task": "greet", "version": "2.0.0", "plan": plan });
    let started = deploy(&app, &body).await;
    assert_eq!(failures(&app).await, 0, "the live version answers in its place");
    assert_eq!(deployment(&app, &started).await["state"], "rolled_back");
}

#[tokio::test]
async fn what_a_client_did_wrong_is_not_the_versions_fault() {
    let (app, _standin) = app_with("openai/refusing").await;
    let started = deploy(&app, &json!({ "task": "greet", "version": "1.1.0" })).await;
    assert_eq!(failures(&app).await, 400);
    assert_eq!(deployment(&app, &started).await["state"], "live");
}

#[tokio::test]
async fn a_shadow_is_asked_beside_the_live_version_and_its_answers_are_kept() {
    let (app, standin) = app_with("openai/slow").await;
    let plan =
        json!({ "strategy": "shadow", "share": 1.0, "goal": { "metric": "success_rate", "margin": 0.1 } });
    let started = deploy(
        &app,
        &json!({ "task": "greet", "version": "1.1.0", "plan": plan }),
    )
    .await;
    for number in 0..5 {
        let mut body = chat("task:greet", "Hello!");
        body["stream"] = json!(number % 2 == 0);
        let response = ask_chat(&app, &body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.text().await.unwrap();
    }
    let mut seen = Value::Null;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        seen = deployment(&app, &started).await;
        if seen["look"]["comparisons"][0]["new"]["outcomes"] == 5 {
            break;
        }
    }
    assert_eq!(seen["look"]["comparisons"][0]["new"]["outcomes"], 5, "{seen}");
    assert_eq!(seen["look"]["comparisons"][0]["live"]["outcomes"], 5, "{seen}");
    assert_eq!(seen["look"]["disagreement"]["outcomes"], 5, "{seen}");
    let asked: Vec<Value> = standin
        .asked()
        .iter()
        .map(|asked| serde_json::from_str(&asked.body).unwrap())
        .collect();
    let of = |model: &str| {
        asked
            .iter()
            .filter(|body| body["model"] == model)
            .collect::<Vec<_>>()
    };
    assert_eq!((of("gpt-4o-mini").len(), of("slow").len()), (5, 5));
    for body in of("slow") {
        assert_eq!(body["messages"][0]["content"], "Greet warmly.");
        assert!(body.get("stream").is_none(), "{body}");
    }
}
