//! The gateway through the whole app, with a stand-in provider: what passes through, what goes wrong, what is recorded.

mod cascade;
mod endings;
mod limits;
mod passing;
mod prompts;
mod providers;
mod rollouts;
mod sdks;
mod traces;
mod versions;

use std::collections::BTreeMap;
use std::time::Duration;

use hone_domain::{ProviderKind, TaskKind, TaskPolicy};
use hone_engine::EngineSettings;
use hone_gateway::{GatewaySettings, ProviderSettings, Secret};
use hone_testkit::{StandIn, TestApp, sqlite};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

/// The key of the stand-in provider, which no client may see.
const PROVIDER_KEY: &str = "sk-standin-secret";

fn provider(kind: ProviderKind, base_url: String) -> ProviderSettings {
    ProviderSettings {
        kind,
        base_url,
        api_key: Some(Secret::new(PROVIDER_KEY)),
        api_version: None,
        counts_streamed_tokens: true,
    }
}

/// Settings with the stand-in as OpenAI, Anthropic and Azure, and with a provider that nobody answers for.
fn settings(standin: &StandIn) -> GatewaySettings {
    let versioned = format!("{}/v1", standin.address);
    let azure = ProviderSettings {
        api_version: Some("2024-10-21".to_owned()),
        ..provider(ProviderKind::Azure, standin.address.clone())
    };
    GatewaySettings {
        providers: BTreeMap::from([
            (
                "openai".to_owned(),
                provider(ProviderKind::OpenAi, versioned.clone()),
            ),
            (
                "anthropic".to_owned(),
                provider(ProviderKind::Anthropic, versioned),
            ),
            ("azure".to_owned(), azure),
            (
                "gone".to_owned(),
                provider(ProviderKind::OpenAi, "http://127.0.0.1:9/v1".to_owned()),
            ),
        ]),
        ..GatewaySettings::default()
    }
}

async fn app() -> (TestApp, StandIn) {
    let standin = StandIn::start().await;
    let app = TestApp::with_providers(sqlite().await, &EngineSettings::default(), settings(&standin)).await;
    (app, standin)
}

/// A generate task with policies as JSON.
async fn generate_task(app: &TestApp, name: &str, policy: Value) {
    let policy: TaskPolicy = serde_json::from_value(policy).unwrap();
    app.engine
        .create_task(app.project, name, TaskKind::Generate, policy, None)
        .await
        .unwrap();
}

fn chat(model: &str, text: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": text }] })
}

fn streamed(mut body: Value) -> Value {
    body["stream"] = json!(true);
    body
}

fn ask_chat(app: &TestApp, body: &Value) -> RequestBuilder {
    app.request("/openai/v1/chat/completions").json(body)
}

async fn json_of(response: Response) -> (u16, Value) {
    (
        response.status().as_u16(),
        response.json().await.unwrap_or_default(),
    )
}

fn id_of(response: &Response) -> String {
    response.headers()["x-hone-interaction-id"]
        .to_str()
        .unwrap()
        .to_owned()
}

/// An interaction, as soon as it is recorded.
async fn recorded(app: &TestApp, id: &str) -> Value {
    for _ in 0..500 {
        let (status, shown) = app.get(&format!("/v1/interactions/{id}")).await;
        if status == 200 {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let last = app.get(&format!("/v1/interactions/{id}")).await;
    panic!("interaction {id} was not recorded: {last:?}");
}

/// The latest interaction of a task, as soon as there are so many.
async fn latest(app: &TestApp, task: &str, count: usize) -> Value {
    for _ in 0..500 {
        let (status, list) = app.get(&format!("/v1/interactions?task={task}&limit=500")).await;
        let items = list["items"].as_array().map_or(0, Vec::len);
        if status == 200 && items == count {
            return list["items"][0].clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("task {task} has not {count} interactions");
}
