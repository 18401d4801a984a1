//! What runs by the clock: the project's schedules, each a step of the loop with a cron expression in a time zone. Two processes
//! never start one twice, and a run never overlaps the one before.

use crate::alert::CHECK_ALERTS;
use crate::discover::discovery_spec;
use crate::effects::curate_spec;
use crate::triggers::CHECK_TRIGGERS;
use crate::{Engine, EngineError};
use hone_domain::{
    JobId, MissedRuns, ProjectId, ScheduledAction, TaskKind, TrainingTrigger, derive_repeatable_id,
    require_name,
};
use hone_jobs::{
    Handler, HandlerFuture, JobContext, JobError, NewJobSpec, enqueue, next_occurrence_us, run_now,
};
use hone_storage::projects::{self, Project};
use hone_storage::schedules::{self, Schedule};
use hone_storage::tasks::Task;
use hone_storage::{Conn, deployments, progress, runs, tasks};

pub(crate) const RUN_SCHEDULED: &str = "RunScheduled";

/// The schedules of every project, in UTC: the documented ones, then those that came later. Only added to at the end: projects know
/// how many they were given.
const SHIPPED: [(&str, &str, ScheduledAction); 8] = [
    ("check-triggers", "*/30 * * * *", ScheduledAction::CheckTriggers),
    ("daily-curation", "15 2 * * *", ScheduledAction::Curate),
    ("weekly-training", "30 3 * * SUN", ScheduledAction::Train),
    ("monthly-evaluation", "0 5 1 * *", ScheduledAction::Report),
    ("snapshots", "5 * * * *", ScheduledAction::Snapshot),
    ("check-alerts", "* * * * *", ScheduledAction::CheckAlerts),
    ("daily-drift", "45 1 * * *", ScheduledAction::CheckDrift),
    ("daily-discovery", "0 4 * * *", ScheduledAction::Discover),
];

/// What a schedule is to be; what is absent stays as it is, or is as usual.
#[derive(Debug, Clone, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleChange {
    /// Which step.
    pub action: Option<ScheduledAction>,
    /// When: five fields, such as `*/30 * * * *`.
    pub cron: Option<String>,
    /// Time zone of the expression, such as `Europe/Berlin`; UTC as usual.
    pub time_zone: Option<String>,
    /// What becomes of missed runs; `run_once` as usual.
    pub missed: Option<MissedRuns>,
    /// Whether it rests.
    pub paused: Option<bool>,
    /// Only of this task; all tasks as usual.
    pub task: Option<String>,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Payload {
    action: ScheduledAction,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<String>,
}

/// Which step a schedule starts, and of which task.
pub fn action_of(schedule: &Schedule) -> (ScheduledAction, Option<String>) {
    match serde_json::from_value::<Payload>(schedule.payload.clone()) {
        Ok(payload) => (payload.action, payload.task),
        Err(_) => (ScheduledAction::CheckTriggers, None),
    }
}

impl Engine {
    /// Gives a project the documented schedules that it has not been given yet; what was removed stays away.
    pub(crate) async fn add_shipped_schedules(
        &self,
        conn: &mut Conn,
        project: &Project,
    ) -> Result<(), EngineError> {
        let given = usize::try_from(project.shipped_schedules).unwrap_or(0);
        if given >= SHIPPED.len() {
            return Ok(());
        }
        for (name, cron, action) in SHIPPED.into_iter().skip(given) {
            let change = ScheduleChange {
                action: Some(action),
                cron: Some(cron.to_owned()),
                ..ScheduleChange::default()
            };
            let mut schedule = self.changed(None, ProjectId(project.id), name, change)?;
            schedule.id = derive_repeatable_id(ProjectId(project.id), "shipped schedule", name);
            schedules::insert(conn, &schedule).await?;
        }
        projects::set_shipped_schedules(conn, ProjectId(project.id), SHIPPED.len() as i64).await?;
        Ok(())
    }

    /// Changes a schedule, or makes it when there is none of this name.
    pub async fn set_schedule(
        &self,
        project: ProjectId,
        name: &str,
        change: ScheduleChange,
    ) -> Result<Schedule, EngineError> {
        require_name("/name", name)?;
        let mut conn = self.db.begin().await?;
        if let Some(task) = &change.task {
            let found = tasks::find_by_name(&mut conn, project, task).await?;
            found.ok_or_else(|| EngineError::field("/task", format!("task \"{task}\" does not exist")))?;
        }
        let found = schedules::find(&mut conn, project, name).await?;
        let is_new = found.is_none();
        let schedule = self.changed(found, project, name, change)?;
        if is_new {
            schedules::insert(&mut conn, &schedule).await?;
        } else {
            schedules::update(&mut conn, &schedule).await?;
        }
        conn.commit().await?;
        Ok(schedule)
    }

