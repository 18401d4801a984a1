//! Evaluation and the gate: the candidate against the version that serves, on the same held-out rows.
//!
//! Registers what was trained, has the gate decide whether it may serve, and deploys it where the task says so. The candidate is
//! judged as it would serve: loaded from its stored artifact.

use std::sync::Arc;

use hone_domain::{
    DatasetId, DeploymentPolicy, DeploymentState, ProjectId, RunStatus, Stage, TaskId, Version,
};
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
use crate::gate::Decision;
use crate::measure::{judge_rows, labels_of};
use crate::runs::{FoundRun, find_run};
use crate::{DatasetRow, Engine, EngineError};

pub(crate) const EVALUATE_RUN: &str = "EvaluateRun";

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

/// Both evaluations on the same rows, and the gate's decision.
struct Comparison {
    candidate: Evaluation,
    decision: Decision,
    /// What the gate decided by.
    policy: DeploymentPolicy,
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
        // Another process may deploy while we compare, or the policy change: then the comparison was with the wrong version or
        // by the wrong rule.
        let (comparison, task, mut conn) = loop {
            context.check_cancelled()?;
            context.tell(0.3, "comparing with the version that serves");
            let comparison = engine.compare(&run, &artifact_hash, &held_out).await?;
            let mut conn = engine.db.begin().await?;
            tasks::lock(&mut conn, TaskId(run.task_id)).await?;
            let serving = deployments::find_serving(&mut conn, TaskId(run.task_id)).await?;
            let task = tasks::get(&mut conn, TaskId(run.task_id)).await?;
            let version =
                |serving: &Option<Serving>| serving.as_ref().map(|serving| serving.model_version_id);
            if version(&serving) == version(&comparison.serving)
                && task.policy.deployment == comparison.policy
            {
                break (comparison, task, conn);
            }
            conn.rollback().await?;
        };
        let candidate = Candidate {
            run,
            dataset,
            artifact_hash,
            comparison,
        };
        let result = engine.settle(&mut conn, &task, candidate).await?;
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
        let mut conn = self.db.read().await?;
        let serving = deployments::find_serving(&mut conn, TaskId(run.task_id)).await?;
        let policy = tasks::get(&mut conn, TaskId(run.task_id))
            .await?
            .policy
            .deployment;
        drop(conn);
        let baseline = match &serving {
            Some(serving) => self.load_serving(serving, |_| None).await?,
            None => None,
        };
        let held_out = held_out.clone();
        let seed = run.id.as_u64_pair().1;
        run_blocking(move || {
            let judged = judge_rows(&candidate, &held_out);
            let baseline = baseline.and_then(|(version, model)| {
                let classifier = model.into_classifier()?;
                Some((version.id, judge_rows(&classifier, &held_out), classifier.labels))
            });
            let truth = labels_of(&held_out);
            let judged_baseline = baseline.as_ref().map(|(_, judged, _)| judged);
            Comparison {
                decision: Decision::new(&policy, &truth, &judged, judged_baseline, seed),
                policy,
                candidate: judged.evaluation,
                labels: candidate.labels,
                serving,
                baseline: baseline.map(|(version, judged, labels)| Baseline {
                    version,
                    evaluation: judged.evaluation,
                    labels,
                }),
            }
        })
        .await
    }

    /// Decides on a candidate: registers it, completes its run and, where the gate and the task's policy say so, deploys
    /// it; all in the caller's transaction. Gives what the job says of it.
    async fn settle(
        &self,
        conn: &mut Conn,
        task: &Task,
        candidate: Candidate,
    ) -> Result<serde_json::Value, EngineError> {
        let comparison = &candidate.comparison;
        let baseline = comparison.baseline.as_ref();
        let decision = &comparison.decision;
        let version = self.register(conn, task, &candidate).await?;
        let completed = Run {
            status: candidate.run.status.transition(RunStatus::Completed)?,
            finished_at_us: Some(self.ids.now_us()),
            model_version_id: Some(version.id),
            baseline_version_id: baseline.map(|baseline| baseline.version),
            metrics: Some(json_of(&comparison.candidate)?),
            baseline_metrics: baseline
                .map(|baseline| json_of(&baseline.evaluation))
                .transpose()?,
            decision: Some(json_of(decision)?),
            ..candidate.run.clone()
        };
        runs::update(conn, &completed).await?;
        let deployment = if decision.accepted && task.policy.deployment.automatic {
            self.deploy_accepted(conn, task, &version, &decision.reason)
                .await?
        } else {
            None
        };
        self.enqueue_due_training(conn, task).await?;
        let is_live = deployment
            .as_ref()
            .is_some_and(|deployment| deployment.state == DeploymentState::Live);
        Ok(serde_json::json!({
            "run_id": completed.id, "version": version.version, "accepted": decision.accepted,
            "deployed": is_live, "deployment": deployment.map(|deployment| deployment.id),
            "reason": decision.reason,
        }))
    }

    async fn register(
        &self,
        conn: &mut Conn,
        task: &Task,
        candidate: &Candidate,
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
            stage: if comparison.decision.accepted {
                Stage::Candidate
            } else {
                Stage::Refused
            },
            artifact_hash: artifact_hash.clone(),
            artifact_bytes: run.artifact_bytes.unwrap_or_default(),
            dataset_hash: Some(dataset.content_hash.clone()),
            trainer: run.trainer.clone(),
            settings: settings_of(run),
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

/// The settings that a version was fitted with: those that a search chose, where there was one.
fn settings_of(run: &Run) -> serde_json::Value {
    let winner = run.search.as_ref().and_then(|search| search.0.get("winner"));
    winner.unwrap_or(&run.settings).clone()
}

fn json_of(value: &impl serde::Serialize) -> Result<hone_storage::Json<serde_json::Value>, EngineError> {
    let value = serde_json::to_value(value);
    value
        .map(hone_storage::Json)
        .map_err(|error| EngineError::Dataset(error.to_string()))
}
