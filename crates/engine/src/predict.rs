//! Prediction: the router knows which models serve each task, how they share its traffic, and swaps them without dropping a
//! request.
//!
//! Models are loaded when the database says that other versions serve. One that is damaged is refused; what served
//! before goes on serving, and after a restart the newest earlier version that is whole.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use hone_domain::{InteractionId, ModelVersionId, SECOND_US, Sharing, TaskId, TrafficKey};
use hone_learn::{Scratch, TextClassifier};
use hone_storage::deployments::{self, Serving};
use hone_storage::tasks::Task;
use hone_storage::versions::{self, ModelVersion};
use uuid::Uuid;

use crate::engine::run_blocking;
use crate::experiment::{Exposed, ShadowAnswer};
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

/// The epoch of traffic of which not every version could be loaded: it is no deployment's.
const NEVER_WHOLE: i64 = -1;

/// What serves a task: the live version, and those that share its traffic.
#[derive(Debug)]
struct Traffic {
    live: Arc<Served>,
    sharing: Option<Shared>,
    epoch: i64,
}

/// Versions that share a task's traffic with the live one.
#[derive(Debug)]
struct Shared {
    sharing: Arc<Sharing>,
    /// The model of each arm.
    arms: Vec<Arc<Served>>,
}

type TrafficByTask = HashMap<TaskId, Arc<Traffic>>;

/// Which version answers a request.
#[derive(Debug, Clone)]
pub struct Routed {
    /// The version that answers.
    pub served: Arc<Served>,
    /// The version that is asked beside it, whose answer nobody sees.
    pub shadow: Option<Arc<Served>>,
    /// How the traffic was shared, where it was, and the unit that the request belongs to.
    shared: Option<(Arc<Sharing>, Uuid)>,
}

impl Routed {
    /// The same request answered by the live version, which says nothing of the others.
    pub fn by_live(live: Arc<Served>) -> Self {
        Self {
            served: live,
            shadow: None,
            shared: None,
        }
    }

    /// Whether a new version was chosen.
    pub fn is_new(&self) -> bool {
        let shared = self.shared.as_ref();
        shared.is_some_and(|(sharing, _)| {
            sharing
                .arms
                .iter()
                .any(|arm| arm.version_id == self.served.version.id)
        })
    }

    /// What is to be recorded with the interaction, where several versions share the task's traffic.
    pub fn exposed(&self, shadow: Option<ShadowAnswer>) -> Option<Exposed> {
        self.shared.as_ref().map(|(sharing, unit)| Exposed {
            sharing: sharing.clone(),
            version: self.served.version.id,
            unit: *unit,
            shadow,
        })
    }
}

/// Which model serves each task, in this process.
#[derive(Debug, Default)]
pub(crate) struct Router {
    traffic: RwLock<Arc<TrafficByTask>>,
    /// Deployments of which nothing could be loaded, by task: their epoch, and when to try again. Held while refreshing:
    /// two at a time would load the same model twice.
    unloadable: tokio::sync::Mutex<HashMap<TaskId, (i64, i64)>>,
}