    /// Removes a schedule.
    pub async fn remove_schedule(&self, project: ProjectId, name: &str) -> Result<(), EngineError> {
        let mut conn = self.db.begin().await?;
        if !schedules::delete(&mut conn, project, name).await? {
            return Err(missing(name));
        }
        conn.commit().await?;
        Ok(())
    }

    /// Starts a schedule's step now, paused or not; its next time stays.
    pub async fn run_schedule(&self, project: ProjectId, name: &str) -> Result<JobId, EngineError> {
        let mut conn = self.db.begin().await?;
        let schedule = schedules::find(&mut conn, project, name).await?;
        let schedule = schedule.ok_or_else(|| missing(name))?;
        let job = run_now(&mut conn, &self.ids, &schedule).await?;
        conn.commit().await?;
        Ok(job)
    }

    /// Starts the whole pipeline once, for those who have a clock of their own.
    pub async fn start_cycle(&self, project: ProjectId) -> Result<JobId, EngineError> {
        self.start_action(project, ScheduledAction::Cycle, None).await
    }

    /// Starts a step of the loop now, of one task or of all; one that waits already is given again.
    pub async fn start_action(
        &self,
        project: ProjectId,
        action: ScheduledAction,
        task: Option<String>,
    ) -> Result<JobId, EngineError> {
        let mut conn = self.db.begin().await?;
        let about = task.as_deref().unwrap_or_default();
        let spec = NewJobSpec {
            id: None,
            project,
            task: None,
            kind: RUN_SCHEDULED,
            unique_key: Some(format!("{action}:{project}:{about}")),
            payload: payload_of(action, task),
            delay_us: 0,
        };
        let job = enqueue(&mut conn, &self.ids, spec).await?;
        conn.commit().await?;
        Ok(job)
    }

    /// A schedule as a change leaves it.
    fn changed(
        &self,
        found: Option<Schedule>,
        project: ProjectId,
        name: &str,
        change: ScheduleChange,
    ) -> Result<Schedule, EngineError> {
        let known = found.as_ref().map(action_of);
        let action = change.action.or(known.as_ref().map(|known| known.0));
        let action =
            action.ok_or_else(|| EngineError::field("/action", "is missing; say which step is to run"))?;
        let task = change.task.or_else(|| known.and_then(|known| known.1));
        let cron = change
            .cron
            .or_else(|| found.as_ref().map(|found| found.cron.clone()));
        let cron = cron
            .ok_or_else(|| EngineError::field("/cron", "is missing; give five fields such as 0 3 * * *"))?;
        let time_zone = change
            .time_zone
            .or_else(|| found.as_ref().map(|found| found.time_zone.clone()))
            .unwrap_or_else(|| "UTC".to_owned());
        let next_at_us = next_occurrence_us(&cron, &time_zone, self.ids.now_us())
            .map_err(|error| EngineError::field("/cron", error.to_string()))?;
        let missed = change.missed.or(found.as_ref().map(|found| found.missed));
        let paused = change.paused.or(found.as_ref().map(|found| found.paused));
        let kind = match action {
            ScheduledAction::CheckTriggers if task.is_none() => CHECK_TRIGGERS,
            ScheduledAction::CheckAlerts => CHECK_ALERTS,
            _ => RUN_SCHEDULED,
        };
        Ok(Schedule {
            id: found.as_ref().map_or_else(|| self.ids.next(), |found| found.id),
            project_id: project.0,
            name: name.to_owned(),
            cron,
            kind: kind.to_owned(),
            payload: payload_of(action, task),
            paused: paused.unwrap_or(false),
            next_at_us,
            time_zone,
            missed: missed.unwrap_or(MissedRuns::RunOnce),
            last_at_us: found.and_then(|found| found.last_at_us),
        })
    }

