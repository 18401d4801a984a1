//! Evaluation and the gate: the candidate against the version that serves, on the same held-out rows.
//!
//! Registers what was trained, decides by the documented rule whether it may serve, and deploys it where the task says
//! so. The candidate is judged as it would serve: loaded from its stored artifact.

use std::sync::Arc;

use hone_domain::{DatasetId, DeploymentKind, ProjectId, RunStatus, Stage, TaskId, Version};
use hone_jobs::{GiveUpFuture, GivenUp, Handler, HandlerFuture, JobContext, JobError};
use hone_learn::{Evaluation, TrainError};
use hone_storage::datasets::Dataset;
use hone_storage::deployments::Serving;
use hone_storage::jobs::JobRow;
use hone_storage::runs::{self, Run};
use hone_storage::tasks::Task;
use hone_storage::versions::{self, ModelVersion};
use hone_storage::{Conn, deployments, tasks};
use uuid::Uuid;

use crate::engine::run_blocking;
use crate::measure::evaluate_rows;
use crate::runs::{FoundRun, find_run};
use crate::{DatasetRow, Engine, EngineError};

pub(crate) const EVALUATE_RUN: &str = "EvaluateRun";

/// The gate's decision, kept with the run.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Decision {
    /// Whether the candidate may serve.
    pub accepted: bool,
    /// Why, in words with the numbers.
    pub reason: String,
    /// Accuracy of the candidate on the held-out rows.
    pub candidate_accuracy: f64,
    /// macro-F1 of the candidate on the held-out rows.
    pub candidate_macro_f1: f64,
    /// macro-F1 of the version that serves, on the same rows.
    pub baseline_macro_f1: Option<f64>,
    /// How far below the baseline a candidate may be.
    pub max_f1_drop: f64,
    /// Held-out rows compared.
    pub held_out: usize,
}

impl Decision {
    /// The documented rule: the first version always serves; a later one unless its macro-F1 is more than `max_drop`
    /// below the baseline's.
    pub fn by_f1(candidate: &Evaluation, baseline: Option<&Evaluation>, max_f1_drop: f64) -> Self {
        let candidate_macro_f1 = candidate.macro_f1;
        let baseline_macro_f1 = baseline.map(|baseline| baseline.macro_f1);
        let accepted = baseline_macro_f1.is_none_or(|baseline| candidate_macro_f1 >= baseline - max_f1_drop);
        let reason = match baseline_macro_f1 {
            None => "there is no version to compare it with; the first one always serves".to_owned(),
            Some(baseline) if candidate_macro_f1 >= baseline => {
                format!(
                    "macro-F1 {candidate_macro_f1:.4} is no worse than the serving version's {baseline:.4}"
                )
            }
            Some(baseline) if accepted => format!(
                "macro-F1 {candidate_macro_f1:.4} is no more than {max_f1_drop} below the serving version's {baseline:.4}"
            ),
            Some(baseline) => format!(
                "macro-F1 {candidate_macro_f1:.4} is more than {max_f1_drop} below the serving version's {baseline:.4}"
            ),
        };
        Self {
            accepted,
            reason,
            candidate_accuracy: candidate.accuracy,
            candidate_macro_f1,
            baseline_macro_f1,
            max_f1_drop,
            held_out: candidate.sample_count,
        }
    }
}

/// Evaluates, registers and, where the gate accepts, deploys what a run has trained.
pub struct EvaluateRun {
    engine: Engine,
}

/// A trained model on which the gate decides.
struct Candidate {
    run: Run,
    dataset: Dataset,
    artifact_hash: String,
    comparison: Comparison,
}

/// Both evaluations on the same rows.
struct Comparison {
    candidate: Evaluation,
    labels: Vec<String>,
    /// What served when they were compared.
    serving: Option<Serving>,
    /// The version that serves, or the newest whole one before it.
    baseline: Option<Baseline>,
}

struct Baseline {
    version: Uuid,
    evaluation: Evaluation,
    labels: Vec<String>,
}

impl EvaluateRun {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn evaluate(&self, context: &JobContext) -> Result<serde_json::Value, JobError> {
        match find_run(&self.engine, &context.job).await? {
            FoundRun::Open(run) => {
                let result = self.attempt(context, *run).await?;
                self.engine.refresh_router().await?;
                Ok(result)
            }
            FoundRun::Closed(result) => Ok(result),
        }
    }

