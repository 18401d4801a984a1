//! The rows of the job queue. What they mean and who runs them is `hone-jobs`' business.

use hone_domain::{JobId, ProjectId};
use sqlx::types::{Json, Uuid};

use crate::db::Exec;
use crate::{Conn, StorageError, dialect};

macro_rules! columns {
    () => {
        "id, project_id, task_id, kind, payload, state, run_at_us, attempt, max_attempts, lease_token, \
         cancel_requested, progress, message, error, result, created_at_us, finished_at_us"
    };
}

statements! {
    ENQUEUE = "INSERT INTO jobs (id, project_id, task_id, kind, payload, state, unique_key, run_at_us, attempt, \
               max_attempts, cancel_requested, progress, message, created_at_us) \
               VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, 0, $8, $9, 0.0, '', $10) \
               ON CONFLICT (unique_key) WHERE state = 'queued' DO UPDATE SET unique_key = excluded.unique_key \
               RETURNING id";
    FORGET_EVENTS = "DELETE FROM job_events WHERE job_id IN (SELECT id FROM jobs WHERE project_id = $1 AND kind = $2 \
                     AND state = 'succeeded')";
    FORGET = "DELETE FROM jobs WHERE project_id = $1 AND kind = $2 AND state = 'succeeded'";
    HOLD = "UPDATE jobs SET attempt = attempt WHERE id = $1 AND lease_token = $2 AND state = 'running'";
    HEARTBEAT = "UPDATE jobs SET lease_until_us = $3, progress = $4, message = $5 \
                 WHERE id = $1 AND lease_token = $2 AND state = 'running' RETURNING cancel_requested";
    FINISH = "UPDATE jobs SET state = $3, error = $4, result = $5, finished_at_us = $6, lease_until_us = NULL, \
              lease_token = NULL, progress = CASE WHEN $3 = 'succeeded' THEN 1.0 ELSE progress END \
              WHERE id = $1 AND lease_token = $2 AND state = 'running'";
    RETRY = "UPDATE jobs SET state = 'queued', unique_key = NULL, run_at_us = $3, error = $4, lease_until_us = NULL, \
             lease_token = NULL WHERE id = $1 AND lease_token = $2 AND state = 'running'";
    RELEASE = "UPDATE jobs SET state = 'queued', unique_key = NULL, attempt = attempt - 1, lease_until_us = NULL, \
               lease_token = NULL WHERE id = $1 AND lease_token = $2 AND state = 'running'";
    CANCEL_QUEUED = "UPDATE jobs SET state = 'cancelled', finished_at_us = $3 \
                     WHERE project_id = $1 AND id = $2 AND state = 'queued'";
    CANCEL_RUNNING = "UPDATE jobs SET cancel_requested = TRUE WHERE project_id = $1 AND id = $2 AND state = 'running'";
    REQUEUE = "UPDATE jobs SET state = 'queued', unique_key = NULL, run_at_us = $3, attempt = 0, error = NULL, \
               finished_at_us = NULL, cancel_requested = FALSE \
               WHERE project_id = $1 AND id = $2 AND state IN ('dead', 'cancelled')";
    FIND = concat!("SELECT ", columns!(), " FROM jobs WHERE id = $1");
    LIST = concat!("SELECT ", columns!(), " FROM jobs WHERE project_id = $1 AND (state = $2 OR $2 IS NULL) \
            AND ((created_at_us, id) < (SELECT created_at_us, id FROM jobs WHERE id = $3) OR $3 IS NULL) \
            ORDER BY created_at_us DESC, id DESC LIMIT $4");
    COUNT_DUE = "SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running') AND run_at_us <= $1 \
                 AND (state = 'queued' OR lease_until_us < $1)";
    INSERT_EVENT = "INSERT INTO job_events (project_id, job_id, at_us, progress, message) VALUES ($1, $2, $3, $4, $5)";
    LIST_EVENTS = "SELECT id, at_us, progress, message FROM job_events WHERE job_id = $1 AND id > $2 ORDER BY id LIMIT 500";
}

