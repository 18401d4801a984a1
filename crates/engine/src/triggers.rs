//! When to train: the documented triggers, evaluated on counters that are kept up as things come.

use hone_domain::{HOUR_US, JobId, RunId, RunStatus, TaskKind, TrainingPolicy, TrainingTrigger};
use hone_jobs::{Handler, HandlerFuture, JobContext, JobError, NewJobSpec, enqueue};
use hone_learn::{TrainError, find_trainer};
use hone_storage::progress::{self, Progress};
use hone_storage::runs::{self, Run};
use hone_storage::tasks::Task;
use hone_storage::{Conn, deployments, tasks};

use crate::effects::curate_spec;
use crate::train::TRAIN_MODEL;
use crate::{Engine, EngineError};

pub(crate) const CHECK_TRIGGERS: &str = "CheckTriggers";

/// Refuses to train on fewer examples than the task's policy asks for.
pub(crate) fn require_samples(task: &Task, counted: &Progress) -> Result<(), EngineError> {
    let (usable, needed) = (counted.usable_examples, task.policy.training.min_samples);
    if usable >= needed {
        return Ok(());
    }
    Err(EngineError::Train(TrainError::Data(format!(
        "task \"{}\" has {usable} usable examples and needs {needed}; add examples, or lower training.min_samples",
        task.name
    ))))
}

/// Which trigger holds, if one does. Without enough examples none does.
pub(crate) fn due_trigger(
    policy: &TrainingPolicy,
    progress: &Progress,
    now_us: i64,
) -> Option<TrainingTrigger> {
    if progress.usable_examples < policy.min_samples || progress.new_examples == 0 {
        return None;
    }
    let Some(last_trained_at_us) = progress.last_trained_at_us else {
        // Nothing serves yet: the least number of examples is reason enough.
        return Some(TrainingTrigger::NewSamples);
    };
    let reached = |threshold: i64, count: i64| threshold > 0 && count >= threshold;
    if reached(policy.new_samples, progress.new_examples) {
        return Some(TrainingTrigger::NewSamples);
    }
    if reached(policy.new_validated, progress.new_validated) {
        return Some(TrainingTrigger::NewValidated);
    }
    let accuracy = progress.new_correct as f64 / progress.new_judged.max(1) as f64;
    if policy.accuracy_below > 0.0
        && progress.new_judged >= policy.accuracy_min_judged.max(1)
        && accuracy < policy.accuracy_below
    {
        return Some(TrainingTrigger::Accuracy);
    }
    let age_us = now_us - last_trained_at_us;
    (policy.max_age_hours > 0 && age_us >= policy.max_age_hours * HOUR_US).then_some(TrainingTrigger::Age)
}

impl Engine {
    /// Starts a training because a person asked for it, whatever the triggers say. A run with the id that is asked for is
    /// not started twice.
    pub async fn start_training(
        &self,
        task: &Task,
        settings: Option<serde_json::Value>,
        id: Option<RunId>,
    ) -> Result<RunId, EngineError> {
        if task.kind == TaskKind::Generate {
            let detail = format!(
                "\"{0}\" is a generate task; its versions are registered: hone register {0} FILE",
                task.name
            );
            return Err(EngineError::field("/task", detail));
        }
        if let Some(settings) = &settings
            && let Some(trainer) = find_trainer(&task.policy.training.trainer)
        {
            trainer
                .check(settings)
                .map_err(|error| EngineError::field("/settings", error.to_string()))?;
        }
        let mut conn = self.db.begin().await?;
        // What people have said and nobody has looked at yet may be enough; the job curates first.
        if !progress::has_inbox(&mut conn, task.task_id()).await? {
            let counted = progress::get(&mut conn, task.task_id()).await?;
            require_samples(task, &counted)?;
        }
        if let Some(id) = id {
            tasks::lock(&mut conn, task.task_id()).await?;
            if let Some(earlier) = runs::find(&mut conn, id).await? {
                let wanted = settings.as_ref().unwrap_or(&task.policy.training.settings);
                return if earlier.task_id == task.id && earlier.settings == *wanted {
                    Ok(id)
                } else {
                    Err(EngineError::id_is_taken("run", id))
                };
            }
        }
        let id = id.unwrap_or_else(|| self.ids.next());
        self.enqueue_training(&mut conn, task, TrainingTrigger::Manual, settings, id)
            .await?;
        conn.commit().await?;
        Ok(id)
    }

