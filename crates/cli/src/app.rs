//! Wiring: configuration to a running engine.

use std::sync::Arc;

use hone_domain::{Ids, ProjectId, SystemClock, SystemEntropy};
use hone_engine::{Engine, EngineSettings, RecorderSettings};
use hone_storage::Db;
use hone_storage::artifacts::ArtifactStore;

use crate::config::Config;

/// An opened installation.
pub(crate) struct App {
    /// The loop.
    pub engine: Engine,
    /// The project that commands work in.
    pub project: ProjectId,
    /// The configuration it was opened with.
    pub config: Config,
}

impl App {
    /// Opens database and artifact store, and makes the project when it is missing.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let db = Db::open(&config.database_url()).await?;
        let artifacts = ArtifactStore::in_folder(&config.artifact_folder())?;
        let ids = Ids::new(Arc::new(SystemClock), Arc::new(SystemEntropy));
        let settings = EngineSettings {
            recorder: RecorderSettings {
                queue_bytes: config.recorder.queue_bytes,
                group_rows: config.recorder.group_rows.max(1),
            },
            outbound: Some(config.alerts.resolve()?),
        };
        let engine = Engine::start(db, artifacts, ids, &settings);
        let project = ProjectId(engine.ensure_project(&config.project).await?.id);
        Ok(Self {
            engine,
            project,
            config,
        })
    }

    /// Writes what is queued and closes the database.
    pub async fn close(self) {
        self.engine.stop().await;
        self.engine.db.close().await;
    }
}
