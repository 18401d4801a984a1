//! Evaluation and the gate: the candidate against the version that serves, on the same held-out rows.
//!
//! Registers what was trained, decides by the documented rule whether it may serve, and deploys it where the task says
//! so. The candidate is judged as it would serve: loaded from its stored artifact.

use std::sync::Arc;

use hone_domain::{
    DatasetId, DeploymentKind, ModelVersionId, ProjectId, RunStatus, Split, Stage, TaskId, Version,
};
use hone_jobs::{Handler, HandlerFuture, JobContext, JobError};
use hone_learn::{Evaluation, TextClassifier, TrainError, artifact};
use hone_storage::datasets::Dataset;
use hone_storage::runs::{self, Run};
use hone_storage::tasks::Task;
use hone_storage::versions::{self, ModelVersion};
use hone_storage::{Conn, datasets, deployments, tasks};
use uuid::Uuid;

use crate::train::{finish, run_of};
use crate::{DatasetRow, Engine, EngineError};

pub(crate) const EVALUATE_RUN: &str = "EvaluateRun";

/// The gate's decision, kept with the run.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Decision {
    /// Whether the candidate may serve.
    pub accepted: bool,
    /// Why, in words with the numbers.
    pub reason: String,
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
            None => "the first version of a task always serves".to_owned(),
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

/// Both evaluations on the same rows.
struct Comparison {
    candidate: Evaluation,
    labels: Vec<String>,
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
        let run_id = run_of(context)?;
        let mut run = runs::get(&mut self.engine.db.read().await?, run_id).await?;
        if run.status.is_final() {
            return Ok(serde_json::json!({ "run_id": run_id, "status": run.status }));
        }
        let outcome = self.attempt(context, &mut run).await;
        let result = self.engine.close_failed_run(context, &mut run, outcome).await?;
        self.engine.refresh_router().await?;
        Ok(result)
    }

    async fn attempt(&self, context: &JobContext, run: &mut Run) -> Result<serde_json::Value, EngineError> {
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
        let held_out: Arc<Vec<DatasetRow>> = Arc::new(
            engine
                .load_rows(&dataset)
                .await?
                .into_iter()
                .filter(|row| row.split == Split::Test)
                .collect(),
        );
        if held_out.is_empty() {
            let problem = "the dataset has no held-out row; add examples, or raise training.split.test";
            return Err(EngineError::Train(TrainError::Data(problem.to_owned())));
        }
        // Another process may deploy while we compare: then the comparison was with the wrong version.
        let (comparison, mut conn) = loop {
            let comparison = engine.compare(run, &artifact_hash, &held_out).await?;
            let mut conn = engine.db.begin().await?;
            tasks::lock(&mut conn, TaskId(run.task_id)).await?;
            let serving = deployments::find_serving(&mut conn, TaskId(run.task_id)).await?;
            let compared_with = comparison.baseline.as_ref().map(|baseline| baseline.version);
            if serving.map(|serving| serving.model_version_id) == compared_with {
                break (comparison, conn);
            }
            conn.rollback().await?;
        };
        let task = tasks::get(&mut conn, TaskId(run.task_id)).await?;
        let baseline = comparison.baseline.as_ref().map(|baseline| &baseline.evaluation);
        let decision = Decision::by_f1(
            &comparison.candidate,
            baseline,
            task.policy.deployment.max_f1_drop,
        );
        let version = engine
            .register(
                &mut conn,
                &task,
                run,
                &dataset,
                &artifact_hash,
                &comparison,
                &decision,
            )
            .await?;
        run.status = RunStatus::Completed;
        run.finished_at_us = Some(engine.ids.now_us());
        run.model_version_id = Some(version.id);
        run.baseline_version_id = comparison.baseline.as_ref().map(|baseline| baseline.version);
        run.metrics = Some(sqlx_json(&comparison.candidate));
        run.baseline_metrics = comparison
            .baseline
            .as_ref()
            .map(|baseline| sqlx_json(&baseline.evaluation));
        run.decision = Some(sqlx_json(&decision));
        runs::update(&mut conn, run).await?;
        let deployed = decision.accepted && task.policy.deployment.automatic;
        if deployed {
            let kind = if baseline.is_none() {
                DeploymentKind::First
            } else {
                DeploymentKind::Gate
            };
            engine
                .deploy_in(&mut conn, &task, &version, kind, &decision.reason)
                .await?;
        }
        engine.enqueue_due_training(&mut conn, &task).await?;
        let result = serde_json::json!({
            "run_id": run.id, "version": version.version, "accepted": decision.accepted, "deployed": deployed,
            "reason": decision.reason,
        });
        finish(context, &mut conn, &result).await?;
        conn.commit().await?;
        tracing::info!(
            task = task.name,
            version = version.version,
            accepted = decision.accepted,
            "run evaluated"
        );
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
}

impl Engine {
    /// Measures a registered version on the held-out part of a dataset.
    pub async fn evaluate_version(
        &self,
        version: &ModelVersion,
        dataset: &Dataset,
    ) -> Result<Evaluation, EngineError> {
        let classifier = self.load_classifier(&version.artifact_hash).await?;
        let rows: Vec<DatasetRow> = self
            .load_rows(dataset)
            .await?
            .into_iter()
            .filter(|row| row.split == Split::Test)
            .collect();
        run_blocking(move || evaluate_rows(&classifier, &rows)).await
    }

