//! Where a request belongs: the task that it is of, and the models that may answer it.

use std::sync::Arc;

use hone_domain::{ProjectId, TaskKind, TaskPolicy};
use hone_engine::EngineError;
use hone_storage::providers;
use hone_storage::tasks::Task;

use crate::Gateway;
use crate::context::RequestContext;
use crate::endpoint::Endpoint;
use crate::provider::Provider;
use crate::proxy::unavailable;
use crate::refusal::{Refusal, RefusalKind};
use crate::route::{Candidate, in_order_of_asking};
use crate::settings::ProviderSettings;

impl Gateway {
    /// The task that a request belongs to: the one it asks for, the one it names beside a model, or the default one.
    pub(crate) async fn task_of(
        &self,
        project: ProjectId,
        endpoint: Endpoint,
        asked_model: &str,
        context: &RequestContext,
    ) -> Result<Arc<Task>, Refusal> {
        let asked = asked_model.strip_prefix("task:").or(context.task.as_deref());
        if let Some(name) = asked {
            return self.named_task(project, name).await;
        }
        let default_task = &self.settings().default_task;
        if endpoint == Endpoint::Embeddings {
            return self
                .default_task(project, &format!("{default_task}-embeddings"))
                .await;
        }
        self.default_task(project, default_task).await
    }

    /// The task that a request names.
    pub(crate) async fn named_task(&self, project: ProjectId, name: &str) -> Result<Arc<Task>, Refusal> {
        self.engine()
            .get_task(project, name)
            .await
            .map_err(|error| match error {
                EngineError::NotFound { .. } => {
                    let message = format!(
                        "task \"{name}\" does not exist; `hone task create {name} --kind generate` makes it"
                    );
                    Refusal::new(RefusalKind::NotFound, message)
                }
                other => unavailable(&other),
            })
    }