    /// Does a step for one task, in one transaction; gives whether it started anything.
    async fn start_step(&self, action: ScheduledAction, task: &Task) -> Result<bool, EngineError> {
        let mut conn = self.db.begin().await?;
        let started = match action {
            ScheduledAction::Curate => self.curate_new(&mut conn, task).await?,
            ScheduledAction::CheckTriggers => {
                let run = self.enqueue_due_training(&mut conn, task).await?;
                self.enqueue_filling(&mut conn, task).await?;
                run.is_some()
            }
            ScheduledAction::Train => self.train_what_is_new(&mut conn, task).await?,
            ScheduledAction::Cycle => {
                // The recorder enqueues looks before curation: so is it done here.
                tasks::lock(&mut conn, task.task_id()).await?;
                if let Some(sharing) = deployments::find_sharing(&mut conn, task.task_id()).await? {
                    self.enqueue_looks(&mut conn, &sharing).await?;
                }
                let run = self.enqueue_due_training(&mut conn, task).await?;
                self.enqueue_filling(&mut conn, task).await?;
                self.curate_new(&mut conn, task).await? || run.is_some()
            }
            ScheduledAction::Snapshot => self.take_snapshots(&mut conn, task).await? > 0,
            ScheduledAction::Discover => {
                enqueue(&mut conn, &self.ids, discovery_spec(task, None)).await?;
                true
            }
            ScheduledAction::Report | ScheduledAction::CheckAlerts | ScheduledAction::CheckDrift => false,
        };
        conn.commit().await?;
        Ok(started)
    }

    async fn curate_new(&self, conn: &mut Conn, task: &Task) -> Result<bool, EngineError> {
        let has_new = progress::has_inbox(conn, task.task_id()).await?;
        if has_new {
            enqueue(conn, &self.ids, curate_spec(task.project(), task.task_id(), 0)).await?;
        }
        Ok(has_new)
    }

    async fn train_what_is_new(&self, conn: &mut Conn, task: &Task) -> Result<bool, EngineError> {
        if task.kind != TaskKind::Classify || !task.policy.training.automatic {
            return Ok(false);
        }
        tasks::lock(conn, task.task_id()).await?;
        let counted = progress::get(conn, task.task_id()).await?;
        let is_due = counted.usable_examples >= task.policy.training.min_samples && counted.new_examples > 0;
        if !is_due || runs::count_unfinished(conn, task.task_id()).await? > 0 {
            return Ok(false);
        }
        let id = self.ids.next();
        self.enqueue_training(conn, task, TrainingTrigger::Schedule, None, id)
            .await?;
        Ok(true)
    }
}

fn payload_of(action: ScheduledAction, task: Option<String>) -> serde_json::Value {
    serde_json::json!(Payload { action, task })
}

fn missing(name: &str) -> EngineError {
    EngineError::NotFound {
        noun: "schedule",
        id: name.to_owned(),
    }
}

/// Does what a schedule says.
pub struct RunScheduled {
    engine: Engine,
}

impl RunScheduled {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn start(&self, context: &JobContext) -> Result<serde_json::Value, JobError> {
        let payload: Payload = serde_json::from_value(context.job.payload.clone())
            .map_err(|error| JobError::Permanent(format!("the payload cannot be read: {error}")))?;
        let project = context.project();
        let mut all = tasks::list(&mut self.engine.db.read().await?, project).await?;
        if let Some(name) = &payload.task {
            all.retain(|task| task.name == *name);
        }
        if payload.action == ScheduledAction::Report {
            context.tell(0.1, "measuring versions");
            let report = self.engine.write_report(project, &all).await?;
            return Ok(serde_json::json!({ "action": payload.action, "report_id": report }));
        }
        if matches!(
            payload.action,
            ScheduledAction::CheckTriggers | ScheduledAction::Cycle
        ) {
            self.engine.join_early_feedback(project).await?;
        }
        let mut started = Vec::new();
        for task in all {
            context.check_cancelled()?;
            if payload.action == ScheduledAction::CheckDrift {
                let found = self.engine.check_drift(&task).await?;
                if found.is_some_and(|report| report.is_drifting) {
                    started.push(task.name);
                }
                continue;
            }
            if self.engine.start_step(payload.action, &task).await? {
                started.push(task.name);
            }
        }
        Ok(serde_json::json!({ "action": payload.action, "started": started }))
    }
}

impl Handler for RunScheduled {
    fn kind(&self) -> &'static str {
        RUN_SCHEDULED
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(self.start(context))
    }
}
