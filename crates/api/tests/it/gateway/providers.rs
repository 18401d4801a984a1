//! Providers that a project brings itself.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_tenants_provider_at_a_private_address_is_refused() {
    let (app, _standin) = app().await;
    for url in [
        "http://127.0.0.1:8000/v1",
        "https://169.254.169.254/latest",
        "https://[::1]/v1",
        "https://localhost/v1",
        "https://10.0.0.1/v1",
        "file:///etc/passwd",
        "https://user:pass@example.org/v1",
    ] {
        let (status, problem) = app
            .put(
                "/v1/providers/mine",
                &json!({ "kind": "openai", "base_url": url }),
            )
            .await;
        assert_eq!(
            (status, &problem["errors"][0]["pointer"]),
            (422, &json!("/base_url")),
            "{url}: {problem}"
        );
    }
    assert_eq!(app.get("/v1/providers").await.1, json!({ "items": [] }));
}

#[tokio::test]
async fn where_the_operator_allows_it_a_tenants_provider_is_asked_with_the_tenants_key() {
    let standin = StandIn::start().await;
    let settings = GatewaySettings {
        allow_private_providers: true,
        ..settings(&standin)
    };
    let app = TestApp::with_providers(sqlite().await, &EngineSettings::default(), settings).await;
    let body = json!({ "kind": "openai", "base_url": format!("{}/v1", standin.address) });
    assert_eq!(app.put("/v1/providers/mine", &body).await.0, 200);
    assert_eq!(app.get("/v1/providers").await.1["items"][0]["name"], "mine");
    let (status, reply) = json_of(
        ask_chat(&app, &chat("mine/some-model", "hi"))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(status, 401, "{reply}");
    assert!(
        reply["error"]["message"]
            .as_str()
            .unwrap()
            .contains("x-hone-provider-key")
    );
    let asking = ask_chat(&app, &chat("mine/some-model", "hi")).header("x-hone-provider-key", "sk-tenant");
    assert_eq!(asking.send().await.unwrap().status(), 200);
    assert_eq!(standin.asked()[0].headers["authorization"], "Bearer sk-tenant");
    assert_eq!(app.delete("/v1/providers/mine").await, 204);
    let asking = ask_chat(&app, &chat("mine/some-model", "hi")).header("x-hone-provider-key", "sk-tenant");
    asking.send().await.unwrap();
    assert_eq!(
        standin.asked().len(),
        2,
        "the name now belongs to a model of the default provider"
    );
    assert_eq!(standin.last_body()["model"], "mine/some-model");
}
