//! Budgets and rate limits.

use hone_domain::{Allowance, Limits};
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_limit_refuses_with_its_owner_and_the_time_to_wait() {
    let (app, standin) = app().await;
    let policy = json!({ "gateway": { "models": [{ "model": "openai/gpt-4o-mini" }] }, "limits": { "per_minute": { "requests": 2 } } });
    generate_task(&app, "answers", policy).await;
    let mut last = (0, Value::Null);
    for _ in 0..3 {
        let response = ask_chat(&app, &chat("task:answers", "hi")).send().await.unwrap();
        if response.status() == 429 {
            let seconds: u64 = response.headers()["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((1..=60).contains(&seconds));
        }
        last = json_of(response).await;
    }
    assert_eq!(
        (last.0, &last.1["error"]["type"]),
        (429, &json!("rate_limit_error")),
        "{last:?}"
    );
    let message = last.1["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("task \"answers\"") && message.contains("requests"),
        "{message}"
    );
    assert_eq!(standin.asked().len(), 2, "a refused request reaches no provider");
    // Another task is not limited, and a minute later this one is not either.
    assert_eq!(
        ask_chat(&app, &chat("gpt-4o", "hi"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    app.clock.advance_us(60_000_000);
    assert_eq!(
        ask_chat(&app, &chat("task:answers", "hi"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn tokens_and_cost_are_budgeted_a_day() {
    let (app, _standin) = app().await;
    for (name, allowance, said) in [
        ("tokens", json!({ "tokens": 20 }), "tokens"),
        ("cost", json!({ "cost_usd": 0.000_008 }), "USD"),
    ] {
        let policy = json!({ "gateway": { "models": [{ "model": "openai/gpt-4o-mini" }] }, "limits": { "per_day": allowance } });
        generate_task(&app, name, policy).await;
        let mut statuses = Vec::new();
        let mut refused = String::new();
        for _ in 0..3 {
            let (status, reply) = json_of(
                ask_chat(&app, &chat(&format!("task:{name}"), "hi"))
                    .send()
                    .await
                    .unwrap(),
            )
            .await;
            statuses.push(status);
            refused = reply["error"]["message"].as_str().unwrap_or_default().to_owned();
        }
        assert_eq!(statuses, [200, 200, 429], "{name}");
        assert!(refused.contains(said) && refused.contains("day"), "{refused}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_has_used_what_it_heard() {
    let (app, _standin) = app().await;
    let policy = json!({ "gateway": { "models": [{ "model": "openai/slow-stream" }] }, "limits": { "per_day": { "tokens": 20 } } });
    generate_task(&app, "answers", policy).await;
    let asking = streamed(chat("task:answers", &"a long question ".repeat(20)));
    let mut response = ask_chat(&app, &asking).send().await.unwrap();
    let id = id_of(&response);
    response.chunk().await.unwrap();
    drop(response);
    assert_eq!(recorded(&app, &id).await["status"], "cancelled");
    let again = ask_chat(&app, &asking).send().await.unwrap();
    let (status, reply) = json_of(again).await;
    assert_eq!(status, 429, "{reply}");
}

#[tokio::test]
async fn limits_of_a_project_count_all_its_requests() {
    let (app, _standin) = app().await;
    let limits = Limits {
        per_minute: Allowance {
            requests: Some(1),
            ..Allowance::default()
        },
        ..Limits::default()
    };
    app.engine.set_project_limits(app.project, limits).await.unwrap();
    assert_eq!(
        ask_chat(&app, &chat("gpt-4o", "hi"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    let body = json!({ "model": "claude", "max_tokens": 5, "messages": [] });
    let response = app
        .request("/anthropic/v1/messages")
        .json(&body)
        .send()
        .await
        .unwrap();
    let (status, reply) = json_of(response).await;
    assert_eq!(
        (status, &reply["error"]["type"]),
        (429, &json!("rate_limit_error")),
        "{reply}"
    );
    assert!(
        reply["error"]["message"].as_str().unwrap().contains("project"),
        "{reply}"
    );
}
