//! A local classifier in front of an expensive model: who answers, what a local answer looks like, what it saves.

mod answer;
mod label;
mod simple;
mod tally;

use std::sync::Arc;

use hone_domain::{LABEL_PLACE, ModelVersionId, TaskKind};
use hone_engine::{Exposed, Routed, Served};
use hone_learn::{Certified, Evaluation, exceeds};
use hone_storage::StorageError;
use hone_storage::cascades::CascadeCounts;
use hone_storage::tasks::Task;
use uuid::Uuid;

pub(crate) use answer::LocalReply;
pub(crate) use label::label_in;
pub(crate) use simple::is_one_question;
pub(crate) use tally::{Counted, Tally};

use crate::Gateway;
use crate::route::uniform;

/// What a classify task's own classifier says of a request.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub served: Arc<Served>,
    /// What it was chosen by, where several versions share the task's traffic.
    pub exposed: Option<Exposed>,
    pub label: String,
    pub confidence: f64,
    /// Whether it is sure enough to answer.
    pub is_certified: bool,
    /// Whether the model behind is asked for all that, to measure the disagreement.
    pub is_shadowed: bool,
}

impl Verdict {
    /// Whether the local answer is the answer.
    pub fn answers(&self) -> bool {
        self.is_certified && !self.is_shadowed
    }

    /// The answer as the task wants it.
    pub fn content(&self, pattern: &str) -> String {
        if label::document(pattern).is_none() {
            return pattern.replace(LABEL_PLACE, &self.label);
        }
        let quoted = serde_json::Value::from(self.label.as_str()).to_string();
        pattern.replace(LABEL_PLACE, &quoted[1..quoted.len() - 1])
    }

    /// Who answered, for the record and the client.
    pub fn model(&self, task: &Task) -> String {
        format!("task:{}/{}", task.name, self.served.version.version)
    }
}

/// Where a task's cascade stands.
#[derive(Debug, Clone, Default)]
pub struct CascadeStanding {
    /// The certificate of the version that serves; none while the held-out rows do not show one.
    pub certified: Option<Certified>,
    /// What happened with that version so far.
    pub counts: CascadeCounts,
    /// Whether the shadowed requests contradict the certificate, so that the version answers no more.
    pub is_contradicted: bool,
}

impl Gateway {
    /// What the task's classifier says, where it has one and a cascade.
    pub(crate) async fn cascade_verdict(
        &self,
        task: &Arc<Task>,
        routed: &Routed,
        question: &str,
    ) -> Option<Verdict> {
        let policy = &task.policy.cascade;
        if task.kind != TaskKind::Classify || !policy.enabled || question.trim().is_empty() {
            return None;
        }
        let served = routed.served.clone();
        served.model.classifier()?;
        let answers = self.engine().predict_many(task, &served, &[question]).await;
        let answer = answers.ok()?.pop()?;
        let certified = self.certified(task, &served);
        let counts = self.cascade_counts(&served).await?;
        let is_certified = certified.is_some_and(|certified| answer.probability >= certified.threshold)
            && !is_contradicted(task, &counts);
        Some(Verdict {
            // Abstention has its own threshold, which is for answers without a model behind.
            label: answer
                .label
                .or_else(|| Some(answer.alternatives.first()?.0.clone()))?,
            confidence: answer.probability,
            is_certified,
            is_shadowed: is_certified && uniform(&self.engine().ids) < policy.shadow_share,
            exposed: routed.exposed(
                self.engine()
                    .shadow_many(task, routed, &[question])
                    .await
                    .pop()
                    .flatten(),
            ),
            served,
        })
    }

    /// The certificate of a version at the task's error rate.
    fn certified(&self, task: &Task, served: &Served) -> Option<Certified> {
        let policy = &task.policy.cascade;
        let key = (
            served.version.id,
            policy.max_error.to_bits(),
            policy.confidence.to_bits(),
        );
        if let Some(known) = self.certificates().get(&key) {
            return known;
        }
        let evaluation: Option<Evaluation> = serde_json::from_value(served.version.metrics.clone()).ok();
        let found = evaluation
            .and_then(|evaluation| evaluation.selective.certify(policy.max_error, policy.confidence));
        self.certificates().insert(key, found);
        found
    }

    /// What is known of a version's cascade; without it the version does not answer.
    async fn cascade_counts(&self, served: &Served) -> Option<CascadeCounts> {
        let version = ModelVersionId(served.version.id);
        if let Some(known) = self.tally().known(version) {
            return Some(known);
        }
        let read = self.tally().total_unless_busy(&self.engine().db, version).await;
        read.inspect_err(|error| tracing::error!(%error, "counts of a cascade cannot be read"))
            .ok()?
    }

    /// Where a task's cascade stands, over all servers.
    pub async fn cascade_standing(&self, task: &Task) -> Result<CascadeStanding, StorageError> {
        let Ok(served) = self.engine().served(task) else {
            return Ok(CascadeStanding::default());
        };
        let version = ModelVersionId(served.version.id);
        let counts = self.tally().total(&self.engine().db, version).await?;
        Ok(CascadeStanding {
            certified: self.certified(task, &served),
            is_contradicted: is_contradicted(task, &counts),
            counts,
        })
    }
}

/// Whether the requests that both were asked show that the two disagree more often than the task allows.
fn is_contradicted(task: &Task, counts: &CascadeCounts) -> bool {
    let of = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let delta = 1.0 - task.policy.cascade.confidence;
    exceeds(
        of(counts.disagreed),
        of(counts.shadowed),
        task.policy.cascade.max_error,
        delta,
    )
}

/// A version, an error rate and a confidence.
pub(crate) type CertificateKey = (Uuid, u64, u64);
