//! The whole app in a test: engine, API and pages on a free port; jobs run when the test says so.

use std::sync::Arc;

use hone_api::AppState;
use hone_domain::{ManualClock, ProjectId, ScopeSet, TaskKind, TaskPolicy};
use hone_engine::{Engine, EngineSettings};
use hone_gateway::{Gateway, GatewaySettings};
use hone_jobs::Worker;
use hone_outbound::{Outbound, OutboundSettings};
use hone_storage::artifacts::ArtifactStore;
use hone_storage::tasks::Task;
use hone_web::{Access, WebState};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{TestDb, database_of_kind, ids};

/// A running app with one project, one key and a clock that the test moves.
#[derive(Debug)]
pub struct TestApp {
    /// The loop.
    pub engine: Engine,
    /// Passes requests to providers.
    pub gateway: Gateway,
    /// Runs jobs when told to.
    pub worker: Worker,
    /// Moves time.
    pub clock: Arc<ManualClock>,
    /// The project.
    pub project: ProjectId,
    /// A key with every scope.
    pub key: String,
    /// `http://127.0.0.1:port`.
    pub address: String,
    /// The database and its folder.
    pub database: TestDb,
    http: reqwest::Client,
    _serving: TaskTracker,
}

impl TestApp {
    /// Starts over a fresh database of a kind, `sqlite` or `postgres`, with the task `intent`. `None` when there is no
    /// PostgreSQL to test with.
    pub async fn of_kind(kind: &str) -> Option<Self> {
        let app = Self::over(database_of_kind(kind).await?, &EngineSettings::default()).await;
        app.task("intent").await;
        Some(app)
    }

    /// Starts over a database.
    pub async fn over(database: TestDb, settings: &EngineSettings) -> Self {
        Self::with_providers(database, settings, GatewaySettings::default()).await
    }

    /// Starts over a database with providers.
    pub async fn with_providers(
        database: TestDb,
        settings: &EngineSettings,
        providers: GatewaySettings,
    ) -> Self {
        let (ids, clock) = ids();
        let artifacts = ArtifactStore::in_folder(&database.folder.path().join("artifacts")).unwrap();
        let mut settings = settings.clone();
        // What is told goes to receivers of the test, on the loopback.
        let outbound = OutboundSettings {
            allow_private: true,
            ..OutboundSettings::default()
        };
        settings.outbound.get_or_insert(Outbound::new(&outbound).unwrap());
        let engine = Engine::start(database.db.clone(), artifacts, ids, &settings);
        let project = ProjectId(engine.ensure_project("test").await.unwrap().id);
        let key = engine
            .create_key(project, "test", ScopeSet::all(), None)
            .await
            .unwrap()
            .secret;
        let gateway = Gateway::start(engine.clone(), providers).unwrap();
        let worker = engine.worker();
        let pages = hone_web::router(WebState {
            engine: engine.clone(),
            access: Access::Open(project),
        });
        let routes = pages.merge(hone_api::router(AppState::new(
            gateway.clone(),
            worker.clone(),
            CancellationToken::new(),
        )));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = TaskTracker::new();
        serving.spawn(async move { axum::serve(listener, routes).await });
        let http = reqwest::Client::new();
        Self {
            engine,
            gateway,
            worker,
            clock,
            project,
            key,
            address,
            database,
            http,
            _serving: serving,
        }
    }

    /// Makes a classify task with the default policies.
    pub async fn task(&self, name: &str) -> Task {
        self.engine
            .create_task(
                self.project,
                name,
                TaskKind::Classify,
                TaskPolicy::default(),
                None,
            )
            .await
            .unwrap()
    }

    /// Runs all jobs that are due within the next two seconds; gives how many.
    pub async fn run_jobs(&self) -> usize {
        self.clock.advance_us(2_000_000);
        self.worker.run_until_idle().await.unwrap()
    }

    /// Sends JSON; gives status and answer.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post_raw(path, "application/json", body.to_string()).await
    }

    /// Sends any body; gives status and answer.
    pub async fn post_raw(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let request = self
            .http
            .post(format!("{}{path}", self.address))
            .header("content-type", content_type);
        let response = request.bearer_auth(&self.key).body(body).send().await.unwrap();
        (
            response.status().as_u16(),
            response.json().await.unwrap_or_default(),
        )
    }

    /// Sends JSON with an `Idempotency-Key`; gives status and answer.
    pub async fn post_once(&self, key: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self
            .http
            .post(format!("{}{path}", self.address))
            .header("idempotency-key", key);
        let response = request.bearer_auth(&self.key).json(body).send().await.unwrap();
        (
            response.status().as_u16(),
            response.json().await.unwrap_or_default(),
        )
    }

    /// A POST with the key, to be filled and sent.
    pub fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}{path}", self.address))
            .bearer_auth(&self.key)
    }

    /// Puts JSON; gives status and answer.
    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.put(format!("{}{path}", self.address));
        let response = request.bearer_auth(&self.key).json(body).send().await.unwrap();
        (
            response.status().as_u16(),
            response.json().await.unwrap_or_default(),
        )
    }

    /// Deletes; gives the status.
    pub async fn delete(&self, path: &str) -> u16 {
        let request = self.http.delete(format!("{}{path}", self.address));
        let response = request.bearer_auth(&self.key).send().await.unwrap();
        response.status().as_u16()
    }

    /// Asks; gives status and answer.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response = self
            .http
            .get(format!("{}{path}", self.address))
            .bearer_auth(&self.key)
            .send()
            .await
            .unwrap();
        (
            response.status().as_u16(),
            response.json().await.unwrap_or_default(),
        )
    }
}