    async fn attempt(&self, context: &JobContext, run: Run) -> Result<serde_json::Value, EngineError> {
        let engine = &self.engine;
        let missing = |noun| EngineError::NotFound {
            noun,
            id: run.id.to_string(),
        };
        let dataset_id = run.dataset_id.ok_or_else(|| missing("dataset of run"))?;
        let artifact_hash = run
            .artifact_hash
            .clone()
            .ok_or_else(|| missing("artifact of run"))?;
        context.tell(0.1, "loading the held-out rows");
        let dataset = engine
            .get_dataset(ProjectId(run.project_id), DatasetId(dataset_id))
            .await?;
        let held_out = Arc::new(engine.load_held_out(&dataset).await?);
        if held_out.is_empty() {
            let problem = "the dataset has no held-out row; add examples, or raise training.split.test";
            return Err(EngineError::Train(TrainError::Data(problem.to_owned())));
        }
        // Another process may deploy while we compare: then the comparison was with the wrong version.
        let (comparison, mut conn) = loop {
            context.check_cancelled()?;
            context.tell(0.3, "comparing with the version that serves");
            let comparison = engine.compare(&run, &artifact_hash, &held_out).await?;
            let mut conn = engine.db.begin().await?;
            tasks::lock(&mut conn, TaskId(run.task_id)).await?;
            let serving = deployments::find_serving(&mut conn, TaskId(run.task_id)).await?;
            if serving == comparison.serving {
                break (comparison, conn);
            }
            conn.rollback().await?;
        };
        let candidate = Candidate {
            run,
            dataset,
            artifact_hash,
            comparison,
        };
        let task = tasks::get(&mut conn, TaskId(candidate.run.task_id)).await?;
        let result = engine.settle(&mut conn, candidate).await?;
        // What the new version can hardly tell is another thing than what the old one could not.
        engine.enqueue_filling(&mut conn, &task).await?;
        context.finish_in(&mut conn, &result).await?;
        conn.commit().await?;
        tracing::info!(%result, "run evaluated");
        Ok(result)
    }
}

impl Handler for EvaluateRun {
    fn kind(&self) -> &'static str {
        EVALUATE_RUN
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(self.evaluate(context))
    }

    fn give_up<'a>(&'a self, conn: &'a mut Conn, job: &'a JobRow, why: &'a GivenUp) -> GiveUpFuture<'a> {
        Box::pin(self.engine.close_run(conn, job, why))
    }
}

impl Engine {
    async fn compare(
        &self,
        run: &Run,
        artifact_hash: &str,
        held_out: &Arc<Vec<DatasetRow>>,
    ) -> Result<Comparison, EngineError> {
        let candidate = self.load_classifier(artifact_hash).await?;
        let serving = deployments::find_serving(&mut self.db.read().await?, TaskId(run.task_id)).await?;
        let baseline = match &serving {
            Some(serving) => self.load_serving(serving, |_| None).await?,
            None => None,
        };
        let held_out = held_out.clone();
        run_blocking(move || Comparison {
            candidate: evaluate_rows(&candidate, &held_out),
            labels: candidate.labels,
            serving,
            baseline: baseline.and_then(|(version, model)| {
                let classifier = model.into_classifier()?;
                Some(Baseline {
                    version: version.id,
                    evaluation: evaluate_rows(&classifier, &held_out),
                    labels: classifier.labels,
                })
            }),
        })
        .await
    }

