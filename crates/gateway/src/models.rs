//! Which models there are: the project's tasks, and what each provider lists.

use std::time::Duration;

use bytes::Bytes;
use hone_domain::{ProjectId, format_rfc3339};
use hone_storage::tasks;

use crate::Gateway;
use crate::refusal::Refusal;

/// How long a provider may take to list its models.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest list that is read.
const MAX_LIST_BYTES: usize = 4 << 20;

/// A model that can be asked for.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ListedModel {
    /// What to give as `model`.
    pub id: String,
    object: &'static str,
    created: i64,
    owned_by: String,
}

#[derive(serde::Deserialize)]
struct ProviderList {
    #[serde(default)]
    data: Vec<ProviderModel>,
}

#[derive(serde::Deserialize)]
struct ProviderModel {
    id: String,
    #[serde(default)]
    created: Option<i64>,
}

impl Gateway {
    /// The project's tasks as `task:<name>`, and the models of every provider that answers.
    pub async fn list_models(&self, project: ProjectId) -> Result<Vec<ListedModel>, Refusal> {
        let mut conn = self
            .engine()
            .db
            .read()
            .await
            .map_err(|error| Refusal::of_database("tasks cannot be read", &error))?;
        let tasks = tasks::list(&mut conn, project).await.unwrap_or_default();
        drop(conn);
        let mut models: Vec<ListedModel> = tasks
            .iter()
            .map(|task| ListedModel {
                id: format!("task:{}", task.name),
                object: "model",
                created: task.created_at_us / 1_000_000,
                owned_by: "hone".to_owned(),
            })
            .collect();
        models.extend(self.provider_models().await.iter().cloned());
        Ok(models)
    }

    async fn list_of_provider(&self, name: &str, request: reqwest::RequestBuilder) -> Vec<ListedModel> {
        let listed = async {
            let response = request.timeout(LIST_TIMEOUT).send().await?.error_for_status()?;
            if response
                .content_length()
                .is_some_and(|length| length > MAX_LIST_BYTES as u64)
            {
                return Ok(Bytes::new());
            }
            response.bytes().await
        };
        let bytes = match listed.await {
            Ok(bytes) => bytes,
            Err(error) => {
                let error = error.without_url();
                tracing::warn!(provider = name, %error, "a provider does not list its models");
                return Vec::new();
            }
        };
        let list: ProviderList = serde_json::from_slice(&bytes).unwrap_or(ProviderList { data: Vec::new() });
        list.data
            .into_iter()
            .map(|model| ListedModel {
                id: format!("{name}/{}", model.id),
                object: "model",
                created: model.created.unwrap_or_default(),
                owned_by: name.to_owned(),
            })
            .collect()
    }

    /// What every configured provider lists, remembered for a minute.
    async fn provider_models(&self) -> std::sync::Arc<Vec<ListedModel>> {
        if let Some(known) = self.known_models().get(&()) {
            return known;
        }
        let mut models = Vec::new();
        for provider in self.providers() {
            models.extend(
                self.list_of_provider(&provider.name, provider.list_models())
                    .await,
            );
        }
        tracing::debug!(
            at = format_rfc3339(self.engine().ids.now_us()),
            models = models.len(),
            "models listed"
        );
        let models = std::sync::Arc::new(models);
        self.known_models().insert((), models.clone());
        models
    }
}
