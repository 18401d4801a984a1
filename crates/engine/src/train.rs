//! Training: freeze the dataset, run the trainer off the async threads, store the artifact, enqueue the evaluation.
//!
//! Safe to run again after a crash at any point: a run that has its dataset keeps it, and what another attempt has
//! finished is not done twice.

use hone_domain::{DatasetId, ProjectId, RunId, RunStatus, Split};
use hone_jobs::{Handler, HandlerFuture, JobContext, JobError, NewJobSpec, enqueue};
use hone_learn::{FitContext, TrainError, TrainingSet, artifact, find_trainer};
use hone_storage::datasets::Dataset;
use hone_storage::runs::{self, Run};
use hone_storage::{progress, tasks};

use crate::evaluate::EVALUATE_RUN;
use crate::{DatasetRow, Engine, EngineError};

pub(crate) const TRAIN_MODEL: &str = "TrainModel";

/// Trains the model of a run.
pub struct TrainModel {
    engine: Engine,
}

impl TrainModel {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn train(&self, context: &JobContext) -> Result<serde_json::Value, JobError> {
        let run_id = run_of(context)?;
        let mut run = runs::get(&mut self.engine.db.read().await?, run_id).await?;
        if run.status.is_final() {
            return Ok(serde_json::json!({ "run_id": run_id, "status": run.status }));
        }
        let outcome = self.attempt(context, &mut run).await;
        self.engine.close_failed_run(context, &mut run, outcome).await
    }

    async fn attempt(&self, context: &JobContext, run: &mut Run) -> Result<serde_json::Value, EngineError> {
        let engine = &self.engine;
        let dataset = self.dataset_of(context, run).await?;
        let rows = engine.load_rows(&dataset).await?;
        let bytes = fit(context.clone(), run.clone(), rows).await?;
        run.artifact_bytes = Some(bytes.len() as i64);
        run.artifact_hash = Some(engine.artifacts.put(bytes).await?);
        let mut conn = engine.db.begin().await?;
        runs::update(&mut conn, run).await?;
        let spec = NewJobSpec {
            project: context.project(),
            task: Some(hone_domain::TaskId(run.task_id)),
            kind: EVALUATE_RUN,
            payload: serde_json::json!({ "run_id": run.id }),
            unique_key: None,
            delay_us: 0,
        };
        let next = enqueue(&mut conn, &engine.ids, spec).await?;
        let result =
            serde_json::json!({ "run_id": run.id, "dataset_id": dataset.id, "evaluation_job_id": next });
        finish(context, &mut conn, &result).await?;
        conn.commit().await?;
        Ok(result)
    }

    /// The dataset of the run: frozen now, or by an earlier attempt.
    async fn dataset_of(&self, context: &JobContext, run: &mut Run) -> Result<Dataset, EngineError> {
        let engine = &self.engine;
        if let Some(id) = run.dataset_id {
            return engine.get_dataset(ProjectId(run.project_id), DatasetId(id)).await;
        }
        context.tell(0.0, "freezing the dataset");
        let mut conn = engine.db.read().await?;
        let task = tasks::get(&mut conn, hone_domain::TaskId(run.task_id)).await?;
        let usable = progress::get(&mut conn, task.task_id()).await?.usable_examples;
        drop(conn);
        let needed = task.policy.training.min_samples;
        if usable < needed {
            return Err(EngineError::Train(TrainError::Data(format!(
                "task \"{}\" has {usable} usable examples and needs {needed}; add examples, or lower training.min_samples",
                task.name
            ))));
        }
        let dataset = engine.freeze(&task).await?;
        run.dataset_id = Some(dataset.id);
        run.status = RunStatus::Running;
        run.started_at_us = Some(engine.ids.now_us());
        let mut conn = engine.db.begin().await?;
        runs::update(&mut conn, run).await?;
        conn.commit().await?;
        Ok(dataset)
    }
}

impl Handler for TrainModel {
    fn kind(&self) -> &'static str {
        TRAIN_MODEL
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(self.train(context))
    }
}

/// Runs the trainer on a blocking thread and gives the artifact.
async fn fit(context: JobContext, run: Run, rows: Vec<DatasetRow>) -> Result<Vec<u8>, EngineError> {
    let fitting = tokio::task::spawn_blocking(move || {
        let trainer = find_trainer(&run.trainer)
            .ok_or_else(|| TrainError::Data(format!("there is no trainer named \"{}\"", run.trainer)))?;
        let fit = FitContext {
            seed: run.seed as u64,
            is_cancelled: &|| context.is_cancelled(),
            progress: &|share, message| context.tell(share, message),
        };
        let fitted = trainer.fit(&training_set(rows), &run.settings, &fit)?;
        Ok(artifact::encode(&fitted)?)
    });
    fitting.await.unwrap_or_else(|error| {
        Err(EngineError::Train(TrainError::Data(format!(
            "the trainer failed: {error}"
        ))))
    })
}

/// What a trainer fits on: everything that is not held out. The trainer `linear` needs no validation part of its own,
/// because it calibrates out of fold.
fn training_set(rows: Vec<DatasetRow>) -> TrainingSet {
    let mut set = TrainingSet::default();
    for row in rows.into_iter().filter(|row| row.split != Split::Test) {
        if let Some(label) = row.label {
            set.push(row.input, label, row.weight as f32);
        }
    }
    set
}

impl Engine {
    /// Passes a good outcome on; marks the run as failed or cancelled where trying again would not help.
    pub(crate) async fn close_failed_run(
        &self,
        context: &JobContext,
        run: &mut Run,
        outcome: Result<serde_json::Value, EngineError>,
    ) -> Result<serde_json::Value, JobError> {
        let error = match outcome {
            Ok(result) => return Ok(result),
            Err(error) => JobError::from(error),
        };
        let will_retry =
            matches!(error, JobError::Transient(_)) && context.job.attempt < context.job.max_attempts;
        if will_retry || matches!(error, JobError::LeaseLost) || is_lost(context).await? {
            return Err(error);
        }
        run.status = if matches!(error, JobError::Cancelled) {
            RunStatus::Cancelled
        } else {
            RunStatus::Failed
        };
        run.error = Some(error.to_string());
        run.finished_at_us = Some(self.ids.now_us());
        let mut conn = self.db.begin().await?;
        runs::update(&mut conn, run).await?;
        conn.commit().await?;
        Err(error)
    }
}

/// Whether another worker holds the job by now, so that this attempt must not touch the run.
async fn is_lost(context: &JobContext) -> Result<bool, JobError> {
    let found = hone_storage::jobs::find(&mut context.db.read().await?, context.id()).await?;
    Ok(found.is_none_or(|row| row.lease_token != context.job.lease_token))
}

/// Ends the job in the transaction, as an engine error where that is refused.
pub(crate) async fn finish(
    context: &JobContext,
    conn: &mut hone_storage::Conn,
    result: &serde_json::Value,
) -> Result<(), EngineError> {
    context
        .finish_in(conn, result)
        .await
        .map_err(|error| EngineError::Conflict(error.to_string()))
}

/// The run that a job's payload names.
pub(crate) fn run_of(context: &JobContext) -> Result<RunId, JobError> {
    let named = context
        .job
        .payload
        .get("run_id")
        .and_then(|id| id.as_str())
        .and_then(|id| id.parse().ok());
    named.ok_or_else(|| JobError::Permanent("the payload names no run".to_owned()))
}