    /// Decides on a candidate: registers it, completes its run and, where the gate and the task's policy say so, deploys
    /// it; all in the caller's transaction. Gives what the job says of it.
    async fn settle(&self, conn: &mut Conn, candidate: Candidate) -> Result<serde_json::Value, EngineError> {
        let task = tasks::get(conn, TaskId(candidate.run.task_id)).await?;
        let comparison = &candidate.comparison;
        let baseline = comparison.baseline.as_ref();
        let decision = Decision::by_f1(
            &comparison.candidate,
            baseline.map(|baseline| &baseline.evaluation),
            task.policy.deployment.max_f1_drop,
        );
        let version = self.register(conn, &task, &candidate, &decision).await?;
        let completed = Run {
            status: candidate.run.status.transition(RunStatus::Completed)?,
            finished_at_us: Some(self.ids.now_us()),
            model_version_id: Some(version.id),
            baseline_version_id: baseline.map(|baseline| baseline.version),
            metrics: Some(json_of(&comparison.candidate)?),
            baseline_metrics: baseline
                .map(|baseline| json_of(&baseline.evaluation))
                .transpose()?,
            decision: Some(json_of(&decision)?),
            ..candidate.run.clone()
        };
        runs::update(conn, &completed).await?;
        let deployed = decision.accepted && task.policy.deployment.automatic;
        if deployed {
            let kind = if comparison.serving.is_none() {
                DeploymentKind::First
            } else {
                DeploymentKind::Gate
            };
            let id = self.ids.next();
            self.deploy_in(conn, &task, &version, kind, &decision.reason, id)
                .await?;
        }
        self.enqueue_due_training(conn, &task).await?;
        Ok(serde_json::json!({
            "run_id": completed.id, "version": version.version, "accepted": decision.accepted, "deployed": deployed,
            "reason": decision.reason,
        }))
    }

    async fn register(
        &self,
        conn: &mut Conn,
        task: &Task,
        candidate: &Candidate,
        decision: &Decision,
    ) -> Result<ModelVersion, EngineError> {
        let Candidate {
            run,
            dataset,
            artifact_hash,
            comparison,
        } = candidate;
        let latest = versions::find_latest(conn, task.task_id()).await?;
        let labels_changed = comparison
            .baseline
            .as_ref()
            .is_some_and(|baseline| baseline.labels != comparison.labels);
        let semantic = match &latest {
            Some(latest) => latest
                .version
                .parse::<Version>()
                .unwrap_or(Version::FIRST)
                .next(labels_changed),
            None => Version::FIRST,
        };
        let version = ModelVersion {
            id: self.ids.next(),
            project_id: task.project_id,
            task_id: task.id,
            run_id: run.id,
            dataset_id: Some(dataset.id),
            number: latest.map_or(1, |latest| latest.number + 1),
            version: semantic.to_string(),
            stage: if decision.accepted {
                Stage::Candidate
            } else {
                Stage::Refused
            },
            artifact_hash: artifact_hash.clone(),
            artifact_bytes: run.artifact_bytes.unwrap_or_default(),
            dataset_hash: Some(dataset.content_hash.clone()),
            trainer: run.trainer.clone(),
            settings: run.settings.clone(),
            metrics: json_of(&comparison.candidate)?.0,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at_us: self.ids.now_us(),
        };
        if versions::insert(conn, &version).await? {
            return Ok(version);
        }
        let registered = versions::find_by_run(conn, hone_domain::RunId(run.id)).await?;
        registered.ok_or_else(|| EngineError::NotFound {
            noun: "version of run",
            id: run.id.to_string(),
        })
    }
}

fn json_of(value: &impl serde::Serialize) -> Result<hone_storage::Json<serde_json::Value>, EngineError> {
    let value = serde_json::to_value(value);
    value
        .map(hone_storage::Json)
        .map_err(|error| EngineError::Dataset(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(right: usize) -> Evaluation {
        let labels = ["a".to_owned(), "b".to_owned()];
        let probabilities: Vec<f32> = (0..100)
            .flat_map(|row| if row < right { [0.9, 0.1] } else { [0.1, 0.9] })
            .collect();
        Evaluation::new(&labels, &probabilities, &["a"; 100])
    }

    #[test]
    fn the_documented_rule_allows_a_drop_of_a_twentieth() {
        assert!(Decision::by_f1(&evaluation(1), None, 0.05).accepted);
        let baseline = evaluation(90);
        assert!(Decision::by_f1(&evaluation(88), Some(&baseline), 0.05).accepted);
        let refused = Decision::by_f1(&evaluation(60), Some(&baseline), 0.05);
        assert!(!refused.accepted);
        assert!(
            refused.reason.contains("more than 0.05 below"),
            "{}",
            refused.reason
        );
    }
}
