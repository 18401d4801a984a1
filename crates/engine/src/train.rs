//! Training: freeze the dataset, run the trainer off the async threads, store the artifact, enqueue the evaluation.
//!
//! Safe to run again after a crash at any point: a run that has its dataset keeps it, and what another attempt has
//! finished is not done twice.

use hone_domain::{DatasetId, ProjectId, RunStatus, Split, TaskId};
use hone_jobs::{GiveUpFuture, GivenUp, Handler, HandlerFuture, JobContext, JobError, NewJobSpec, enqueue};
use hone_learn::{FitContext, SearchTable, TrainError, TrainingSet, artifact, find_trainer};
use hone_storage::datasets::Dataset;
use hone_storage::jobs::JobRow;
use hone_storage::runs::{self, Run};
use hone_storage::{Conn, Json, progress, tasks};

use crate::evaluate::EVALUATE_RUN;
use crate::review::{Suspect, find_suspects};
use crate::runs::{FoundRun, find_run};
use crate::triggers::require_samples;
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
        match find_run(&self.engine, &context.job).await? {
            FoundRun::Open(run) => Ok(self.attempt(context, *run).await?),
            FoundRun::Closed(result) => Ok(result),
        }
    }

    async fn attempt(&self, context: &JobContext, mut run: Run) -> Result<serde_json::Value, EngineError> {
        let engine = &self.engine;
        self.start(context, &mut run).await?;
        let dataset = self.dataset_of(context, &mut run).await?;
        let rows = engine.load_rows(&dataset).await?;
        let task = tasks::get(&mut engine.db.read().await?, TaskId(run.task_id)).await?;
        let most = task.policy.review.suspects;
        let (bytes, suspects, search) = fit(context.clone(), run.clone(), rows, most).await?;
        run.search = search.map(|search| Json(serde_json::json!(search)));
        run.artifact_bytes = Some(bytes.len() as i64);
        run.artifact_hash = Some(engine.artifacts.put(bytes).await?);
        let mut conn = engine.db.begin().await?;
        runs::update(&mut conn, &run).await?;
        let spec = NewJobSpec {
            id: None,
            project: context.project(),
            task: Some(TaskId(run.task_id)),
            kind: EVALUATE_RUN,
            payload: serde_json::json!({ "run_id": run.id }),
            unique_key: None,
            delay_us: 0,
        };
        let next = enqueue(&mut conn, &engine.ids, spec).await?;
        let suspects = engine.ask_about_suspects(&mut conn, &task, suspects).await?;
        let result = serde_json::json!({
            "run_id": run.id, "dataset_id": dataset.id, "evaluation_job_id": next, "suspects": suspects,
        });
        context.finish_in(&mut conn, &result).await?;
        conn.commit().await?;
        Ok(result)
    }

    /// Says that the run is being worked on.
    async fn start(&self, context: &JobContext, run: &mut Run) -> Result<(), EngineError> {
        if run.status == RunStatus::Running {
            return Ok(());
        }
        run.status = run.status.transition(RunStatus::Running)?;
        run.started_at_us = Some(self.engine.ids.now_us());
        let mut conn = self.engine.db.begin().await?;
        context.hold_in(&mut conn).await?;
        runs::update(&mut conn, run).await?;
        conn.commit().await?;
        Ok(())
    }

    /// The dataset of the run: frozen now, or by an earlier attempt.
    async fn dataset_of(&self, context: &JobContext, run: &mut Run) -> Result<Dataset, EngineError> {
        let engine = &self.engine;
        if let Some(id) = run.dataset_id {
            return engine.get_dataset(ProjectId(run.project_id), DatasetId(id)).await;
        }
        let task = tasks::get(&mut engine.db.read().await?, TaskId(run.task_id)).await?;
        if task.policy.curation.automatic {
            context.tell(0.0, "curating what is new");
            engine
                .curate(task.task_id(), &|_| context.check_cancelled())
                .await?;
        }
        context.tell(0.0, "freezing the dataset");
        let counted = progress::get(&mut engine.db.read().await?, task.task_id()).await?;
        require_samples(&task, &counted)?;
        let dataset = engine.freeze(&task, None).await?;
        let now_us = engine.ids.now_us();
        run.dataset_id = Some(dataset.id);
        let mut conn = engine.db.begin().await?;
        context.hold_in(&mut conn).await?;
        runs::update(&mut conn, run).await?;
        // What was counted before freezing is in the dataset; what came meanwhile counts towards the next training.
        progress::start_training(&mut conn, task.task_id(), &counted, now_us).await?;
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

    fn give_up<'a>(&'a self, conn: &'a mut Conn, job: &'a JobRow, why: &'a GivenUp) -> GiveUpFuture<'a> {
        Box::pin(self.engine.close_run(conn, job, why))
    }
}

/// Runs the trainer on a blocking thread; gives the artifact, the labels that are probably wrong and what a search tried.
async fn fit(
    context: JobContext,
    run: Run,
    rows: Vec<DatasetRow>,
    most_suspects: usize,
) -> Result<(Vec<u8>, Vec<Suspect>, Option<SearchTable>), EngineError> {
    let fitting = tokio::task::spawn_blocking(move || {
        let trainer = find_trainer(&run.trainer)
            .ok_or_else(|| TrainError::Data(format!("there is no trainer named \"{}\"", run.trainer)))?;
        let fit = FitContext {
            seed: run.seed as u64,
            is_cancelled: &|| context.is_cancelled(),
            progress: &|share, message| context.tell(share, message),
        };
        let rows = learned_rows(rows);
        let mut fitted = trainer.fit(&training_set(&rows), &run.settings, &fit)?;
        let search = fitted.search.take();
        let (classifier, suspects) = find_suspects(fitted, &rows, most_suspects);
        Ok((artifact::encode(&classifier)?, suspects, search))
    });
    fitting.await.unwrap_or_else(|error| {
        Err(EngineError::Train(TrainError::Data(format!(
            "the trainer failed: {error}"
        ))))
    })
}

/// What a trainer fits on: everything with a label that is not held out. The trainer `linear` needs no validation part of
/// its own, because it calibrates out of fold.
fn learned_rows(rows: Vec<DatasetRow>) -> Vec<DatasetRow> {
    let learned = rows.into_iter().filter(|row| row.split != Some(Split::Test));
    learned.filter(|row| row.label.is_some()).collect()
}

fn training_set(rows: &[DatasetRow]) -> TrainingSet {
    let mut set = TrainingSet::default();
    for row in rows {
        if let Some(label) = &row.label {
            set.push(row.input.as_str(), label.as_str(), row.weight as f32);
        }
    }
    set
}