    /// Starts a training when one of the task's triggers holds; for those who have just added examples.
    pub async fn train_if_due(&self, task: &Task) -> Result<Option<RunId>, EngineError> {
        let mut conn = self.db.begin().await?;
        let run = self.enqueue_due_training(&mut conn, task).await?;
        conn.commit().await?;
        Ok(run)
    }

    /// Starts curation because a person asked for it: of what is new, or of all examples again.
    pub async fn start_curation(&self, task: &Task, again: bool) -> Result<JobId, EngineError> {
        let mut conn = self.db.begin().await?;
        let mut spec = curate_spec(task.project(), task.task_id(), 0);
        if again {
            spec.payload["again"] = true.into();
            // One that waits to look at what is new does less.
            spec.unique_key = Some(format!("curate-again:{}", task.id));
        }
        let job = enqueue(&mut conn, &self.ids, spec).await?;
        conn.commit().await?;
        Ok(job)
    }

    /// Starts a training of the task in the caller's transaction. The run's job has the id of the run.
    pub(crate) async fn enqueue_training(
        &self,
        conn: &mut Conn,
        task: &Task,
        reason: TrainingTrigger,
        settings: Option<serde_json::Value>,
        id: RunId,
    ) -> Result<(), EngineError> {
        if task.kind != TaskKind::Classify {
            return Err(EngineError::Conflict(format!(
                "task \"{}\" is of kind generate, which no local trainer trains; export its dataset instead",
                task.name
            )));
        }
        let now_us = self.ids.now_us();
        let mut seed = [0u8; 4];
        self.ids.fill(&mut seed);
        let run = Run {
            id: id.0,
            project_id: task.project_id,
            task_id: task.id,
            reason,
            status: RunStatus::Queued,
            trainer: task.policy.training.trainer.clone(),
            settings: settings.unwrap_or_else(|| task.policy.training.settings.clone()),
            seed: i64::from(u32::from_le_bytes(seed)),
            dataset_id: None,
            artifact_hash: None,
            artifact_bytes: None,
            baseline_version_id: None,
            model_version_id: None,
            metrics: None,
            baseline_metrics: None,
            decision: None,
            error: None,
            created_at_us: now_us,
            started_at_us: None,
            finished_at_us: None,
            search: None,
        };
        runs::insert(conn, &run).await?;
        let spec = NewJobSpec {
            id: Some(JobId(id.0)),
            project: task.project(),
            task: Some(task.task_id()),
            kind: TRAIN_MODEL,
            payload: serde_json::json!({ "run_id": run.id }),
            unique_key: None,
            delay_us: 0,
        };
        enqueue(conn, &self.ids, spec).await?;
        Ok(())
    }

    /// Starts a training when one of the task's triggers holds.
    pub(crate) async fn enqueue_due_training(
        &self,
        conn: &mut Conn,
        task: &Task,
    ) -> Result<Option<RunId>, EngineError> {
        if !task.policy.training.automatic || task.kind != TaskKind::Classify {
            return Ok(None);
        }
        // One at a time: what comes meanwhile is looked at again when that run is evaluated.
        tasks::lock(conn, task.task_id()).await?;
        if runs::count_unfinished(conn, task.task_id()).await? > 0 {
            return Ok(None);
        }
        let progress = progress::get(conn, task.task_id()).await?;
        let Some(trigger) = due_trigger(&task.policy.training, &progress, self.ids.now_us()) else {
            return Ok(None);
        };
        let id = self.ids.next();
        self.enqueue_training(conn, task, trigger, None, id).await?;
        Ok(Some(id))
    }
}

