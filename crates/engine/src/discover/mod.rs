//! Discovery: what people ask about, what goes wrong again and again, and what they ask that no label is for.
//!
//! Looks at the latest requests of a task, groups them by their words (LSA and k-means) and names each group. Woken by the job
//! `DiscoverTopics`; the result is kept and changes nothing.

mod failures;
mod sample;
mod topics;

use hone_domain::{HOUR_US, JobId, TaskId};
use hone_jobs::{Handler, HandlerFuture, JobContext, JobError, NewJobSpec, enqueue};
use hone_storage::discoveries::{self, Discovery};
use hone_storage::tasks::Task;
use hone_storage::{StoredText, tasks};
use uuid::Uuid;

use crate::engine::run_blocking;
use crate::{Engine, EngineError};

pub use failures::FailurePattern;
pub use topics::Topic;

pub(crate) const DISCOVER_TOPICS: &str = "DiscoverTopics";
/// How far back is looked when nobody says.
const DEFAULT_DAYS: i64 = 30;

/// What was found among the requests of a task.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Discovered {
    /// Requests that were looked at, the latest ones.
    pub requests: usize,
    /// From when they are, and until when (RFC 3339).
    pub from: Option<String>,
    /// See `from`.
    pub until: Option<String>,
    /// What people ask about, the most frequent first.
    pub topics: Vec<Topic>,
    /// What goes wrong again and again, the most frequent first.
    pub failures: Vec<FailurePattern>,
    /// What people ask that no label seems to be for, the most frequent first.
    pub without_label: Vec<Topic>,
}

/// The job that looks at the requests of the last days; only one of them waits at a time.
pub(crate) fn discovery_spec(task: &Task, days: Option<i64>) -> NewJobSpec {
    NewJobSpec {
        id: None,
        project: task.project(),
        task: Some(task.task_id()),
        kind: DISCOVER_TOPICS,
        payload: serde_json::json!({ "task_id": task.id, "days": days.unwrap_or(DEFAULT_DAYS) }),
        unique_key: Some(format!("discover:{}", task.id)),
        delay_us: 0,
    }
}

impl Engine {
    /// Starts looking at the requests of the last days.
    pub async fn start_discovery(&self, task: &Task, days: Option<i64>) -> Result<JobId, EngineError> {
        let spec = discovery_spec(task, days);
        let mut conn = self.db.begin().await?;
        let job = enqueue(&mut conn, &self.ids, spec).await?;
        conn.commit().await?;
        Ok(job)
    }

    /// What was found last, and when.
    pub async fn latest_discovery(&self, task: TaskId) -> Result<Option<(i64, Discovered)>, EngineError> {
        let found = discoveries::find_latest(&mut self.db.read().await?, task).await?;
        Ok(found.and_then(|row| Some((row.created_at_us, serde_json::from_str(&row.result.0).ok()?))))
    }

    /// Looks at the requests of the last days and keeps what is found.
    pub async fn discover(&self, task: &Task, days: i64) -> Result<Discovered, EngineError> {
        let since_us = self.ids.now_us() - days * 24 * HOUR_US;
        let sample = self.sample_requests(task, since_us).await?;
        let least_margin = self.least_margin(task).await?;
        let served = self.served(task).ok();
        let found = run_blocking(move || {
            let classifier = served.as_ref().and_then(|served| served.model.classifier());
            let least = classifier.zip(least_margin);
            Discovered {
                requests: sample.requests.len(),
                from: sample.time_of_first(),
                until: sample.time_of_last(),
                topics: topics::of(&sample),
                failures: failures::of(&sample),
                without_label: topics::without_label(&sample, least),
            }
        })
        .await?;
        let result =
            serde_json::to_string(&found).map_err(|error| EngineError::Dataset(error.to_string()))?;
        let row = Discovery {
            id: self.ids.next(),
            project_id: task.project_id,
            task_id: task.id,
            result: StoredText(result),
            created_at_us: self.ids.now_us(),
        };
        let mut conn = self.db.begin().await?;
        discoveries::insert(&mut conn, &row).await?;
        conn.commit().await?;
        Ok(found)
    }
}

/// Looks at the requests of a task as a job.
pub struct DiscoverTopics {
    engine: Engine,
}

impl DiscoverTopics {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn discover(&self, context: &JobContext) -> Result<serde_json::Value, JobError> {
        let task = crate::curate::task_of(context)?;
        let days = context.job.payload["days"].as_i64().unwrap_or(DEFAULT_DAYS);
        let task = tasks::get(&mut self.engine.db.read().await?, task).await?;
        let found = self.engine.discover(&task, days).await?;
        Ok(serde_json::json!({
            "requests": found.requests, "topics": found.topics.len(), "failures": found.failures.len(),
            "without_label": found.without_label.len(),
        }))
    }
}

impl Handler for DiscoverTopics {
    fn kind(&self) -> &'static str {
        DISCOVER_TOPICS
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(self.discover(context))
    }
}

/// An example of something found.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FoundExample {
    /// The interaction.
    pub interaction_id: Uuid,
    /// What was asked.
    pub input: String,
}
