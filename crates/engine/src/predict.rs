//! Prediction: the router knows which model serves each task and swaps it without dropping a request.
//!
//! Models are loaded when the database says that another version serves. One that is damaged is refused; what served
//! before goes on serving, and after a restart the newest earlier version that is whole.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use hone_domain::{SECOND_US, TaskId};
use hone_learn::{Scratch, TextClassifier};
use hone_storage::deployments::{self, Serving};
use hone_storage::tasks::Task;
use hone_storage::versions::ModelVersion;

use crate::engine::run_blocking;
use crate::prompt::Prompt;
use crate::{Engine, EngineError};

/// Bytes of text that are predicted without leaving the async thread: well under a millisecond.
const INLINE_BYTES: usize = 16 << 10;
/// How long to wait before a model is looked at again that could not be loaded, nor any before it.
const UNLOADABLE_WAIT_US: i64 = 5 * SECOND_US;

/// A model that serves a task.
#[derive(Debug)]
pub struct Served {
    /// Its registration.
    pub version: ModelVersion,
    /// The model itself.
    pub model: ServedModel,
    epoch: i64,
}

/// What answers for a task.
#[derive(Debug, Clone)]
pub enum ServedModel {
    /// A local classifier.
    Classifier(TextClassifier),
    /// A provider's model with its prompt.
    Prompt(Arc<Prompt>),
}

impl ServedModel {
    /// The classifier, where it is one.
    pub fn classifier(&self) -> Option<&TextClassifier> {
        match self {
            Self::Classifier(classifier) => Some(classifier),
            Self::Prompt(_) => None,
        }
    }

    /// The prompt, where it is one.
    pub fn prompt(&self) -> Option<&Arc<Prompt>> {
        match self {
            Self::Classifier(_) => None,
            Self::Prompt(prompt) => Some(prompt),
        }
    }

    pub(crate) fn into_classifier(self) -> Option<TextClassifier> {
        match self {
            Self::Classifier(classifier) => Some(classifier),
            Self::Prompt(_) => None,
        }
    }
}

type ServedByTask = HashMap<TaskId, Arc<Served>>;

/// Which model serves each task, in this process.
#[derive(Debug, Default)]
pub(crate) struct Router {
    served: RwLock<Arc<ServedByTask>>,
    /// Deployments of which nothing could be loaded, by task: their epoch, and when to try again. Held while refreshing:
    /// two at a time would load the same model twice.
    unloadable: tokio::sync::Mutex<HashMap<TaskId, (i64, i64)>>,
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
    pub fn predict(&self, task: &Task, served: &Served, text: &str) -> Result<Answer, EngineError> {
        let policy = &task.policy.prediction;
        let Some(classifier) = served.model.classifier() else {
            let detail = format!(
                "\"{}\" is a generate task; ask for model task:{} at /openai/v1",
                task.name, task.name
            );
            return Err(EngineError::field("/task", detail));
        };
        let name = |number: usize| classifier.labels[number].clone();
        SCRATCH.with_borrow_mut(|scratch| {
            let prediction = classifier.predict(text, policy.alternatives, scratch);
            let probability = f64::from(prediction.probability);
            Ok(Answer {
                label: (probability >= policy.abstain_below).then(|| name(prediction.label)),
                probability,
                alternatives: prediction
                    .top
                    .iter()
                    .map(|&(number, p)| (name(number), f64::from(p)))
                    .collect(),
            })
        })
    }

    /// Predicts texts in order. Many or long ones leave the async threads free for other requests.
    pub async fn predict_many(
        &self,
        task: &Arc<Task>,
        served: &Arc<Served>,
        texts: &[&str],
    ) -> Result<Vec<Answer>, EngineError> {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        if bytes <= INLINE_BYTES {
            return texts
                .iter()
                .map(|text| self.predict(task, served, text))
                .collect();
        }
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let (engine, task, served) = (self.clone(), task.clone(), served.clone());
        run_blocking(move || {
            let answers = texts.iter().map(|text| engine.predict(&task, &served, text));
            answers.collect()
        })
        .await?
    }

    /// Loads what the database says serves and is not loaded yet.
    pub async fn refresh_router(&self) -> Result<(), EngineError> {
        let mut unloadable = self.router.unloadable.lock().await;
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
        let (mut next, now_us) = ((*current).clone(), self.ids.now_us());
        for serving in serving.iter().filter(|serving| !is_current(serving)) {
            let task = TaskId(serving.task_id);
            if unloadable
                .get(&task)
                .is_some_and(|&(epoch, until_us)| epoch == serving.epoch && now_us < until_us)
            {
                continue;
            }
            let loaded = |version| {
                let served = current.get(&task).filter(|served| served.version.id == version);
                served.map(|served| served.model.clone())
            };
            let found = self.load_serving(serving, loaded).await.unwrap_or_else(|error| {
                tracing::error!(task = %task, %error, "no model can be loaded; what serves goes on serving");
                None
            });
            if let Some((version, model)) = found {
                let epoch = serving.epoch;
                next.insert(
                    task,
                    Arc::new(Served {
                        version,
                        model,
                        epoch,
                    }),
                );
            } else {
                unloadable.insert(task, (serving.epoch, now_us + UNLOADABLE_WAIT_US));
            }
        }
        self.router.replace(next);
        Ok(())
    }
}
