//! Curation: interactions with feedback and references become examples, each taken or rejected with a reason; what files
//! and calls bring is placed by the same rules. Reads only what is new (the inbox); running it again changes nothing.
//!
//! `verdict` says what feedback teaches, `place` takes it through the steps, `decide` is the word of a person, `preview` shows
//! what would change. Woken by the job `CurateTask`, which feedback enqueues; looks at the training triggers when it is done.

mod decide;
mod draft;
mod near;
mod place;
mod preview;
mod quality;
mod verdict;

use std::collections::BTreeMap;

use hone_domain::{
    CurationStep, DecidedBy, FeedbackSource, InteractionId, ProjectId, ReviewKind, ReviewReason, TaskId,
};
use hone_jobs::{Handler, HandlerFuture, JobContext, JobError};
use hone_storage::examples::Example;
use hone_storage::interactions::Interaction;
use hone_storage::progress::{self, Progress};
use hone_storage::{Conn, examples, feedback, interactions, tasks};
use uuid::Uuid;

use crate::effects::Effects;
use crate::review::ReviewDraft;
use crate::{Engine, EngineError};

pub use decide::ExampleDecision;
pub(crate) use draft::{Draft, standing_of};
pub use draft::{Placed, Rejection};
pub(crate) use near::SharedNearExamples;
pub(crate) use place::Curator;
pub use preview::{CurationPreview, PreviewedChange};
use verdict::{Verdict, judge};

pub(crate) const CURATE_TASK: &str = "CurateTask";
/// Interactions looked at in one transaction.
const BATCH: i64 = 200;
/// A model that is as sure as this is not contradicted without being asked about.
const SURE: f64 = 0.8;
/// How early people are asked about what was not liked.
const LOW_RATING_PRIORITY: f64 = 0.7;

/// What curation did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct CurationReport {
    /// Interactions and examples looked at.
    pub considered: usize,
    /// Examples taken or changed.
    pub approved: usize,
    /// Examples rejected, each with its reason.
    pub rejected: usize,
    /// Rejected examples by the step that rejected them.
    pub rejected_by: BTreeMap<&'static str, usize>,
    /// Interactions on which nobody has said anything that makes an example.
    pub undecided: usize,
}

impl CurationReport {
    fn count(&mut self, placed: &Placed) {
        match placed {
            Placed::Approved(_) => self.approved += 1,
            Placed::Rejected(_, Rejection { step, .. }) => {
                self.rejected += 1;
                *self.rejected_by.entry(step.as_str()).or_default() += 1;
            }
        }
    }
}

impl Engine {
    /// Looks at everything new of a task and decides on it; `tell` learns how far it is and may end it.
    pub async fn curate(
        &self,
        task: TaskId,
        tell: &(dyn Fn(usize) -> Result<(), JobError> + Sync),
    ) -> Result<CurationReport, EngineError> {
        let mut report = CurationReport::default();
        let task = tasks::get(&mut self.db.read().await?, task).await?;
        let mut curator = self.curator(&task).await?;
        loop {
            let mut conn = self.db.begin().await?;
            curator.lock(&mut conn).await?;
            let waiting = progress::list_inbox(&mut conn, task.task_id(), BATCH).await?;
            if waiting.is_empty() {
                return Ok(report);
            }
            for interaction in waiting {
                if progress::take_inbox(&mut conn, task.project(), interaction).await? {
                    curator.curate_one(&mut conn, interaction, &mut report).await?;
                }
            }
            curator.write_counters(&mut conn).await?;
            conn.commit().await?;
            tell(report.considered)?;
        }
    }

    /// Looks at all examples of a task again, because its policy has changed; what a person decided stays.
    pub async fn curate_again(
        &self,
        task: TaskId,
        tell: &(dyn Fn(usize) -> Result<(), JobError> + Sync),
    ) -> Result<CurationReport, EngineError> {
        let mut report = self.curate(task, tell).await?;
        let task = tasks::get(&mut self.db.read().await?, task).await?;
        let mut curator = self.curator(&task).await?;
        let mut after = Uuid::nil();
        loop {
            let mut conn = self.db.begin().await?;
            curator.lock(&mut conn).await?;
            let page = examples::list_after(&mut conn, task.task_id(), after, BATCH).await?;
            let Some(last) = page.last() else {
                return Ok(report);
            };
            after = last.id;
            for example in page {
                curator.curate_again(&mut conn, example, &mut report).await?;
            }
            curator.write_counters(&mut conn).await?;
            conn.commit().await?;
            tell(report.considered)?;
        }
    }

