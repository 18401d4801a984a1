//! What the gateway holds: the loop, the providers with their connections, prices and limits.

use std::sync::Arc;
use std::time::Duration;

use hone_domain::{Limits, ProjectId, ProviderKind};
use hone_engine::{Engine, EngineError, Privacy};
use hone_learn::Certified;
use hone_storage::keys::ApiKey;
use moka::sync::Cache;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cascade::{CertificateKey, Tally};
use crate::limits::{FLUSH, LimitKeeper, LimitedOwner};
use crate::models::ListedModel;
use crate::prices::{InvalidPrices, PriceTable};
use crate::provider::{InvalidProvider, Provider};
use crate::settings::GatewaySettings;
use hone_outbound::guard;

/// How long a project's own provider is remembered; a change reaches every server within this time.
const PROVIDER_CACHE: Duration = Duration::from_secs(2);
const MODELS_CACHE: Duration = Duration::from_mins(1);

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A provider's settings cannot work.
    #[error(transparent)]
    Provider(#[from] InvalidProvider),
    /// The prices cannot be used.
    #[error(transparent)]
    Prices(#[from] InvalidPrices),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// Passes requests to providers and records what they answer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    engine: Engine,
    settings: GatewaySettings,
    providers: Vec<Arc<Provider>>,
    of_projects: Cache<(ProjectId, String), Option<Arc<Provider>>>,
    models: Cache<(), Arc<Vec<ListedModel>>>,
    prices: PriceTable,
    limits: LimitKeeper,
    tally: Tally,
    certificates: Cache<CertificateKey, Option<Certified>>,
    guarded: Client,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// Who asks: the key with its project.
#[derive(Debug, Clone)]
pub struct GatewayCaller {
    /// The key.
    pub key: Arc<ApiKey>,
    /// What the project does for privacy.
    pub privacy: Arc<Privacy>,
    /// The project's budget and rate limits.
    pub project_limits: Option<Limits>,
}

impl GatewayCaller {
    pub(crate) fn project(&self) -> ProjectId {
        ProjectId(self.key.project_id)
    }

    /// The key and the project, where they have limits.
    pub(crate) fn limited_owners(&self) -> Vec<LimitedOwner> {
        let of_key = self.key.limits.map(|limits| LimitedOwner {
            id: self.key.id,
            shown: format!("key \"{}\"", self.key.name),
            limits,
        });
        let of_project = self.project_limits.map(|limits| LimitedOwner {
            id: self.key.project_id,
            shown: "the project".to_owned(),
            limits,
        });
        of_key.into_iter().chain(of_project).collect()
    }
}

impl Gateway {
    /// Checks the settings and makes the clients; no provider is asked yet.
    pub fn start(engine: Engine, settings: GatewaySettings) -> Result<Self, GatewayError> {
        let client = || {
            Client::builder()
                .connect_timeout(settings.connect_timeout)
                .redirect(Policy::none())
                .no_proxy()
        };
        let trusted = client().build()?;
        let guarded = if settings.allow_private_providers {
            trusted.clone()
        } else {
            guard::guarded(client())?
        };
        let mut providers = Vec::new();
        for (name, provider) in &settings.providers {
            providers.push(Arc::new(Provider::new(
                name,
                provider,
                trusted.clone(),
                settings.connect_timeout,
                false,
            )?));
        }
        let prices = PriceTable::with_overrides(&settings.prices)?;
        let parts = Parts {
            limits: LimitKeeper::new(engine.db.clone()),
            engine,
            providers,
            of_projects: Cache::builder()
                .max_capacity(10_000)
                .time_to_live(PROVIDER_CACHE)
                .build(),
            models: Cache::builder().time_to_live(MODELS_CACHE).build(),
            tally: Tally::default(),
            certificates: Cache::builder().max_capacity(10_000).build(),
            prices,
            guarded,
            settings,
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let gateway = Self(Arc::new(parts));
        gateway.keep_house();
        Ok(gateway)
    }

    /// Writes what is counted and waits for records on their way to the queue. The engine is stopped after it.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }

    fn keep_house(&self) {
        let gateway = self.clone();
        self.0.tracker.spawn(async move {
            loop {
                let is_last = gateway.0.stop.is_cancelled();
                if let Err(error) = gateway.limits().flush(gateway.engine().ids.now_us()).await {
                    tracing::warn!(%error, "usage cannot be added to the database yet");
                }
                if let Err(error) = gateway.tally().flush(&gateway.engine().db).await {
                    tracing::warn!(%error, "counts of cascades cannot be added to the database yet");
                }
                for provider in gateway.providers() {
                    provider.upstream().close_unused(Instant::now());
                }
                if is_last {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(FLUSH) => {}
                    () = gateway.0.stop.cancelled() => {}
                }
            }
        });
    }

    /// Whether a tenant may have this base URL; the reason why not.
    pub fn problem_of_base_url(&self, base_url: &str, kind: ProviderKind) -> Option<String> {
        match crate::provider::parse_base_url(base_url, kind) {
            Err(problem) => Some(problem),
            Ok(_) if self.0.settings.allow_private_providers => None,
            Ok(url) => guard::problem_of(&url),
        }
    }

    /// Forgets what is remembered of a project's provider after a change; other servers notice within seconds.
    pub fn forget_provider(&self, project: ProjectId, name: &str) {
        self.0.of_projects.invalidate(&(project, name.to_owned()));
    }

    /// Sets the metrics that are measured when they are looked at.
    pub async fn measure(&self) -> Result<(), EngineError> {
        for provider in self.providers() {
            let left_alone = provider.breakers.count_open(Instant::now());
            metrics::gauge!("hone_gateway_models_left_alone", "provider" => provider.name.clone())
                .set(left_alone as f64);
        }
        self.engine().measure().await
    }

    /// The loop.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn settings(&self) -> &GatewaySettings {
        &self.0.settings
    }

    pub(crate) fn providers(&self) -> &[Arc<Provider>] {
        &self.0.providers
    }

    /// Providers that projects bring, as they were read last; none where a project has no provider of that name.
    pub(crate) fn project_providers(&self) -> &Cache<(ProjectId, String), Option<Arc<Provider>>> {
        &self.0.of_projects
    }

    /// The client for providers that projects bring.
    pub(crate) fn project_client(&self) -> &Client {
        &self.0.guarded
    }

    pub(crate) fn known_models(&self) -> &Cache<(), Arc<Vec<ListedModel>>> {
        &self.0.models
    }

    pub(crate) fn prices(&self) -> &PriceTable {
        &self.0.prices
    }

    pub(crate) fn limits(&self) -> &LimitKeeper {
        &self.0.limits
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.0.tally
    }

    pub(crate) fn certificates(&self) -> &Cache<CertificateKey, Option<Certified>> {
        &self.0.certificates
    }

    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.0.tracker
    }
}