    /// Measures a version by hand: the one named or the one that serves, on the dataset named or the task's latest.
    pub async fn evaluate_by_hand(
        &self,
        task: &Task,
        version: Option<&str>,
        dataset: Option<DatasetId>,
    ) -> Result<(ModelVersion, Dataset, Evaluation), EngineError> {
        let mut conn = self.db.read().await?;
        let version = named_or_serving(&mut conn, task, version).await?;
        let dataset = if let Some(id) = dataset {
            self.get_dataset(task.project(), id).await?
        } else {
            let latest = datasets::list(&mut conn, task.project(), Some(task.task_id()), None, 1).await?;
            let none = || EngineError::NotFound {
                noun: "dataset of task",
                id: task.name.clone(),
            };
            latest.into_iter().next().ok_or_else(none)?
        };
        drop(conn);
        let evaluation = self.evaluate_version(&version, &dataset).await?;
        Ok((version, dataset, evaluation))
    }

    /// Measures the version named, or the one that serves, on texts whose labels are given.
    pub async fn evaluate_texts(
        &self,
        task: &Task,
        version: Option<&str>,
        texts: Vec<String>,
        labels: Vec<String>,
    ) -> Result<(ModelVersion, Evaluation), EngineError> {
        let version = named_or_serving(&mut self.db.read().await?, task, version).await?;
        let classifier = self.load_classifier(&version.artifact_hash).await?;
        let evaluation = run_blocking(move || {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            classifier.evaluate(&texts, &labels)
        });
        Ok((version, evaluation.await?))
    }

    /// Loads and checks a stored model.
    pub(crate) async fn load_classifier(&self, hash: &str) -> Result<TextClassifier, EngineError> {
        let bytes = self.artifacts.get(hash).await?;
        Ok(run_blocking(move || artifact::decode(&bytes)).await??)
    }

    async fn compare(
        &self,
        run: &Run,
        artifact_hash: &str,
        held_out: &Arc<Vec<DatasetRow>>,
    ) -> Result<Comparison, EngineError> {
        let candidate = self.load_classifier(artifact_hash).await?;
        let mut conn = self.db.read().await?;
        let serving = deployments::find_serving(&mut conn, TaskId(run.task_id)).await?;
        let baseline = match serving {
            Some(serving) => Some(versions::get(&mut conn, ModelVersionId(serving.model_version_id)).await?),
            None => None,
        };
        drop(conn);
        let baseline = match baseline {
            Some(version) => Some((version.id, self.load_classifier(&version.artifact_hash).await?)),
            None => None,
        };
        let held_out = held_out.clone();
        run_blocking(move || Comparison {
            candidate: evaluate_rows(&candidate, &held_out),
            labels: candidate.labels,
            baseline: baseline.map(|(version, classifier)| Baseline {
                version,
                evaluation: evaluate_rows(&classifier, &held_out),
                labels: classifier.labels,
            }),
        })
        .await
    }

    #[expect(clippy::too_many_arguments, reason = "a version's lineage is what these are")]
    async fn register(
        &self,
        conn: &mut Conn,
        task: &Task,
        run: &Run,
        dataset: &Dataset,
        artifact_hash: &str,
        comparison: &Comparison,
        decision: &Decision,
    ) -> Result<ModelVersion, EngineError> {
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
            dataset_id: dataset.id,
            number: latest.map_or(1, |latest| latest.number + 1),
            version: semantic.to_string(),
            stage: if decision.accepted {
                Stage::Candidate
            } else {
                Stage::Refused
            },
            artifact_hash: artifact_hash.to_owned(),
            artifact_bytes: run.artifact_bytes.unwrap_or_default(),
            dataset_hash: dataset.content_hash.clone(),
            trainer: run.trainer.clone(),
            settings: run.settings.clone(),
            metrics: serde_json::to_value(&comparison.candidate).unwrap_or_default(),
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

async fn named_or_serving(
    conn: &mut Conn,
    task: &Task,
    version: Option<&str>,
) -> Result<ModelVersion, EngineError> {
    if let Some(name) = version {
        let found = versions::find_by_version(conn, task.task_id(), name.trim_start_matches('v')).await?;
        return found.ok_or_else(|| EngineError::NotFound {
            noun: "model version",
            id: name.to_owned(),
        });
    }
    let serving = deployments::find_serving(conn, task.task_id()).await?;
    let serving = serving.ok_or_else(|| EngineError::NoModel(task.name.clone()))?;
    Ok(versions::get(conn, ModelVersionId(serving.model_version_id)).await?)
}

fn evaluate_rows(classifier: &TextClassifier, rows: &[DatasetRow]) -> Evaluation {
    let texts: Vec<&str> = rows.iter().map(|row| row.input.as_str()).collect();
    let labels: Vec<&str> = rows
        .iter()
        .map(|row| row.label.as_deref().unwrap_or_default())
        .collect();
    classifier.evaluate(&texts, &labels)
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| EngineError::Train(TrainError::Data(format!("the computation failed: {error}"))))
}

fn sqlx_json(value: &impl serde::Serialize) -> hone_storage::Json<serde_json::Value> {
    hone_storage::Json(serde_json::to_value(value).unwrap_or_default())
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
