//! Putting jobs into the queue.

use hone_domain::{Ids, JobId, ProjectId, TaskId};
use hone_storage::{Conn, StorageError, jobs};

/// How often a job is taken up before it is given up as dead.
const MAX_ATTEMPTS: i64 = 5;

/// Where a job stands; the words that `jobs.state` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Waits for its time and a worker.
    Queued,
    /// Held by a worker under a lease.
    Running,
    /// Ended well.
    Succeeded,
    /// Given up; a person may requeue it.
    Dead,
    /// Stopped by hand.
    Cancelled,
}

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Dead,
        Self::Cancelled,
    ];

    /// The state with this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A job to enqueue.
#[derive(Debug, Clone)]
pub struct NewJobSpec {
    /// Its id, where the caller must know it beforehand.
    pub id: Option<JobId>,
    /// Its project.
    pub project: ProjectId,
    /// Its task, where it has one.
    pub task: Option<TaskId>,
    /// Which handler runs it.
    pub kind: &'static str,
    /// What the handler needs.
    pub payload: serde_json::Value,
    /// Of jobs with the same key only one waits at a time; enqueuing another gives the one that waits.
    pub unique_key: Option<String>,
    /// How long to wait before it may run.
    pub delay_us: i64,
}

/// Enqueues a job in the caller's transaction: it exists exactly if the transaction commits.
pub async fn enqueue(conn: &mut Conn, ids: &Ids, spec: NewJobSpec) -> Result<JobId, StorageError> {
    let now_us = ids.now_us();
    let job = jobs::NewJob {
        id: spec.id.unwrap_or_else(|| ids.next()),
        project_id: spec.project,
        task_id: spec.task.map(|task| task.0),
        kind: spec.kind.to_owned(),
        payload: spec.payload,
        unique_key: spec.unique_key,
        run_at_us: now_us + spec.delay_us,
        max_attempts: MAX_ATTEMPTS,
        created_at_us: now_us,
    };
    jobs::enqueue(conn, &job).await
}
