//! What every handler shares: the engine, the worker to wake, and short-lived memories of keys and projects.

use std::sync::Arc;
use std::time::Duration;

use hone_domain::ProjectId;
use hone_engine::{Engine, EngineError};
use hone_gateway::Gateway;
use hone_jobs::Worker;
use hone_storage::keys::ApiKey;
use hone_storage::projects::{self, Project};
use moka::sync::Cache;
use tokio_util::sync::CancellationToken;

/// How long a key is remembered; a revoked key is refused everywhere after this time.
const KEY_CACHE: Duration = Duration::from_secs(2);

/// State of the HTTP surface. Cheap to clone: every request does.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Shared>);

/// What `GET /metrics` shows.
pub struct MetricsPage {
    /// Whether anyone may see it, as on a loopback address; otherwise it takes a key with the scope `read`.
    pub is_open: bool,
    /// Writes what was counted, in Prometheus' text format.
    pub render: Box<dyn Fn() -> String + Send + Sync>,
}

impl std::fmt::Debug for MetricsPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsPage")
            .field("is_open", &self.is_open)
            .finish_non_exhaustive()
    }
}

/// What every handler shares.
#[derive(Debug)]
pub struct Shared {
    /// The loop.
    pub engine: Engine,
    /// Passes requests to providers.
    pub gateway: Gateway,
    /// Woken when a handler enqueues a job.
    pub worker: Worker,
    /// Ends streams of events when the server stops.
    pub stop: CancellationToken,
    /// What `GET /metrics` shows; nothing where nobody counts.
    pub metrics: Option<MetricsPage>,
    keys: Cache<String, Option<Arc<ApiKey>>>,
    projects: Cache<ProjectId, Arc<Project>>,
}

impl AppState {
    /// Stores the parts.
    pub fn new(gateway: Gateway, worker: Worker, stop: CancellationToken) -> Self {
        let keys = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(KEY_CACHE)
            .build();
        let projects = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(KEY_CACHE)
            .build();
        Self(Arc::new(Shared {
            engine: gateway.engine().clone(),
            gateway,
            worker,
            stop,
            metrics: None,
            keys,
            projects,
        }))
    }

    /// The same with metrics to show. Called before the state is shared.
    pub fn with_metrics(mut self, page: MetricsPage) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.metrics = Some(page);
        }
        self
    }

    pub(crate) async fn find_key(&self, secret: &str) -> Result<Option<Arc<ApiKey>>, EngineError> {
        if let Some(remembered) = self.keys.get(secret) {
            return Ok(remembered);
        }
        let found = self.engine.find_working_key(secret).await?.map(Arc::new);
        self.keys.insert(secret.to_owned(), found.clone());
        Ok(found)
    }

    /// The project; a change of its limits reaches every server within seconds.
    pub(crate) async fn project(&self, id: ProjectId) -> Result<Arc<Project>, EngineError> {
        if let Some(project) = self.projects.get(&id) {
            return Ok(project);
        }
        let project = Arc::new(projects::get(&mut self.engine.db.read().await?, id).await?);
        self.projects.insert(id, project.clone());
        Ok(project)
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