    /// Joins feedback whose interaction came at the same moment in another process, so that neither saw the other.
    pub(crate) async fn join_early_feedback(&self, project: ProjectId) -> Result<(), EngineError> {
        loop {
            let mut conn = self.db.begin().await?;
            let joined = feedback::join_early(&mut conn, project).await?;
            let mut effects = Effects::default();
            for row in &joined {
                if let Some(task) = row.task_id {
                    effects.of_feedback(row, TaskId(task), row.is_mismatch);
                }
            }
            effects.write(&mut conn, &self.ids).await?;
            conn.commit().await?;
            if joined.is_empty() {
                return Ok(());
            }
        }
    }
}

impl Curator<'_> {
    /// Adds what has changed to the task's counters.
    pub(crate) async fn write_counters(&mut self, conn: &mut Conn) -> Result<(), EngineError> {
        let change: Progress = std::mem::take(&mut self.change);
        progress::add(conn, self.task.task_id(), &change).await?;
        progress::set_near_seq(conn, self.task.task_id(), self.near_seq).await?;
        self.note_committing().await;
        Ok(())
    }

    /// Decides on one interaction by all that was said of it.
    async fn curate_one(
        &mut self,
        conn: &mut Conn,
        id: InteractionId,
        report: &mut CurationReport,
    ) -> Result<(), EngineError> {
        let task = self.task;
        let Some(interaction) = interactions::find(conn, task.project(), id).await? else {
            return Ok(());
        };
        let said = feedback::list_of_interaction(conn, task.project(), id).await?;
        let earlier = examples::find_by_interaction(conn, task.task_id(), id).await?;
        report.considered += 1;
        let verdict = judge(task, &interaction, &said);
        // What a person decided on an example stands until somebody says something later.
        let stands = |judged_at_us: i64| {
            earlier.as_ref().is_some_and(|earlier| {
                earlier.decided_by == DecidedBy::Person && judged_at_us <= earlier.judged_at_us
            })
        };
        let placed = match verdict {
            Verdict::Undecided => {
                let taken = earlier
                    .filter(|earlier| earlier.is_usable() && earlier.decided_by == DecidedBy::Curation);
                let Some(taken) = taken else {
                    report.undecided += 1;
                    return Ok(());
                };
                // The policy has changed: what made it an example does so no longer.
                let rejection =
                    Rejection::new(CurationStep::Selection, "nothing decides under the task's policy");
                self.reject_unseen(conn, Draft::again(&taken), Some(taken), rejection)
                    .await?
            }
            Verdict::Take { judged_at_us, .. } | Verdict::Reject { judged_at_us, .. }
                if stands(judged_at_us) =>
            {
                return Ok(());
            }
            Verdict::Reject { reason, judged_at_us } => {
                let draft = Draft {
                    label: interaction.label.clone(),
                    target: interaction.output.0.clone(),
                    judged_at_us,
                    ..Draft::of(&interaction)
                };
                if task.policy.review.low_ratings {
                    self.ask_about_disliked(conn, &interaction, &reason).await?;
                }
                let rejection = Rejection::new(CurationStep::Selection, reason);
                self.reject_unseen(conn, draft, earlier, rejection).await?
            }
            Verdict::Take {
                label,
                target,
                weight,
                is_validated,
                source,
                standing,
                judged_at_us,
                reason,
            } => {
                if task.policy.review.mismatches && source == FeedbackSource::User {
                    self.ask_about_mismatch(conn, &interaction, label.as_deref())
                        .await?;
                }
                let draft = Draft {
                    label,
                    target,
                    weight: weight * task.policy.curation.source_weights.of(source),
                    is_validated,
                    source: Some(source),
                    standing,
                    judged_at_us,
                    reason,
                    ..Draft::of(&interaction)
                };
                self.place(conn, draft, earlier).await?
            }
        };
        report.count(&placed);
        Ok(())
    }

    /// Asks people about an answer that somebody did not like without saying what is right.
    async fn ask_about_disliked(
        &self,
        conn: &mut Conn,
        interaction: &Interaction,
        reason: &str,
    ) -> Result<(), EngineError> {
        let details = serde_json::json!({ "said": reason });
        let draft = self.question(interaction, ReviewReason::LowRating, LOW_RATING_PRIORITY, details);
        self.engine.enqueue_review(conn, self.task, draft).await?;
        Ok(())
    }

    /// Asks people about a label that a user gave though the model was sure of another one.
    async fn ask_about_mismatch(
        &self,
        conn: &mut Conn,
        interaction: &Interaction,
        label: Option<&str>,
    ) -> Result<(), EngineError> {
        let is_mismatch = label.is_some() && interaction.label.as_deref() != label;
        let Some(confidence) = interaction.confidence.filter(|&confidence| confidence >= SURE) else {
            return Ok(());
        };
        if is_mismatch {
            let details = serde_json::json!({ "user_says": label, "confidence": confidence });
            let draft = self.question(interaction, ReviewReason::Mismatch, confidence, details);
            self.engine.enqueue_review(conn, self.task, draft).await?;
        }
        Ok(())
    }

    fn question(
        &self,
        interaction: &Interaction,
        reason: ReviewReason,
        priority: f64,
        details: serde_json::Value,
    ) -> ReviewDraft {
        ReviewDraft {
            interaction_id: Some(interaction.id),
            example_id: None,
            kind: ReviewKind::Answer,
            reason,
            priority,
            input: interaction.input.0.clone(),
            output: interaction.output.0.clone(),
            alternative: None,
            label: interaction.label.clone(),
            suggestion: interaction.label.clone(),
            details: Some(details),
            gold_label: None,
            wanted: self.task.policy.review.reviewers,
        }
    }

    /// Decides on one example again.
    async fn curate_again(
        &mut self,
        conn: &mut Conn,
        example: Example,
        report: &mut CurationReport,
    ) -> Result<(), EngineError> {
        if let Some(interaction) = example.interaction_id {
            return self.curate_one(conn, InteractionId(interaction), report).await;
        }
        // Others of the page may have changed it since it was read.
        let Some(example) = examples::find(conn, example.id.into()).await? else {
            return Ok(());
        };
        report.considered += 1;
        if example.decided_by == DecidedBy::Person {
            return Ok(());
        }
        let placed = self.place(conn, Draft::again(&example), Some(example)).await?;
        report.count(&placed);
        Ok(())
    }
}

