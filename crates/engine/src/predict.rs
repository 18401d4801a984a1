//! Prediction: the router knows which model serves each task and swaps it without dropping a request.
//!
//! Models are loaded when the database says that another version serves. One that is damaged is refused; what served
//! before goes on serving, and after a restart the newest earlier version that is whole.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use hone_domain::{ModelVersionId, ProjectId, TaskId};
use hone_learn::{Scratch, TextClassifier};
use hone_storage::deployments::{self, Serving};
use hone_storage::tasks::Task;
use hone_storage::versions::{self, ModelVersion};

use crate::{Engine, EngineError};

/// Earlier deployments tried when the newest model is damaged.
const MAX_FALLBACKS: i64 = 20;

/// A model that serves a task.
#[derive(Debug)]
pub struct Served {
    /// Its registration.
    pub version: ModelVersion,
    /// The model itself.
    pub classifier: TextClassifier,
    epoch: i64,
}

type ServedByTask = HashMap<TaskId, Arc<Served>>;

/// Which model serves each task, in this process.
#[derive(Debug, Default)]
pub(crate) struct Router {
    served: RwLock<Arc<ServedByTask>>,
    /// One refresh at a time: two would load the same model twice.
    refreshing: tokio::sync::Mutex<()>,
}

impl Router {
    fn snapshot(&self) -> Arc<ServedByTask> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, served: ServedByTask) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(served);
    }
}

/// What a model says of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The most probable label; absent when the model abstains.
    pub label: Option<String>,
    /// Calibrated probability of the most probable label.
    pub probability: f64,
    /// The most probable labels with their probabilities, most probable first.
    pub alternatives: Vec<(String, f64)>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Engine {
    /// The model that serves this task.
    pub fn served(&self, task: &Task) -> Result<Arc<Served>, EngineError> {
        let served = self.router.snapshot().get(&task.task_id()).cloned();
        served.ok_or_else(|| EngineError::NoModel(task.name.clone()))
    }

    /// Predicts one text; abstains below the task's threshold.
    pub fn predict(&self, task: &Task, served: &Served, text: &str) -> Answer {
        let policy = &task.policy.prediction;
        let name = |number: usize| served.classifier.labels[number].clone();
        SCRATCH.with_borrow_mut(|scratch| {
            let prediction = served.classifier.predict(text, policy.alternatives, scratch);
            let probability = f64::from(prediction.probability);
            Answer {
                label: (probability >= policy.abstain_below).then(|| name(prediction.label)),
                probability,
                alternatives: prediction
                    .top
                    .iter()
                    .map(|&(number, p)| (name(number), f64::from(p)))
                    .collect(),
            }
        })
    }

    /// Loads what the database says serves and is not loaded yet.
    pub async fn refresh_router(&self) -> Result<(), EngineError> {
        let _one_at_a_time = self.router.refreshing.lock().await;
        let serving = deployments::list_serving(&mut self.db.read().await?).await?;
        let current = self.router.snapshot();
        let is_current = |serving: &Serving| {
            current
                .get(&TaskId(serving.task_id))
                .is_some_and(|served| served.epoch == serving.epoch)
        };
        if serving.iter().all(is_current) {
            return Ok(());
        }
        let mut next = (*current).clone();
        for serving in serving.iter().filter(|serving| !is_current(serving)) {
            let task = TaskId(serving.task_id);
            if let Some(served) = self.load_served(serving, current.get(&task)).await? {
                next.insert(task, Arc::new(served));
            }
        }
        self.router.replace(next);
        Ok(())
    }

    /// The version that should serve, or the newest earlier one that is whole; nothing when what runs already is that.
    async fn load_served(
        &self,
        serving: &Serving,
        current: Option<&Arc<Served>>,
    ) -> Result<Option<Served>, EngineError> {
        let mut conn = self.db.read().await?;
        let wanted = versions::get(&mut conn, ModelVersionId(serving.model_version_id)).await?;
        let project = ProjectId(wanted.project_id);
        let history = deployments::list(
            &mut conn,
            project,
            Some(TaskId(serving.task_id)),
            None,
            MAX_FALLBACKS,
        )
        .await?;
        let mut candidates = vec![wanted];
        for deployment in history.iter().skip(1) {
            if candidates
                .iter()
                .all(|known| known.id != deployment.model_version_id)
            {
                candidates.push(versions::get(&mut conn, ModelVersionId(deployment.model_version_id)).await?);
            }
        }
        drop(conn);
        for version in candidates {
            if let Some(current) = current.filter(|current| current.version.id == version.id) {
                let (version, classifier) = (version, current.classifier.clone());
                return Ok(Some(Served {
                    version,
                    classifier,
                    epoch: serving.epoch,
                }));
            }
            match self.load_classifier(&version.artifact_hash).await {
                Ok(classifier) => {
                    return Ok(Some(Served {
                        version,
                        classifier,
                        epoch: serving.epoch,
                    }));
                }
                Err(error) => {
                    tracing::error!(version = version.version, %error, "model refused; an earlier version serves");
                }
            }
        }
        Ok(None)
    }
}
