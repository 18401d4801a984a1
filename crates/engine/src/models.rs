//! Loading registered models. What is damaged is refused by its hash; then the newest earlier version that is whole counts
//! as the one that serves. Called by the router and by evaluation, so that both mean the same version.

use std::sync::Arc;

use hone_domain::{ModelVersionId, TaskId};
use hone_learn::{TextClassifier, artifact};
use hone_storage::deployments::{self, Serving};
use hone_storage::versions::{self, ModelVersion};
use hone_storage::{Conn, StorageError};
use uuid::Uuid;

use crate::engine::run_blocking;
use crate::predict::ServedModel;
use crate::prompt::PROMPT_TRAINER;
use crate::{Engine, EngineError};

/// Earlier deployments tried when the newest model is damaged.
const MAX_FALLBACKS: i64 = 20;

impl Engine {
    /// Loads and checks the model of a version.
    pub(crate) async fn load_model(&self, version: &ModelVersion) -> Result<ServedModel, EngineError> {
        if version.trainer == PROMPT_TRAINER {
            let prompt = self.load_prompt(&version.artifact_hash).await?;
            return Ok(ServedModel::Prompt(Arc::new(prompt)));
        }
        let classifier = self.load_classifier(&version.artifact_hash).await?;
        Ok(ServedModel::Classifier(classifier))
    }

    /// Loads and checks a stored classifier.
    pub(crate) async fn load_classifier(&self, hash: &str) -> Result<TextClassifier, EngineError> {
        let bytes = self.artifacts.get(hash).await?;
        Ok(run_blocking(move || artifact::decode(&bytes)).await??)
    }

    /// The version that should serve, or the newest earlier one that is whole; nothing when none is. What `loaded` knows is
    /// not loaded again.
    pub(crate) async fn load_serving(
        &self,
        serving: &Serving,
        loaded: impl Fn(Uuid) -> Option<ServedModel>,
    ) -> Result<Option<(ModelVersion, ServedModel)>, EngineError> {
        for version in self.candidates(serving).await? {
            if let Some(model) = loaded(version.id) {
                return Ok(Some((version, model)));
            }
            match self.load_model(&version).await {
                Ok(model) => return Ok(Some((version, model))),
                Err(error) if is_lost_for_good(&error) => {
                    tracing::error!(version = version.version, %error, "model refused; an earlier version is tried");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The version that should serve, then those that served before it, latest first, each once.
    async fn candidates(&self, serving: &Serving) -> Result<Vec<ModelVersion>, EngineError> {
        let mut conn = self.db.read().await?;
        let wanted = get_version(&mut conn, serving.model_version_id).await?;
        let history = deployments::list_live(&mut conn, TaskId(serving.task_id), None, MAX_FALLBACKS).await?;
        let mut candidates = vec![wanted];
        for deployment in history {
            let id = deployment.model_version_id;
            if candidates.iter().all(|known| known.id != id) {
                candidates.push(get_version(&mut conn, id).await?);
            }
        }
        Ok(candidates)
    }
}

async fn get_version(conn: &mut Conn, id: Uuid) -> Result<ModelVersion, StorageError> {
    versions::get(conn, ModelVersionId(id)).await
}

/// Whether trying again would give the same: the artifact is damaged or gone, and not merely out of reach.
fn is_lost_for_good(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Artifact(_)
            | EngineError::Storage(StorageError::DamagedArtifact { .. } | StorageError::Missing { .. })
    )
}