/// Runs curation as a job.
pub struct CurateTask {
    engine: Engine,
}

impl CurateTask {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn curate(&self, context: &JobContext) -> Result<serde_json::Value, JobError> {
        let task = task_of(context)?;
        let watched = |count| {
            context.tell(0.5, &format!("{count} interactions"));
            context.check_cancelled()
        };
        let again = context
            .job
            .payload
            .get("again")
            .and_then(serde_json::Value::as_bool);
        let report = if again == Some(true) {
            self.engine.curate_again(task, &watched).await?
        } else {
            self.engine.curate(task, &watched).await?
        };
        let mut conn = self.engine.db.begin().await?;
        let stored = tasks::get(&mut conn, task).await?;
        let training = self.engine.enqueue_due_training(&mut conn, &stored).await?;
        let result = serde_json::json!({ "report": report, "run_id": training });
        context.finish_in(&mut conn, &result).await?;
        conn.commit().await?;
        Ok(result)
    }
}

impl Handler for CurateTask {
    fn kind(&self) -> &'static str {
        CURATE_TASK
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(self.curate(context))
    }
}

/// The task that a job's payload names.
pub(crate) fn task_of(context: &JobContext) -> Result<TaskId, JobError> {
    let named = context
        .job
        .payload
        .get("task_id")
        .and_then(|id| id.as_str())
        .and_then(|id| id.parse().ok());
    named.ok_or_else(|| JobError::Permanent("the payload names no task".to_owned()))
}
