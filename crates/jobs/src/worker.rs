//! Taking jobs up: claim under a lease, run, keep the lease alive, store how it ended.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hone_domain::{Ids, SECOND_US};
use hone_storage::jobs::JobRow;
use hone_storage::{Conn, Db, StorageError, jobs};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{JobContext, JobError, JobState};

/// A job is taken up by another worker when its holder was not heard of for so long.
const LEASE_US: i64 = 20 * SECOND_US;
/// How often the holder makes itself heard.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often an idle worker looks for jobs of other processes.
const POLL: Duration = Duration::from_millis(300);
/// Longest wait between attempts.
const MAX_BACKOFF_US: i64 = 600 * SECOND_US;

/// The work of one attempt.
pub type HandlerFuture<'a> = Pin<Box<dyn Future<Output = Result<serde_json::Value, JobError>> + Send + 'a>>;

/// The tidying up after a job.
pub type GiveUpFuture<'a> = Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + 'a>>;

/// Runs the jobs of one kind. Must be safe to run again after a crash at any point; effects that must happen once go
/// into the transaction that `JobContext::finish_in` ends the job in.
pub trait Handler: Send + Sync {
    /// The kind of job, in the imperative: `TrainModel`.
    fn kind(&self) -> &'static str;

    /// Runs one attempt; the value is kept as the job's result.
    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a>;

    /// Tidies up after a job that ends without success, for good, in the transaction that ends it.
    fn give_up<'a>(&'a self, _conn: &'a mut Conn, _job: &'a JobRow, _why: &'a GivenUp) -> GiveUpFuture<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// Why a job ends without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenUp {
    /// Someone stopped it.
    Cancelled,
    /// It failed in a way that trying again does not mend, or too often.
    Failed(String),
}

/// Runs jobs of the registered kinds.
#[derive(Clone)]
pub struct Worker {
    db: Db,
    ids: Ids,
    handlers: Arc<HashMap<&'static str, Arc<dyn Handler>>>,
    wake: Arc<Notify>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("kinds", &self.handlers.keys())
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker for these kinds of jobs.
    pub fn new(db: Db, ids: Ids, handlers: Vec<Arc<dyn Handler>>) -> Self {
        let handlers = handlers
            .into_iter()
            .map(|handler| (handler.kind(), handler))
            .collect();
        Self {
            db,
            ids,
            handlers: Arc::new(handlers),
            wake: Arc::default(),
        }
    }