    /// A task for requests that name none, made with the first of them.
    pub(crate) async fn default_task(&self, project: ProjectId, name: &str) -> Result<Arc<Task>, Refusal> {
        match self.engine().get_task(project, name).await {
            Err(EngineError::NotFound { .. }) => {}
            found => return found.map_err(|error| unavailable(&error)),
        }
        let made = self
            .engine()
            .create_task(project, name, TaskKind::Generate, TaskPolicy::default(), None)
            .await;
        match made {
            Ok(task) => Ok(Arc::new(task)),
            // Another request was faster.
            Err(EngineError::Conflict(_)) => {
                let found = self.engine().get_task(project, name).await;
                found.map_err(|error| unavailable(&error))
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Who may answer, in the order of asking: the model of the task's version, then the task's models. Models that do not
    /// speak the endpoint's protocol, or whose provider is not known, are passed over while there are others.
    pub(crate) async fn candidates(
        &self,
        project: ProjectId,
        endpoint: Endpoint,
        asked_model: &str,
        task: &Task,
        model_of_version: Option<&str>,
        context: &RequestContext,
    ) -> Result<Vec<Candidate>, Refusal> {
        let candidates = if asked_model.starts_with("task:") {
            self.candidates_of_task(project, endpoint, task, model_of_version)
                .await?
        } else {
            vec![self.candidate(project, endpoint, asked_model).await?]
        };
        let is_of_project = |candidate: &Candidate| candidate.provider.is_of_project;
        if candidates.iter().any(is_of_project) && context.provider_key.is_none() {
            let message = "this provider's key is not kept here; send it as x-hone-provider-key";
            return Err(Refusal::new(RefusalKind::Unauthorized, message));
        }
        Ok(candidates)
    }

    async fn candidates_of_task(
        &self,
        project: ProjectId,
        endpoint: Endpoint,
        task: &Task,
        model_of_version: Option<&str>,
    ) -> Result<Vec<Candidate>, Refusal> {
        let routes = in_order_of_asking(&task.policy.gateway.models, &self.engine().ids);
        let mut names: Vec<&str> = model_of_version.into_iter().collect();
        for route in routes {
            if !names.contains(&route.model.as_str()) {
                names.push(&route.model);
            }
        }
        if names.is_empty() {
            let message = format!(
                "task \"{0}\" has no models; name some: hone task set {0} '{{\"gateway\":{{\"models\":[{{\"model\":\"openai/gpt-4o-mini\"}}]}}}}'",
                task.name
            );
            return Err(Refusal::new(RefusalKind::Invalid, message));
        }
        let (mut candidates, mut passed_over) = (Vec::with_capacity(names.len()), None);
        for name in names {
            match self.candidate_of_task(project, endpoint, name).await {
                Ok(candidate) => candidates.push(candidate),
                Err(refusal) if matches!(refusal.kind, RefusalKind::NotSpoken | RefusalKind::NotFound) => {
                    if refusal.kind == RefusalKind::NotFound {
                        tracing::warn!(
                            task = task.name,
                            model = name,
                            "no provider answers for a model of a task; it is passed over"
                        );
                    }
                    passed_over = Some(refusal);
                }
                Err(refusal) => return Err(refusal),
            }
        }
        match passed_over {
            Some(refusal) if candidates.is_empty() => Err(refusal),
            _ => Ok(candidates),
        }
    }

    /// Who answers for a model of a task, which is named with its provider.
    async fn candidate_of_task(
        &self,
        project: ProjectId,
        endpoint: Endpoint,
        model: &str,
    ) -> Result<Candidate, Refusal> {
        let (name, own) = model.split_once('/').unwrap_or((model, ""));
        match self.find_provider(project, name).await? {
            Some(provider) => self.checked(endpoint, provider, own),
            None => Err(Refusal::new(RefusalKind::NotFound, self.unknown_model(model))),
        }
    }

    /// Who answers for a model as the client names it: `provider/model`, or a model alone for the endpoint's own protocol.
    async fn candidate(
        &self,
        project: ProjectId,
        endpoint: Endpoint,
        model: &str,
    ) -> Result<Candidate, Refusal> {
        if let Some((name, model)) = model.split_once('/')
            && let Some(provider) = self.find_provider(project, name).await?
        {
            return self.checked(endpoint, provider, model);
        }
        let native = self
            .providers()
            .iter()
            .filter(|provider| endpoint.is_native_to(provider.kind));
        let preferred = native
            .clone()
            .find(|provider| provider.name == endpoint.dialect().name());
        match preferred.or(native.clone().next()) {
            Some(provider) => self.checked(endpoint, provider.clone(), model),
            None => Err(Refusal::new(RefusalKind::NotFound, self.unknown_model(model))),
        }
    }

    fn checked(
        &self,
        endpoint: Endpoint,
        provider: Arc<Provider>,
        model: &str,
    ) -> Result<Candidate, Refusal> {
        if model.is_empty() {
            return Err(Refusal::new(RefusalKind::NotFound, self.unknown_model(model)));
        }
        if !endpoint.is_answered_by(provider.kind) {
            let message = format!(
                "provider \"{}\" is of kind {}, which does not answer {}; choose a model of another provider",
                provider.name,
                provider.kind,
                endpoint.path()
            );
            return Err(Refusal::new(RefusalKind::NotSpoken, message));
        }
        Ok(Candidate {
            breaker: provider.breakers.of(model),
            provider,
            model: model.to_owned(),
        })
    }

    fn unknown_model(&self, model: &str) -> String {
        let names: Vec<&str> = self
            .providers()
            .iter()
            .map(|provider| provider.name.as_str())
            .collect();
        let known = if names.is_empty() {
            "none is configured yet: add [gateway.providers.openai] to hone.toml".to_owned()
        } else {
            format!("configured are: {}", names.join(", "))
        };
        format!("no provider answers for model \"{model}\"; write provider/model or task:<name>; {known}")
    }

    async fn find_provider(&self, project: ProjectId, name: &str) -> Result<Option<Arc<Provider>>, Refusal> {
        let configured = self.providers().iter().find(|provider| provider.name == name);
        if let Some(provider) = configured {
            return Ok(Some(provider.clone()));
        }
        let key = (project, name.to_owned());
        if let Some(known) = self.project_providers().get(&key) {
            return Ok(known);
        }
        let found = self.load_project_provider(project, name).await?;
        self.project_providers().insert(key, found.clone());
        Ok(found)
    }

    async fn load_project_provider(
        &self,
        project: ProjectId,
        name: &str,
    ) -> Result<Option<Arc<Provider>>, Refusal> {
        let unavailable = |error| Refusal::of_database("providers cannot be read", &error);
        if hone_domain::require_name("", name).is_err() {
            return Ok(None);
        }
        let mut conn = self.engine().db.read().await.map_err(unavailable)?;
        let found = providers::find_by_name(&mut conn, project, name).await;
        let Some(row) = found.map_err(unavailable)? else {
            return Ok(None);
        };
        // What was allowed when it was set may not be allowed any more.
        if let Some(problem) = self.problem_of_base_url(&row.base_url, row.kind) {
            let message = format!("provider \"{name}\" cannot be asked: {problem}");
            return Err(Refusal::new(RefusalKind::Forbidden, message));
        }
        let settings = ProviderSettings {
            kind: row.kind,
            base_url: row.base_url,
            api_key: None,
            api_version: None,
            counts_streamed_tokens: true,
        };
        let provider = Provider::new(
            name,
            &settings,
            self.project_client().clone(),
            self.settings().connect_timeout,
            true,
        );
        let provider = provider.map_err(|error| Refusal::new(RefusalKind::Internal, error.to_string()))?;
        Ok(Some(Arc::new(provider)))
    }
}
