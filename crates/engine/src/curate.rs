//! Curation: interactions with feedback and references become examples, each taken or rejected with a reason; what files
//! and calls bring is placed by the same rules. Reads only what is new (the inbox); running it again changes nothing.
//!
//! Woken by the job `CurateTask`, which feedback enqueues; looks at the training triggers when it is done.

use hone_domain::{
    ExampleId, ExampleOrigin, ExampleStatus, InteractionId, ProjectId, Split, TaskId, TaskKind,
};
use hone_jobs::{Handler, HandlerFuture, JobContext, JobError};
use hone_storage::examples::Example;
use hone_storage::interactions::Interaction;
use hone_storage::progress::{self, Progress};
use hone_storage::tasks::Task;
use hone_storage::{Conn, OptionalText, StoredText, examples, feedback, interactions, tasks};
use uuid::Uuid;

use crate::effects::Effects;
use crate::verdict::{Verdict, judge};
use crate::{Engine, EngineError};

pub(crate) const CURATE_TASK: &str = "CurateTask";
/// Interactions looked at in one transaction.
const BATCH: i64 = 200;

/// What curation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct CurationReport {
    /// Interactions looked at.
    pub considered: usize,
    /// Examples taken or changed.
    pub approved: usize,
    /// Examples rejected, each with its reason.
    pub rejected: usize,
    /// Interactions on which nobody has said anything that makes an example.
    pub undecided: usize,
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
        loop {
            let mut conn = self.db.begin().await?;
            // One at a time: two that see the same text at once would both find no twin of it.
            tasks::lock(&mut conn, task.task_id()).await?;
            let waiting = progress::list_inbox(&mut conn, task.task_id(), BATCH).await?;
            if waiting.is_empty() {
                return Ok(report);
            }
            let mut change = Progress::default();
            for interaction in waiting {
                if progress::take_inbox(&mut conn, task.project(), interaction).await? {
                    self.curate_one(&mut conn, &task, interaction, &mut report, &mut change)
                        .await?;
                }
            }
            progress::add(&mut conn, task.task_id(), &change).await?;
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

    async fn curate_one(
        &self,
        conn: &mut Conn,
        task: &Task,
        id: InteractionId,
        report: &mut CurationReport,
        change: &mut Progress,
    ) -> Result<(), EngineError> {
        let Some(interaction) = interactions::find(conn, task.project(), id).await? else {
            return Ok(());
        };
        let said = feedback::list_of_interaction(conn, task.project(), id).await?;
        let earlier = examples::find_by_interaction(conn, task.task_id(), id).await?;
        report.considered += 1;
        let draft = match judge(task, &interaction, &said) {
            Verdict::Undecided if earlier.is_none() => {
                report.undecided += 1;
                return Ok(());
            }
            Verdict::Undecided => return Ok(()),
            Verdict::Reject(reason) => {
                report.rejected += 1;
                let draft = Draft {
                    label: interaction.label.clone(),
                    judged_at_us: self.ids.now_us(),
                    reason,
                    ..Draft::of(&interaction)
                };
                self.store(conn, task, draft, earlier, ExampleStatus::Rejected, change)
                    .await?;
                return Ok(());
            }
            Verdict::Take {
                label,
                target,
                weight,
                is_validated,
                judged_at_us,
                reason,
            } => Draft {
                label,
                target,
                weight,
                is_validated,
                judged_at_us,
                reason,
                ..Draft::of(&interaction)
            },
        };
        match self.place(conn, task, draft, earlier, change).await? {
            Placed::Approved(_) => report.approved += 1,
            Placed::Rejected(..) => report.rejected += 1,
        }
        Ok(())
    }

    /// Stores a draft as approved, or as rejected when its text fails the checks or repeats another example's.
    pub(crate) async fn place(
        &self,
        conn: &mut Conn,
        task: &Task,
        mut draft: Draft,
        earlier: Option<Example>,
        change: &mut Progress,
    ) -> Result<Placed, EngineError> {
        if let Some(problem) = text_problem(task, &draft) {
            draft.reason = problem;
            return self
                .store(conn, task, draft, earlier, ExampleStatus::Rejected, change)
                .await;
        }
        let hash = hone_text::normalised_hash(&draft.input);
        let twin = examples::find_usable_by_hash(conn, task.task_id(), &hash).await?;
        let own_id = earlier.as_ref().map(|example| example.id);
        if let Some(mut twin) = twin.filter(|twin| Some(twin.id) != own_id) {
            if draft.outranks(task.kind, &twin) {
                // The same text stays in the part of datasets it is in, or a test text would be learned from.
                draft.split = twin
                    .split
                    .as_deref()
                    .and_then(|split| split.parse().ok())
                    .or(draft.split);
                change.usable_examples -= 1;
                twin.status = twin.status.transition(ExampleStatus::Rejected)?;
                "superseded by a later judgement of the same text".clone_into(&mut twin.reason);
                twin.updated_at_us = self.ids.now_us();
                examples::upsert(conn, &twin).await?;
            } else {
                draft.reason = if draft.differs(task.kind, &twin) {
                    format!("contradicts example {}, whose judgement stands", twin.id)
                } else {
                    format!("duplicate of example {}", twin.id)
                };
                return self
                    .store(conn, task, draft, earlier, ExampleStatus::Rejected, change)
                    .await;
            }
        }
        self.store(conn, task, draft, earlier, ExampleStatus::Approved, change)
            .await
    }

    async fn store(
        &self,
        conn: &mut Conn,
        task: &Task,
        draft: Draft,
        earlier: Option<Example>,
        status: ExampleStatus,
        change: &mut Progress,
    ) -> Result<Placed, EngineError> {
        let now_us = self.ids.now_us();
        let was_usable = earlier.as_ref().is_some_and(Example::is_usable);
        let unchanged = earlier.as_ref().is_some_and(|earlier| {
            earlier.label == draft.label && earlier.target.0 == draft.target && earlier.weight == draft.weight
        });
        // An example that is part of a dataset stays marked so while it stays usable.
        let status = match &earlier {
            Some(earlier) if earlier.status == ExampleStatus::Used && status == ExampleStatus::Approved => {
                ExampleStatus::Used
            }
            _ => status,
        };
        let example = Example {
            id: match (&earlier, draft.id) {
                (Some(earlier), _) => earlier.id,
                (None, Some(given)) => given.0,
                (None, None) => self.ids.next(),
            },
            project_id: task.project_id,
            task_id: task.id,
            interaction_id: draft.interaction_id,
            conversation_id: draft.conversation_id,
            input_hash: hone_text::normalised_hash(&draft.input).to_vec(),
            input: StoredText(draft.input),
            label: draft.label,
            target: OptionalText(draft.target),
            weight: draft.weight,
            status,
            origin: draft.origin,
            is_validated: draft.is_validated,
            split: earlier
                .as_ref()
                .and_then(|earlier| earlier.split.clone())
                .or_else(|| draft.split.map(|split| split.as_str().to_owned())),
            reason: draft.reason.clone(),
            judged_at_us: draft.judged_at_us,
            created_at_us: earlier.as_ref().map_or(now_us, |earlier| earlier.created_at_us),
            updated_at_us: now_us,
        };
        examples::upsert(conn, &example).await?;
        let is_usable = example.is_usable();
        change.usable_examples += i64::from(is_usable) - i64::from(was_usable);
        if is_usable && !(was_usable && unchanged) {
            change.new_examples += 1;
            change.new_validated += i64::from(draft.is_validated);
        }
        Ok(if is_usable {
            Placed::Approved(example.id)
        } else {
            Placed::Rejected(example.id, draft.reason)
        })
    }
}