    /// Lets the worker look for jobs at once, because one was enqueued in this process.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Runs up to `concurrency` jobs at a time until `stop`; then asks those that run to end, and waits for them. What does
    /// not come to its end goes back into the queue.
    pub async fn run(&self, concurrency: usize, stop: CancellationToken) {
        let mut running = JoinSet::new();
        while !stop.is_cancelled() {
            while running.len() >= concurrency {
                running.join_next().await;
            }
            if stop.is_cancelled() {
                break;
            }
            match self.claim().await {
                Ok(Some(context)) => {
                    let (worker, stop) = (self.clone(), stop.clone());
                    running.spawn(async move {
                        let attempt = worker.attempt(context.clone());
                        tokio::pin!(attempt);
                        tokio::select! {
                            () = &mut attempt => {}
                            () = stop.cancelled() => {
                                context.interrupt();
                                attempt.await;
                            }
                        }
                    });
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "cannot look for jobs"),
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => {}
                Some(_) = running.join_next(), if !running.is_empty() => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Runs jobs that are due, one after the other, until there is none; gives how many. For tests and commands.
    pub async fn run_until_idle(&self) -> Result<usize, StorageError> {
        let mut count = 0;
        while let Some(context) = self.claim().await? {
            self.attempt(context).await;
            count += 1;
        }
        Ok(count)
    }

    async fn claim(&self) -> Result<Option<JobContext>, StorageError> {
        if !self.has_due().await? {
            return Ok(None);
        }
        let now_us = self.ids.now_us();
        let token: Uuid = self.ids.next();
        let mut conn = self.db.begin().await?;
        let claimed = jobs::claim(&mut conn, now_us, now_us + LEASE_US, token).await?;
        conn.commit().await?;
        Ok(claimed.map(|job| JobContext::new(job, self.db.clone(), self.ids.clone(), token)))
    }

    /// Reads before it writes, so that an idle worker never takes SQLite's write lock.
    async fn has_due(&self) -> Result<bool, StorageError> {
        let mut conn = self.db.read().await?;
        Ok(jobs::count_due(&mut conn, self.ids.now_us()).await? > 0)
    }

    async fn attempt(&self, context: JobContext) {
        let job = &context.job;
        tracing::debug!(job = %job.id, kind = job.kind, attempt = job.attempt, "job taken up");
        let outcome = if job.attempt > job.max_attempts {
            // Its worker was killed every time: running it again would only kill the next one.
            Err(JobError::Permanent(format!(
                "gave up after {} attempts that never ended",
                job.max_attempts
            )))
        } else if let Some(handler) = self.handlers.get(job.kind.as_str()) {
            self.run_with_heartbeat(handler.as_ref(), &context).await
        } else {
            Err(JobError::Permanent(format!(
                "no handler for jobs of kind {}",
                job.kind
            )))
        };
        if context.is_finished() {
            return;
        }
        if let Err(error) = self.store_outcome(&context, outcome).await {
            tracing::error!(job = %job.id, %error, "cannot store how a job ended; it will be taken up again");
        }
    }

    async fn run_with_heartbeat(
        &self,
        handler: &dyn Handler,
        context: &JobContext,
    ) -> Result<serde_json::Value, JobError> {
        // Polled side by side: a heartbeat may wait for a connection that the work holds.
        let heartbeats = async {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                if let Err(error) = context.heartbeat(self.ids.now_us() + LEASE_US).await {
                    tracing::warn!(job = %context.job.id, %error, "heartbeat failed");
                }
            }
        };
        tokio::select! {
            outcome = handler.run(context) => outcome,
            never = heartbeats => never,
        }
    }

    async fn store_outcome(
        &self,
        context: &JobContext,
        outcome: Result<serde_json::Value, JobError>,
    ) -> Result<(), StorageError> {
        let (id, token, now_us) = (context.id(), context.token(), self.ids.now_us());
        let mut conn = self.db.begin().await?;
        if matches!(outcome, Err(JobError::LeaseLost)) || !jobs::hold(&mut conn, id, token).await? {
            // Another worker has the job; what this attempt found no longer counts.
            return conn.rollback().await;
        }
        let message = match outcome {
            Ok(result) => {
                let state = JobState::Succeeded.as_str();
                jobs::finish(&mut conn, id, token, state, None, Some(&result), now_us).await?;
                "done".to_owned()
            }
            Err(JobError::Cancelled) if context.is_interrupted() => {
                jobs::release(&mut conn, id, token).await?;
                "interrupted, will be taken up again".to_owned()
            }
            Err(JobError::Transient(error)) if context.job.attempt < context.job.max_attempts => {
                let run_at_us = now_us + self.backoff_us(context.job.attempt);
                jobs::retry(&mut conn, id, token, run_at_us, &error).await?;
                format!("failed, will be tried again: {error}")
            }
            Err(error) => self.end_without_success(&mut conn, context, error).await?,
        };
        let progress = context.job.progress;
        jobs::insert_event(&mut conn, context.project(), id, now_us, progress, &message).await?;
        conn.commit().await
    }

    /// Ends a job as cancelled or dead and lets its handler tidy up; gives the words for those who watch.
    async fn end_without_success(
        &self,
        conn: &mut Conn,
        context: &JobContext,
        error: JobError,
    ) -> Result<String, StorageError> {
        let (id, token, now_us) = (context.id(), context.token(), self.ids.now_us());
        let (state, why) = match error {
            JobError::Cancelled => (JobState::Cancelled, GivenUp::Cancelled),
            other => (JobState::Dead, GivenUp::Failed(other.to_string())),
        };
        let (error, message) = match &why {
            GivenUp::Cancelled => (None, "cancelled".to_owned()),
            GivenUp::Failed(error) => {
                tracing::warn!(job = %id, kind = context.job.kind, error, "job given up");
                (Some(error.as_str()), format!("given up: {error}"))
            }
        };
        jobs::finish(conn, id, token, state.as_str(), error, None, now_us).await?;
        if let Some(handler) = self.handlers.get(context.job.kind.as_str()) {
            handler.give_up(conn, &context.job, &why).await?;
        }
        Ok(message)
    }

    /// 2, 4, 8, … seconds, each made up to half shorter or longer so that jobs that failed together spread.
    fn backoff_us(&self, attempt: i64) -> i64 {
        let base = (SECOND_US << attempt.clamp(1, 20)).min(MAX_BACKOFF_US);
        let mut random = [0u8; 2];
        self.ids.fill(&mut random);
        base / 2 + base * i64::from(u16::from_le_bytes(random)) / i64::from(u16::MAX)
    }
}