impl Router {
    fn snapshot(&self) -> Arc<TrafficByTask> {
        self.traffic
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn replace(&self, traffic: TrafficByTask) {
        *self.traffic.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(traffic);
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
    /// The live model of this task.
    pub fn served(&self, task: &Task) -> Result<Arc<Served>, EngineError> {
        Ok(self.traffic(task)?.live.clone())
    }

    /// The model that answers a request of this task: the live one, or one of those that share its traffic.
    pub fn route(&self, task: &Task, key: &TrafficKey<'_>) -> Result<Routed, EngineError> {
        let traffic = self.traffic(task)?;
        let mut routed = Routed {
            served: traffic.live.clone(),
            shadow: None,
            shared: None,
        };
        let Some(Shared { sharing, arms }) = &traffic.sharing else {
            return Ok(routed);
        };
        let unit = key.unit(sharing.deployment_id, sharing.unit);
        let unit = unit.unwrap_or_else(|| self.ids.next::<InteractionId>().0);
        let model = sharing.arm_of(unit).map(|number| arms[number].clone());
        if sharing.is_shadow {
            routed.shadow = model;
        } else if let Some(model) = model {
            routed.served = model;
        }
        routed.shared = Some((sharing.clone(), unit));
        Ok(routed)
    }

    fn traffic(&self, task: &Task) -> Result<Arc<Traffic>, EngineError> {
        let traffic = self.router.snapshot().get(&task.task_id()).cloned();
        traffic.ok_or_else(|| EngineError::NoModel(task.name.clone()))
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

    /// What the shadow says of texts, in order; nothing of each where none is asked.
    pub async fn shadow_many(
        &self,
        task: &Arc<Task>,
        routed: &Routed,
        texts: &[&str],
    ) -> Vec<Option<ShadowAnswer>> {
        let Some(shadow) = &routed.shadow else {
            return vec![None; texts.len()];
        };
        let version = shadow.version.id;
        match self.predict_many(task, shadow, texts).await {
            Ok(answers) => answers
                .into_iter()
                .map(|answer| {
                    Some(ShadowAnswer {
                        version,
                        // What was most probable, as it is recorded of the version that answers.
                        label: answer
                            .alternatives
                            .into_iter()
                            .next()
                            .map(|(label, _)| label)
                            .or(answer.label),
                        is_ok: true,
                        ..ShadowAnswer::default()
                    })
                })
                .collect(),
            Err(error) => {
                tracing::error!(task = task.name, %version, %error, "a shadow cannot answer");
                let failed = ShadowAnswer {
                    version,
                    ..ShadowAnswer::default()
                };
                vec![Some(failed); texts.len()]
            }
        }
    }

    /// Loads what the database says serves and is not loaded yet.
    pub async fn refresh_router(&self) -> Result<(), EngineError> {
        let mut unloadable = self.router.unloadable.lock().await;
        let serving = deployments::list_serving(&mut self.db.read().await?).await?;
        let current = self.router.snapshot();
        let is_current = |serving: &Serving| {
            current
                .get(&TaskId(serving.task_id))
                .is_some_and(|traffic| traffic.epoch == serving.epoch)
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
            let before = current.get(&task).map(Arc::as_ref);
            let found = self.load_traffic(serving, before).await.unwrap_or_else(|error| {
                tracing::error!(task = %task, %error, "no model can be loaded; what serves goes on serving");
                None
            });
            if found
                .as_ref()
                .is_none_or(|traffic| traffic.epoch != serving.epoch)
            {
                unloadable.insert(task, (serving.epoch, now_us + UNLOADABLE_WAIT_US));
            }
            if let Some(traffic) = found {
                next.insert(task, Arc::new(traffic));
            }
        }
        self.router.replace(next);
        Ok(())
    }

    /// Loads what serves a task; what serves already is not loaded again.
    async fn load_traffic(
        &self,
        serving: &Serving,
        before: Option<&Traffic>,
    ) -> Result<Option<Traffic>, EngineError> {
        let known = |version: Uuid| {
            let arms = before.iter().flat_map(|traffic| &traffic.sharing);
            let arms = arms.flat_map(|shared| &shared.arms);
            let served = before.iter().map(|traffic| &traffic.live).chain(arms);
            served
                .into_iter()
                .find(|served| served.version.id == version)
                .cloned()
        };
        let loaded = |version| known(version).map(|served| served.model.clone());
        let Some((version, model)) = self.load_serving(serving, loaded).await? else {
            return Ok(None);
        };
        let live = Arc::new(Served { version, model });
        let mut epoch = serving.epoch;
        let sharing = match &serving.sharing {
            // Beside another version than the one that is to serve, nothing is compared.
            Some(sharing) if live.version.id == serving.model_version_id => {
                let mut arms = Vec::new();
                for arm in &sharing.arms {
                    let arm = match known(arm.version_id) {
                        Some(served) => Some(served),
                        None => self.load_arm(arm.version_id).await,
                    };
                    arms.push(arm);
                }
                let arms: Option<Vec<Arc<Served>>> = arms.into_iter().collect();
                if arms.is_none() {
                    // Without one of the versions nothing is shared here, and it is tried again: shares would not hold.
                    epoch = NEVER_WHOLE;
                }
                arms.map(|arms| Shared {
                    sharing: Arc::new(sharing.0.clone()),
                    arms,
                })
            }
            _ => None,
        };
        Ok(Some(Traffic { live, sharing, epoch }))
    }

    async fn load_arm(&self, version: Uuid) -> Option<Arc<Served>> {
        let load = async {
            let version = versions::get(&mut self.db.read().await?, ModelVersionId(version)).await?;
            let model = self.load_model(&version).await?;
            Ok::<_, EngineError>(Arc::new(Served { version, model }))
        };
        load.await
            .inspect_err(|error| {
                tracing::error!(%version, %error, "a new version cannot be loaded; the live one answers in its place");
            })
            .ok()
    }
}
