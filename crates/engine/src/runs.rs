//! The life of a run beside its work: closed when its job ends without success, stopped and tried again by hand.
//!
//! A run never stays open without a job: both change in one transaction.

use hone_domain::{JobId, ProjectId, RunId, RunStatus, Severity, TaskId};
use hone_jobs::{GivenUp, JobError};
use hone_storage::jobs::{Cancelled, JobRow};
use hone_storage::runs::{self, Run};
use hone_storage::{Conn, StorageError, jobs};

use crate::alert::Happening;
use crate::evaluate::EVALUATE_RUN;
use crate::train::TRAIN_MODEL;
use crate::{Engine, EngineError};

impl Engine {
    /// Stops a job that waits, with the run it belongs to, or asks one that runs to stop.
    pub async fn cancel_job(&self, project: ProjectId, id: JobId) -> Result<JobRow, EngineError> {
        let mut conn = self.db.begin().await?;
        let job = get_job(&mut conn, project, id).await?;
        match jobs::cancel(&mut conn, project, id, self.ids.now_us()).await? {
            Cancelled::Stopped => self.close_run(&mut conn, &job, &GivenUp::Cancelled).await?,
            Cancelled::Asked => {}
            Cancelled::TooLate => {
                let problem = format!("job {id} has ended; there is nothing to stop");
                return Err(EngineError::Conflict(problem));
            }
        }
        let job = get_job(&mut conn, project, id).await?;
        conn.commit().await?;
        Ok(job)
    }

    /// Gives a dead or cancelled job, and the run it belongs to, another chance.
    pub async fn retry_job(&self, project: ProjectId, id: JobId) -> Result<JobRow, EngineError> {
        let mut conn = self.db.begin().await?;
        let job = get_job(&mut conn, project, id).await?;
        if !jobs::requeue(&mut conn, project, id, self.ids.now_us()).await? {
            let problem = format!("job {id} is neither dead nor cancelled; there is nothing to retry");
            return Err(EngineError::Conflict(problem));
        }
        if let Some(run) = run_of(&job) {
            let mut run = runs::get_locked(&mut conn, run).await?;
            run.status = run.status.transition(RunStatus::Queued)?;
            run.error = None;
            run.finished_at_us = None;
            runs::update(&mut conn, &run).await?;
        }
        let job = get_job(&mut conn, project, id).await?;
        conn.commit().await?;
        Ok(job)
    }

    /// Closes the run of a job that ends without success; jobs of other kinds have none.
    pub(crate) async fn close_run(
        &self,
        conn: &mut Conn,
        job: &JobRow,
        why: &GivenUp,
    ) -> Result<(), StorageError> {
        let Some(run) = run_of(job) else {
            return Ok(());
        };
        let mut run = runs::get_locked(conn, run).await?;
        if run.status.is_final() {
            return Ok(());
        }
        (run.status, run.error) = match why {
            GivenUp::Cancelled => (RunStatus::Cancelled, None),
            GivenUp::Failed(error) => (RunStatus::Failed, Some(error.clone())),
        };
        run.finished_at_us = Some(self.ids.now_us());
        runs::update(conn, &run).await?;
        if let GivenUp::Failed(error) = why {
            let happening = Happening {
                project: ProjectId(run.project_id),
                task: Some(TaskId(run.task_id)),
                name: "failed-run",
                severity: Severity::Warning,
                message: format!("training run {} failed: {error}", run.id),
                advice: "the version that serves goes on; mend what the error names and train again",
            };
            self.note(conn, happening).await?;
        }
        Ok(())
    }
}

/// The job of this project with this id.
pub async fn get_job(conn: &mut Conn, project: ProjectId, id: JobId) -> Result<JobRow, EngineError> {
    let found = jobs::find(conn, id).await?;
    found
        .filter(|job| job.project_id == project.0)
        .ok_or_else(|| EngineError::NotFound {
            noun: "job",
            id: id.to_string(),
        })
}

/// The run that a job works on, if it is of a kind that does.
fn run_of(job: &JobRow) -> Option<RunId> {
    let works_on_run = [TRAIN_MODEL, EVALUATE_RUN].contains(&job.kind.as_str());
    named_run(job).filter(|_| works_on_run)
}

fn named_run(job: &JobRow) -> Option<RunId> {
    job.payload.get("run_id")?.as_str()?.parse().ok()
}

/// A run as its job finds it.
pub(crate) enum FoundRun {
    /// There is work to do.
    Open(Box<Run>),
    /// An earlier attempt, or a person, has ended it; what the job says then.
    Closed(serde_json::Value),
}

/// The run that a job works on, as it is now.
pub(crate) async fn find_run(engine: &Engine, job: &JobRow) -> Result<FoundRun, JobError> {
    let id = named_run(job).ok_or_else(|| JobError::Permanent("the payload names no run".to_owned()))?;
    let run = runs::get(&mut engine.db.read().await?, id).await?;
    Ok(if run.status.is_final() {
        FoundRun::Closed(serde_json::json!({ "run_id": run.id, "status": run.status }))
    } else {
        FoundRun::Open(Box::new(run))
    })
}
