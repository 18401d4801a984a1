//! What a handler gets: the job, its lease, a way to tell progress and to learn of cancellation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hone_domain::{Ids, JobId, ProjectId};
use hone_storage::jobs::JobRow;
use hone_storage::{Conn, Db, jobs};
use uuid::Uuid;

use crate::{JobError, JobState};

/// The surroundings of one attempt at a job. Cheap to clone and to hand to blocking threads.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// The job as it was taken up.
    pub job: Arc<JobRow>,
    /// The database that the job lives in.
    pub db: Db,
    /// Ids and time.
    pub ids: Ids,
    token: Uuid,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_cancelled: AtomicBool,
    is_finished: AtomicBool,
    is_interrupted: AtomicBool,
    progress: Mutex<(f64, String)>,
    /// The last step that those who watch the job were told.
    told: Mutex<String>,
}

impl JobContext {
    pub(crate) fn new(job: JobRow, db: Db, ids: Ids, token: Uuid) -> Self {
        let shared = Shared {
            is_cancelled: AtomicBool::new(job.cancel_requested),
            ..Shared::default()
        };
        Self {
            job: Arc::new(job),
            db,
            ids,
            token,
            shared: Arc::new(shared),
        }
    }

    /// The job's id.
    pub fn id(&self) -> JobId {
        JobId(self.job.id)
    }

    /// The job's project.
    pub fn project(&self) -> ProjectId {
        ProjectId(self.job.project_id)
    }

    /// Whether the work should stop: someone asked, or the lease is lost. Asked from any thread.
    pub fn is_cancelled(&self) -> bool {
        self.shared.is_cancelled.load(Ordering::Relaxed)
    }

    /// Says how far the work is (0 to 1); stored with the next heartbeat. Called from any thread.
    pub fn tell(&self, share: f64, message: &str) {
        let mut progress = self
            .shared
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *progress = (share, message.to_owned());
    }

    /// Locks the job in a transaction that stores a part of its work, so that no other attempt's work is overwritten.
    /// Refused when another worker has taken the job up, and then the transaction must be dropped.
    pub async fn hold_in(&self, conn: &mut Conn) -> Result<(), JobError> {
        if jobs::hold(conn, self.id(), self.token).await? {
            Ok(())
        } else {
            Err(JobError::LeaseLost)
        }
    }

    /// Ends the work when someone asked to stop it.
    pub fn check_cancelled(&self) -> Result<(), JobError> {
        if self.is_cancelled() {
            Err(JobError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Ends the job as succeeded in the transaction that holds its results: both become durable, or neither. Refused
    /// when another worker has taken the job up, and then the transaction must be dropped.
    pub async fn finish_in(&self, conn: &mut Conn, result: &serde_json::Value) -> Result<(), JobError> {
        let (id, now_us) = (self.id(), self.ids.now_us());
        let state = JobState::Succeeded.as_str();
        if !jobs::finish(conn, id, self.token, state, None, Some(result), now_us).await? {
            return Err(JobError::LeaseLost);
        }
        jobs::insert_event(conn, self.project(), id, now_us, 1.0, "done").await?;
        self.shared.is_finished.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Stops the work because the worker stops; the job goes back into the queue.
    pub(crate) fn interrupt(&self) {
        self.shared.is_interrupted.store(true, Ordering::Relaxed);
        self.shared.is_cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.shared.is_interrupted.load(Ordering::Relaxed)
    }

    pub(crate) fn token(&self) -> Uuid {
        self.token
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.shared.is_finished.load(Ordering::Relaxed)
    }

    /// Extends the lease, stores progress and learns whether someone asked to stop.
    pub(crate) async fn heartbeat(&self, lease_until_us: i64) -> Result<(), JobError> {
        let (share, message) = self
            .shared
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut conn = self.db.begin().await?;
        let held = jobs::heartbeat(&mut conn, self.id(), self.token, lease_until_us, share, &message).await?;
        if held.is_some() && self.is_news(&message) {
            let now_us = self.ids.now_us();
            jobs::insert_event(&mut conn, self.project(), self.id(), now_us, share, &message).await?;
        }
        conn.commit().await?;
        // A lost lease stops the work like a cancellation: what it would store is refused anyway.
        if held.is_none_or(|cancel_requested| cancel_requested) {
            self.shared.is_cancelled.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether those who watch the job have not been told this yet.
    fn is_news(&self, message: &str) -> bool {
        let mut told = self.shared.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == message {
            return false;
        }
        message.clone_into(&mut told);
        true
    }
}