/// Looks at the triggers of all tasks of a project, because time has passed; joins feedback that came early.
pub struct CheckTriggers {
    engine: Engine,
}

impl CheckTriggers {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn check(&self, context: &JobContext) -> Result<serde_json::Value, JobError> {
        let project = context.project();
        self.engine.join_early_feedback(project).await?;
        let mut all = tasks::list(&mut self.engine.db.read().await?, project).await?;
        // A task, then its jobs, tasks in the order of their ids: as everybody else locks them.
        all.sort_by_key(|task| task.id);
        let mut started = Vec::new();
        for task in all {
            let mut conn = self.engine.db.begin().await?;
            started.extend(self.engine.enqueue_due_training(&mut conn, &task).await?);
            if task.policy.curation.automatic && progress::has_inbox(&mut conn, task.task_id()).await? {
                enqueue(
                    &mut conn,
                    &self.engine.ids,
                    curate_spec(project, task.task_id(), 0),
                )
                .await?;
            }
            self.engine.enqueue_filling(&mut conn, &task).await?;
            conn.commit().await?;
        }
        let mut conn = self.engine.db.begin().await?;
        // Should a look have been lost with its job, this one takes its place.
        for sharing in deployments::list_sharing(&mut conn, project).await? {
            self.engine.enqueue_looks(&mut conn, &sharing).await?;
        }
        let result = serde_json::json!({ "runs": started });
        context.finish_in(&mut conn, &result).await?;
        conn.commit().await?;
        Ok(result)
    }
}

impl Handler for CheckTriggers {
    fn kind(&self) -> &'static str {
        CHECK_TRIGGERS
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(self.check(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_768_719_600_000_000;

    fn trained(new_examples: i64) -> Progress {
        Progress {
            usable_examples: 500,
            new_examples,
            last_trained_at_us: Some(NOW_US - HOUR_US),
            ..Progress::default()
        }
    }

    #[test]
    fn the_documented_triggers_hold_at_their_thresholds() {
        let policy = TrainingPolicy::default();
        let due = |progress: &Progress| due_trigger(&policy, progress, NOW_US);
        assert_eq!(
            due(&Progress {
                usable_examples: 19,
                new_examples: 19,
                ..Progress::default()
            }),
            None
        );
        let first = Progress {
            usable_examples: 20,
            new_examples: 20,
            ..Progress::default()
        };
        assert_eq!(due(&first), Some(TrainingTrigger::NewSamples));
        assert_eq!(due(&trained(99)), None);
        assert_eq!(due(&trained(100)), Some(TrainingTrigger::NewSamples));
        let judged = Progress {
            new_judged: 100,
            new_correct: 94,
            ..trained(1)
        };
        assert_eq!(due(&judged), Some(TrainingTrigger::Accuracy));
        assert_eq!(
            due(&Progress {
                new_correct: 95,
                ..judged
            }),
            None
        );
        let old = Progress {
            last_trained_at_us: Some(NOW_US - 24 * HOUR_US),
            ..trained(1)
        };
        assert_eq!(due(&old), Some(TrainingTrigger::Age));
        assert_eq!(
            due(&Progress {
                new_examples: 0,
                ..old
            }),
            None
        );
    }

    #[test]
    fn a_threshold_of_zero_switches_a_trigger_off() {
        let policy = TrainingPolicy {
            new_samples: 0,
            new_validated: 10,
            ..TrainingPolicy::default()
        };
        assert_eq!(due_trigger(&policy, &trained(400), NOW_US), None);
        let validated = Progress {
            new_validated: 10,
            ..trained(400)
        };
        assert_eq!(
            due_trigger(&policy, &validated, NOW_US),
            Some(TrainingTrigger::NewValidated)
        );
    }
}
