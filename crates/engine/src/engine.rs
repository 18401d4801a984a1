//! What the steps of the loop share: the database, the artifact store, the recorder, the router, ids and time.

use std::sync::Arc;
use std::time::Duration;

use hone_domain::{Ids, ProjectId, TaskId, require_name};
use hone_jobs::{Handler, Worker};
use hone_learn::TrainError;
use hone_outbound::Outbound;
use hone_storage::artifacts::ArtifactStore;
use hone_storage::tasks::Task;
use hone_storage::{Db, jobs, tasks};
use moka::sync::Cache;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::curate::SharedNearExamples;
use crate::experiment::Failures;
use crate::predict::Router;
use crate::privacy::Privacy;
use crate::prompt::ExampleIndexes;
use crate::record::{Recorder, RecorderSettings};
use crate::{
    CheckAlerts, CheckTriggers, CurateTask, DeliverAlert, DiscoverTopics, EngineError, EvaluateRun,
    FillReviews, MeasureVersion, RunScheduled, TrainModel, WatchDeployment,
};

/// How long a task's policies are remembered; a change reaches every server within this time.
const TASK_CACHE: Duration = Duration::from_millis(500);
/// How long the index of a task's examples is kept when nobody curates.
const NEAR_INDEX_UNUSED: Duration = Duration::from_mins(10);
/// How often a server looks whether another one has deployed something.
const ROUTER_POLL: Duration = Duration::from_millis(250);

/// Sizes that an installation may change.
#[derive(Debug, Clone, Default)]
pub struct EngineSettings {
    /// Sizes of the recorder's queue and groups.
    pub recorder: RecorderSettings,
    /// The way to people; none where a process does not call out.
    pub outbound: Option<Outbound>,
}

/// The loop's shared state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The database.
    pub db: Db,
    /// Models and datasets.
    pub artifacts: ArtifactStore,
    /// Ids and time.
    pub ids: Ids,
    /// What serves each task.
    pub(crate) router: Arc<Router>,
    recorder: Recorder,
    example_indexes: ExampleIndexes,
    failures: Arc<Failures>,
    outbound: Option<Outbound>,
    tasks: Cache<(ProjectId, String), Arc<Task>>,
    privacies: Cache<ProjectId, Arc<Privacy>>,
    near_indexes: Cache<TaskId, SharedNearExamples>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Engine {
    /// Starts the recorder's writer; nothing else runs yet.
    pub fn start(db: Db, artifacts: ArtifactStore, ids: Ids, settings: &EngineSettings) -> Self {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let recorder = Recorder::start(
            db.clone(),
            ids.clone(),
            &settings.recorder,
            &tracker,
            stop.clone(),
        );
        let tasks = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(TASK_CACHE)
            .build();
        let privacies = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(TASK_CACHE)
            .build();
        let near_indexes = Cache::builder()
            .max_capacity(1_000)
            .time_to_idle(NEAR_INDEX_UNUSED)
            .build();
        let router = Arc::default();
        Self {
            db,
            artifacts,
            ids,
            router,
            recorder,
            example_indexes: ExampleIndexes::default(),
            failures: Arc::default(),
            outbound: settings.outbound.clone(),
            tasks,
            privacies,
            near_indexes,
            tracker,
            stop,
        }
    }

    /// Keeps the router up to date with what other servers deploy, until the engine stops.
    pub fn watch_deployments(&self) {
        let engine = self.clone();
        self.tracker.spawn(async move {
            while !engine.stop.is_cancelled() {
                if let Err(error) = engine.refresh_router().await {
                    tracing::warn!(%error, "cannot look for deployments");
                }
                tokio::select! {
                    () = tokio::time::sleep(ROUTER_POLL) => {}
                    () = engine.stop.cancelled() => {}
                }
            }
        });
    }

    /// Writes what is queued, then ends the background work.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// The way into the database for interactions and feedback.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Sets the metrics that are measured when they are looked at: what waits to be written and to be done.
    pub async fn measure(&self) -> Result<(), EngineError> {
        metrics::gauge!("hone_recorder_queue_bytes").set(self.recorder.queued_bytes() as f64);
        metrics::gauge!("hone_recorder_lag_seconds").set(self.recorder.lag().as_secs_f64());
        let due = jobs::count_due(&mut self.db.read().await?, self.ids.now_us()).await?;
        metrics::gauge!("hone_jobs_due").set(due as f64);
        Ok(())
    }

    /// Cancelled when the engine stops.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// What the engine waits for when it stops.
    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    pub(crate) fn privacies(&self) -> &Cache<ProjectId, Arc<Privacy>> {
        &self.privacies
    }

    pub(crate) fn near_indexes(&self) -> &Cache<TaskId, SharedNearExamples> {
        &self.near_indexes
    }

    pub(crate) fn example_indexes(&self) -> &ExampleIndexes {
        &self.example_indexes
    }

    pub(crate) fn outbound(&self) -> Option<&Outbound> {
        self.outbound.as_ref()
    }

    pub(crate) fn failures(&self) -> &Failures {
        &self.failures
    }

    /// The handlers of every kind of job that the loop has.
    pub fn handlers(&self) -> Vec<Arc<dyn Handler>> {
        vec![
            Arc::new(CurateTask::new(self.clone())),
            Arc::new(TrainModel::new(self.clone())),
            Arc::new(EvaluateRun::new(self.clone())),
            Arc::new(MeasureVersion::new(self.clone())),
            Arc::new(CheckTriggers::new(self.clone())),
            Arc::new(FillReviews::new(self.clone())),
            Arc::new(DiscoverTopics::new(self.clone())),
            Arc::new(WatchDeployment::new(self.clone())),
            Arc::new(RunScheduled::new(self.clone())),
            Arc::new(CheckAlerts::new(self.clone())),
            Arc::new(DeliverAlert::new(self.clone())),
        ]
    }

    /// A worker for the loop's jobs.
    pub fn worker(&self) -> Worker {
        Worker::new(self.db.clone(), self.ids.clone(), self.handlers())
    }

    /// The task with this name; remembered for half a second.
    pub async fn get_task(&self, project: ProjectId, name: &str) -> Result<Arc<Task>, EngineError> {
        let key = (project, name.to_owned());
        if let Some(task) = self.tasks.get(&key) {
            return Ok(task);
        }
        let missing = || EngineError::NotFound {
            noun: "task",
            id: name.to_owned(),
        };
        // A name that no task can have is not asked for: PostgreSQL fails on some.
        require_name("/task", name).map_err(|_| missing())?;
        let mut conn = self.db.read().await?;
        let found = tasks::find_by_name(&mut conn, project, name).await?;
        let task = found.ok_or_else(missing)?;
        let task = Arc::new(task);
        self.tasks.insert(key, task.clone());
        Ok(task)
    }

    pub(crate) fn forget_task(&self, project: ProjectId, name: &str) {
        self.tasks.invalidate(&(project, name.to_owned()));
    }
}

/// Computes off the async threads.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| EngineError::Train(TrainError::Data(format!("the computation failed: {error}"))))
}
