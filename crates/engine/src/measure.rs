//! Measuring a registered version by hand: the version named or the one that serves, on the held-out part of the dataset
//! named or the task's latest, or on texts with their labels. Decides and stores nothing but the job's result.

use std::time::Instant;

use hone_domain::{DatasetId, JobId, ModelVersionId, Split};
use hone_jobs::{Handler, HandlerFuture, JobContext, JobError, NewJobSpec, enqueue};
use hone_learn::metrics::argmax;
use hone_learn::{Evaluation, Scratch, TextClassifier};
use hone_storage::datasets::Dataset;
use hone_storage::tasks::Task;
use hone_storage::versions::{self, ModelVersion};
use hone_storage::{Conn, datasets, deployments};
use uuid::Uuid;

use crate::engine::run_blocking;
use crate::gate::Judged;
use crate::{DatasetRow, Engine, EngineError};

pub(crate) const MEASURE_VERSION: &str = "MeasureVersion";

/// Rows whose time is taken.
const TIMED_ROWS: usize = 200;

/// What the job has to measure.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Payload {
    version_id: Uuid,
    dataset_id: Uuid,
}

impl Engine {
    /// Starts measuring a version; the job's result holds the evaluation.
    pub async fn start_evaluation(
        &self,
        task: &Task,
        version: Option<&str>,
        dataset: Option<DatasetId>,
    ) -> Result<JobId, EngineError> {
        let (version, dataset) = self.to_measure(task, version, dataset).await?;
        let spec = NewJobSpec {
            id: None,
            project: task.project(),
            task: Some(task.task_id()),
            kind: MEASURE_VERSION,
            payload: serde_json::json!({ "version_id": version.id, "dataset_id": dataset.id }),
            unique_key: Some(format!("measure:{}:{}", version.id, dataset.id)),
            delay_us: 0,
        };
        let mut conn = self.db.begin().await?;
        let job = enqueue(&mut conn, &self.ids, spec).await?;
        conn.commit().await?;
        Ok(job)
    }

    /// Measures the version named, or the one that serves, on the dataset named, or the task's latest; gives the rows that
    /// it was measured on as well.
    pub async fn evaluate_by_hand(
        &self,
        task: &Task,
        version: Option<&str>,
        dataset: Option<DatasetId>,
    ) -> Result<(ModelVersion, Vec<DatasetRow>, Evaluation), EngineError> {
        let (version, dataset) = self.to_measure(task, version, dataset).await?;
        let (rows, evaluation) = self.evaluate_held_out(&version, &dataset).await?;
        Ok((version, rows, evaluation))
    }

    /// Measures a registered version on the held-out part of a dataset.
    pub async fn evaluate_version(
        &self,
        version: &ModelVersion,
        dataset: &Dataset,
    ) -> Result<Evaluation, EngineError> {
        Ok(self.evaluate_held_out(version, dataset).await?.1)
    }

    async fn evaluate_held_out(
        &self,
        version: &ModelVersion,
        dataset: &Dataset,
    ) -> Result<(Vec<DatasetRow>, Evaluation), EngineError> {
        let classifier = self.load_classifier(&version.artifact_hash).await?;
        let rows = self.load_held_out(dataset).await?;
        run_blocking(move || {
            let evaluation = evaluate_rows(&classifier, &rows);
            (rows, evaluation)
        })
        .await
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

    /// The rows of a dataset that nothing is fitted on.
    pub(crate) async fn load_held_out(&self, dataset: &Dataset) -> Result<Vec<DatasetRow>, EngineError> {
        let mut rows = self.load_rows(dataset).await?;
        rows.retain(|row| row.split == Some(Split::Test));
        Ok(rows)
    }

    async fn to_measure(
        &self,
        task: &Task,
        version: Option<&str>,
        dataset: Option<DatasetId>,
    ) -> Result<(ModelVersion, Dataset), EngineError> {
        let mut conn = self.db.read().await?;
        let version = named_or_serving(&mut conn, task, version).await?;
        let found = match dataset {
            Some(id) => datasets::find(&mut conn, task.project(), id)
                .await?
                .filter(|dataset| dataset.task_id == task.id),
            None => datasets::list(&mut conn, task.project(), Some(task.task_id()), None, None, 1)
                .await?
                .pop(),
        };
        let dataset = found.ok_or_else(|| EngineError::NotFound {
            noun: "dataset",
            id: dataset.map_or_else(|| format!("of task {}", task.name), |id| id.to_string()),
        })?;
        Ok((version, dataset))
    }
}

/// How a classifier does on rows of a dataset; what it misses carries the example's id.
pub(crate) fn evaluate_rows(classifier: &TextClassifier, rows: &[DatasetRow]) -> Evaluation {
    judge_rows(classifier, rows).evaluation
}

/// The same with what it answers for each row.
pub(crate) fn judge_rows(classifier: &TextClassifier, rows: &[DatasetRow]) -> Judged {
    let texts: Vec<&str> = rows.iter().map(|row| row.input.as_str()).collect();
    let probabilities = classifier.probabilities(&texts);
    let mut evaluation = Evaluation::new(&classifier.labels, &probabilities, &labels_of(rows));
    for missed in &mut evaluation.misclassified {
        missed.id = Some(rows[missed.row].id.to_string());
    }
    let answer = |probabilities: &[f32]| classifier.labels[argmax(probabilities)].clone();
    Judged {
        evaluation,
        answers: probabilities
            .chunks_exact(classifier.labels.len())
            .map(answer)
            .collect(),
        latency_us: median_latency_us(classifier, &texts),
    }
}

/// Median time to answer one text by itself, in microseconds, over some of the texts.
fn median_latency_us(classifier: &TextClassifier, texts: &[&str]) -> f64 {
    let mut scratch = Scratch::default();
    let mut times: Vec<f64> = texts
        .iter()
        .take(TIMED_ROWS)
        .map(|text| {
            let start = Instant::now();
            std::hint::black_box(classifier.predict(text, 1, &mut scratch));
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

/// The right labels of rows; empty where a row has none.
pub(crate) fn labels_of(rows: &[DatasetRow]) -> Vec<&str> {
    let labels = rows.iter().map(|row| row.label.as_deref());
    labels.map(Option::unwrap_or_default).collect()
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

/// Runs a measurement as a job.
pub struct MeasureVersion {
    engine: Engine,
}

impl MeasureVersion {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn measure(&self, context: &JobContext) -> Result<serde_json::Value, JobError> {
        let payload: Payload = serde_json::from_value(context.job.payload.clone())
            .map_err(|error| JobError::Permanent(format!("the payload cannot be read: {error}")))?;
        let mut conn = self.engine.db.read().await?;
        let version = versions::get(&mut conn, ModelVersionId(payload.version_id)).await?;
        drop(conn);
        let dataset = self
            .engine
            .get_dataset(context.project(), DatasetId(payload.dataset_id))
            .await?;
        context.tell(0.2, "measuring");
        let metrics = self.engine.evaluate_version(&version, &dataset).await?;
        Ok(serde_json::json!({ "version": version.version, "dataset_id": dataset.id, "metrics": metrics }))
    }
}

impl Handler for MeasureVersion {
    fn kind(&self) -> &'static str {
        MEASURE_VERSION
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(self.measure(context))
    }
}