/// A unit of background work.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct JobRow {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task, where it has one.
    pub task_id: Option<Uuid>,
    /// Which handler runs it.
    pub kind: String,
    /// What the handler needs.
    #[sqlx(json)]
    pub payload: serde_json::Value,
    /// `queued`, `running`, `succeeded`, `dead` or `cancelled`.
    pub state: String,
    /// When it may run.
    pub run_at_us: i64,
    /// How often it has been taken up.
    pub attempt: i64,
    /// How often it may be.
    pub max_attempts: i64,
    /// Held by whoever runs it now; a result with another token is refused.
    pub lease_token: Option<Uuid>,
    /// Whether someone asked to stop it.
    pub cancel_requested: bool,
    /// Share done, 0 to 1.
    pub progress: f64,
    /// What is being done.
    pub message: String,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// What it gave.
    pub result: Option<Json<serde_json::Value>>,
    /// When it was enqueued.
    pub created_at_us: i64,
    /// When it ended.
    pub finished_at_us: Option<i64>,
}

/// A job to enqueue.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its task, where it has one.
    pub task_id: Option<Uuid>,
    /// Which handler runs it.
    pub kind: String,
    /// What the handler needs.
    pub payload: serde_json::Value,
    /// Of jobs with the same key only one waits at a time.
    pub unique_key: Option<String>,
    /// When it may run.
    pub run_at_us: i64,
    /// How often it may be taken up.
    pub max_attempts: i64,
    /// When it was enqueued.
    pub created_at_us: i64,
}

/// Enqueues a job; gives the id of the one that waits, which is an earlier one when `unique_key` is taken. That one is
/// locked until the transaction ends: no worker runs it before what it is to work on is there.
pub async fn enqueue(conn: &mut Conn, job: &NewJob) -> Result<JobId, StorageError> {
    let NewJob {
        id,
        project_id,
        task_id,
        kind,
        payload,
        unique_key,
        run_at_us,
        max_attempts,
        created_at_us,
    } = job;
    let (waiting,): (Uuid,) = rows!(
        fetch_one,
        conn,
        (Uuid,),
        ENQUEUE,
        id.0,
        project_id.0,
        task_id,
        kind,
        Json(payload),
        unique_key,
        run_at_us,
        max_attempts,
        false,
        created_at_us
    )?;
    Ok(JobId(waiting))
}

/// Locks a job until the transaction ends; false when the lease is lost, and then nothing must be committed.
pub async fn hold(conn: &mut Conn, id: JobId, token: Uuid) -> Result<bool, StorageError> {
    Ok(execute!(conn, HOLD, id.0, token)? > 0)
}

/// Takes up the next job that is due, or whose holder has not been heard of until its lease ran out.
pub async fn claim(
    conn: &mut Conn,
    now_us: i64,
    lease_until_us: i64,
    token: Uuid,
) -> Result<Option<JobRow>, StorageError> {
    let statement = dialect::claim_statement(&conn.exec());
    Ok(rows!(
        fetch_optional,
        conn,
        JobRow,
        statement,
        now_us,
        lease_until_us,
        token
    )?)
}

/// Extends a lease and notes progress. Gives whether someone asked to stop; `None` when the lease is lost.
pub async fn heartbeat(
    conn: &mut Conn,
    id: JobId,
    token: Uuid,
    lease_until_us: i64,
    progress: f64,
    message: &str,
) -> Result<Option<bool>, StorageError> {
    let held: Option<(bool,)> = rows!(
        fetch_optional,
        conn,
        (bool,),
        HEARTBEAT,
        id.0,
        token,
        lease_until_us,
        progress,
        message
    )?;
    Ok(held.map(|(cancel_requested,)| cancel_requested))
}

/// Ends a job in `state`; false when the lease is lost, and then nothing must be committed.
pub async fn finish(
    conn: &mut Conn,
    id: JobId,
    token: Uuid,
    state: &str,
    error: Option<&str>,
    result: Option<&serde_json::Value>,
    now_us: i64,
) -> Result<bool, StorageError> {
    Ok(execute!(conn, FINISH, id.0, token, state, error, result.map(Json), now_us)? > 0)
}