/// What became of an example: taken, or kept out of datasets for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// Taken.
    Approved(Uuid),
    /// Kept, but out of datasets, for this reason.
    Rejected(Uuid, String),
}

/// An example before it has a status.
pub(crate) struct Draft {
    pub id: Option<ExampleId>,
    pub interaction_id: Option<Uuid>,
    pub conversation_id: Option<Uuid>,
    pub input: String,
    pub label: Option<String>,
    pub target: Option<String>,
    pub weight: f64,
    pub is_validated: bool,
    pub judged_at_us: i64,
    pub origin: ExampleOrigin,
    pub split: Option<Split>,
    pub reason: String,
}

impl Draft {
    /// What an interaction gives whatever is said of it.
    fn of(interaction: &Interaction) -> Self {
        Self {
            id: None,
            interaction_id: Some(interaction.id),
            conversation_id: interaction.conversation_id,
            input: interaction.input.0.clone(),
            label: None,
            target: None,
            weight: 1.0,
            is_validated: false,
            judged_at_us: interaction.created_at_us,
            origin: if interaction.is_reference {
                ExampleOrigin::Reference
            } else {
                ExampleOrigin::Live
            },
            split: None,
            reason: String::new(),
        }
    }

    /// Whether another thing would be learned than from an example with the same text.
    fn differs(&self, kind: TaskKind, twin: &Example) -> bool {
        match kind {
            TaskKind::Classify => self.label != twin.label,
            TaskKind::Generate => self.target != twin.target.0,
        }
    }

    /// Whether it takes the place of an example with the same text: a person's word goes before none, and between two
    /// words of the same standing that differ the later one.
    fn outranks(&self, kind: TaskKind, twin: &Example) -> bool {
        if self.is_validated != twin.is_validated {
            return self.is_validated;
        }
        self.differs(kind, twin) && self.judged_at_us >= twin.judged_at_us
    }
}

/// Why a text cannot be learned from, if it cannot.
fn text_problem(task: &Task, draft: &Draft) -> Option<String> {
    if hone_text::normalise(&draft.input).is_empty() {
        return Some("empty after normalisation".to_owned());
    }
    let max = task.policy.curation.max_input_chars;
    if draft.input.chars().count() > max {
        return Some(format!("longer than {max} characters"));
    }
    match task.kind {
        TaskKind::Classify if draft.label.as_deref().is_none_or(|label| label.trim().is_empty()) => {
            Some("no label is known".to_owned())
        }
        TaskKind::Generate
            if draft
                .target
                .as_deref()
                .is_none_or(|target| target.trim().is_empty()) =>
        {
            Some("no answer is known".to_owned())
        }
        _ => None,
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
        let report = self.engine.curate(task, &watched).await?;
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
fn task_of(context: &JobContext) -> Result<TaskId, JobError> {
    let named = context
        .job
        .payload
        .get("task_id")
        .and_then(|id| id.as_str())
        .and_then(|id| id.parse().ok());
    named.ok_or_else(|| JobError::Permanent("the payload names no task".to_owned()))
}
