//! The HTTP calls that the demo makes: the same ones an application would.

use anyhow::Context as _;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::TASK;

pub(super) struct Client {
    http: reqwest::Client,
    address: String,
    key: String,
}

/// What came back for one message.
pub(super) struct Reply {
    pub interaction_id: String,
    /// The predicted label; none while the task has no model.
    pub label: Option<String>,
}

/// A registered version, as the demo's table shows it.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct VersionSummary {
    pub version: String,
    pub stage: String,
    pub accuracy: f64,
    pub macro_f1: f64,
    pub examples: i64,
    pub reason: String,
}

impl Client {
    pub fn new(address: &str, key: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().tcp_nodelay(true).build()?;
        Ok(Self {
            http,
            address: address.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Asks the model; while there is none, a person answers and the message is recorded without a label.
    pub async fn ask(&self, text: &str) -> anyhow::Result<Reply> {
        let (status, body) = self
            .post("/v1/classify", &json!({ "task": TASK, "text": text }))
            .await?;
        if status == StatusCode::CONFLICT {
            let record = json!({ "task": TASK, "input": text, "source": "human" });
            let (_, body) = self.post("/v1/interactions", &record).await?;
            return Ok(Reply {
                interaction_id: string(&body["id"])?,
                label: None,
            });
        }
        let prediction = &body["predictions"][0];
        let label = prediction["label"].as_str().map(str::to_owned);
        Ok(Reply {
            interaction_id: string(&prediction["interaction_id"])?,
            label,
        })
    }

    /// Says which label is right.
    pub async fn correct(&self, interaction_id: &str, label: &str) -> anyhow::Result<()> {
        self.feedback(&json!({ "interaction_id": interaction_id, "kind": "correction", "label": label, "source": "expert" }))
            .await
    }

    /// Says that the answer was right.
    pub async fn approve(&self, interaction_id: &str) -> anyhow::Result<()> {
        self.feedback(&json!({ "interaction_id": interaction_id, "kind": "thumb", "up": true }))
            .await
    }

    /// Starts a training with settings of its own.
    pub async fn train(&self, settings: &Value) -> anyhow::Result<()> {
        let (status, body) = self
            .post(
                &format!("/v1/tasks/{TASK}/train"),
                &json!({ "settings": settings }),
            )
            .await?;
        anyhow::ensure!(status.is_success(), "training not started: {body}");
        Ok(())
    }

    /// Waits until no job waits or runs.
    pub async fn wait_until_idle(&self) -> anyhow::Result<()> {
        loop {
            let queued = self.get("/v1/jobs?state=queued&limit=50").await?;
            let running = self.get("/v1/jobs?state=running&limit=1").await?;
            let is_scheduled = |job: &Value| job["kind"] == "CheckTriggers" || job["kind"] == "RunScheduled";
            let waits = queued["items"]
                .as_array()
                .is_some_and(|jobs| jobs.iter().any(|job| !is_scheduled(job)));
            if !waits && running["items"].as_array().is_none_or(Vec::is_empty) {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        }
    }

    /// The version that serves.
    pub async fn serving(&self) -> anyhow::Result<Option<String>> {
        let task = self.get(&format!("/v1/tasks/{TASK}")).await?;
        Ok(task["serving"].as_str().map(str::to_owned))
    }

    /// All registered versions, oldest first.
    pub async fn summary(&self) -> anyhow::Result<Vec<VersionSummary>> {
        let models = self.get(&format!("/v1/models?task={TASK}&limit=100")).await?;
        let runs = self.get(&format!("/v1/runs?task={TASK}&limit=100")).await?;
        let datasets = self.get(&format!("/v1/datasets?task={TASK}&limit=100")).await?;
        let items = |page: &Value| page["items"].as_array().cloned().unwrap_or_default();
        let (runs, datasets) = (items(&runs), items(&datasets));
        let by_id = |list: &[Value], id: &Value| {
            list.iter()
                .find(|item| item["id"] == *id)
                .cloned()
                .unwrap_or_default()
        };
        let mut versions: Vec<VersionSummary> = items(&models)
            .iter()
            .map(|model| VersionSummary {
                version: model["version"].as_str().unwrap_or_default().to_owned(),
                stage: model["stage"].as_str().unwrap_or_default().to_owned(),
                accuracy: model["metrics"]["accuracy"].as_f64().unwrap_or_default(),
                macro_f1: model["metrics"]["macro_f1"].as_f64().unwrap_or_default(),
                examples: by_id(&datasets, &model["dataset_id"])["example_count"]
                    .as_i64()
                    .unwrap_or_default(),
                reason: by_id(&runs, &model["run_id"])["reason"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            })
            .collect();
        versions.reverse();
        Ok(versions)
    }

    async fn feedback(&self, body: &Value) -> anyhow::Result<()> {
        let (status, body) = self.post("/v1/feedback", body).await?;
        anyhow::ensure!(status.is_success(), "feedback refused: {body}");
        Ok(())
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<(StatusCode, Value)> {
        let request = self
            .http
            .post(format!("{}{path}", self.address))
            .bearer_auth(&self.key)
            .json(body);
        let response = request.send().await.with_context(|| format!("POST {path}"))?;
        Ok((response.status(), response.json().await?))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self
            .http
            .get(format!("{}{path}", self.address))
            .bearer_auth(&self.key);
        Ok(request
            .send()
            .await
            .with_context(|| format!("GET {path}"))?
            .error_for_status()?
            .json()
            .await?)
    }
}

fn string(value: &Value) -> anyhow::Result<String> {
    Ok(value
        .as_str()
        .context("the server answered without an interaction id")?
        .to_owned())
}