/// Puts a job back to be tried again later; false when the lease is lost.
pub async fn retry(
    conn: &mut Conn,
    id: JobId,
    token: Uuid,
    run_at_us: i64,
    error: &str,
) -> Result<bool, StorageError> {
    Ok(execute!(conn, RETRY, id.0, token, run_at_us, error)? > 0)
}

/// Puts a job back that its worker could not finish because it stops; that is no failed attempt.
pub async fn release(conn: &mut Conn, id: JobId, token: Uuid) -> Result<bool, StorageError> {
    Ok(execute!(conn, RELEASE, id.0, token)? > 0)
}

/// What came of asking a job to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited and will not run.
    Stopped,
    /// It runs, and its handler will notice.
    Asked,
    /// It had ended.
    TooLate,
}

/// Stops a job that waits, or asks one that runs to stop.
pub async fn cancel(
    conn: &mut Conn,
    project: ProjectId,
    id: JobId,
    now_us: i64,
) -> Result<Cancelled, StorageError> {
    if execute!(conn, CANCEL_QUEUED, project.0, id.0, now_us)? > 0 {
        return Ok(Cancelled::Stopped);
    }
    Ok(if execute!(conn, CANCEL_RUNNING, project.0, id.0)? > 0 {
        Cancelled::Asked
    } else {
        Cancelled::TooLate
    })
}

/// Gives a dead or cancelled job another chance; false when it is neither.
pub async fn requeue(
    conn: &mut Conn,
    project: ProjectId,
    id: JobId,
    now_us: i64,
) -> Result<bool, StorageError> {
    Ok(execute!(conn, REQUEUE, project.0, id.0, now_us)? > 0)
}

/// The job with this id.
pub async fn find(conn: &mut Conn, id: JobId) -> Result<Option<JobRow>, StorageError> {
    Ok(rows!(fetch_optional, conn, JobRow, FIND, id.0)?)
}

/// Jobs made before `before`, latest first.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    state: Option<&str>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<JobRow>, StorageError> {
    Ok(rows!(
        fetch_all, conn, JobRow, LIST, project.0, state, before, limit
    )?)
}

/// How many jobs a worker could take up: those that are due, and those whose holder was not heard of.
pub async fn count_due(conn: &mut Conn, now_us: i64) -> Result<i64, StorageError> {
    let (count,): (i64,) = rows!(fetch_one, conn, (i64,), COUNT_DUE, now_us)?;
    Ok(count)
}

/// One step of a job, for those who watch.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct JobEvent {
    /// Rises with every event.
    pub id: i64,
    /// When.
    pub at_us: i64,
    /// Share done, 0 to 1.
    pub progress: f64,
    /// What is being done.
    pub message: String,
}

/// Notes a step of a job.
pub async fn insert_event(
    conn: &mut Conn,
    project: ProjectId,
    job: JobId,
    at_us: i64,
    progress: f64,
    message: &str,
) -> Result<(), StorageError> {
    execute!(conn, INSERT_EVENT, project.0, job.0, at_us, progress, message)?;
    Ok(())
}

/// The steps of a job after this event.
pub async fn list_events(conn: &mut Conn, job: JobId, after: i64) -> Result<Vec<JobEvent>, StorageError> {
    Ok(rows!(fetch_all, conn, JobEvent, LIST_EVENTS, job.0, after)?)
}

/// The statements that claim a job on either database, for the test that prepares them.
pub fn claim_statement(conn: &mut Conn) -> &'static str {
    let exec: Exec<'_> = conn.exec();
    dialect::claim_statement(&exec)
}

/// Forgets jobs of a kind that have succeeded: those that come each minute and say nothing when they are over.
pub async fn forget_succeeded(conn: &mut Conn, project: ProjectId, kind: &str) -> Result<(), StorageError> {
    execute!(conn, FORGET_EVENTS, project.0, kind)?;
    execute!(conn, FORGET, project.0, kind)?;
    Ok(())
}
