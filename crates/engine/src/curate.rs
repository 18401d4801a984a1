//! Curation: interactions with feedback, references and imported rows become examples, each taken or rejected with a
//! reason. Reads only what is new (the inbox); running it again changes nothing.
//!
//! Woken by the job `CurateTask`, which feedback enqueues; looks at the training triggers when it is done.

use hone_domain::{
    ExampleOrigin, ExampleStatus, InteractionId, InvalidInput, ProjectId, Split, TaskId, TaskKind,
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

/// An example as brought in by a file or a call.
#[derive(Debug, Clone, Default)]
pub struct ExampleImport {
    /// What is asked.
    pub input: String,
    /// The right label, for a `classify` task.
    pub label: Option<String>,
    /// The right answer, for a `generate` task.
    pub target: Option<String>,
    /// How much it counts; 1 when absent.
    pub weight: Option<f64>,
    /// The conversation it belongs to; never divided between the parts of a dataset.
    pub conversation: Option<String>,
    /// The part of datasets it must belong to.
    pub split: Option<Split>,
}

/// What became of an imported example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportOutcome {
    /// Taken.
    Approved(Uuid),
    /// Kept, but out of datasets, for this reason.
    Rejected(Uuid, String),
}

impl Engine {
    /// Looks at everything new of a task and decides on it.
    pub async fn curate(
        &self,
        task: TaskId,
        tell: &(dyn Fn(usize) + Sync),
    ) -> Result<CurationReport, EngineError> {
        let mut report = CurationReport::default();
        let task = tasks::get(&mut self.db.read().await?, task).await?;
        self.join_early_feedback(task.project()).await?;
        loop {
            let mut conn = self.db.begin().await?;
            let waiting = progress::list_inbox(&mut conn, task.task_id(), BATCH).await?;
            if waiting.is_empty() {
                return Ok(report);
            }
            let mut change = Progress::default();
            for interaction in waiting {
                // Another worker may hold the same batch: whoever takes the entry decides on it.
                if progress::take_inbox(&mut conn, task.project(), interaction).await? {
                    self.curate_one(&mut conn, &task, interaction, &mut report, &mut change)
                        .await?;
                }
            }
            progress::add(&mut conn, task.task_id(), &change).await?;
            conn.commit().await?;
            tell(report.considered);
        }
    }

    /// Adds ready examples; each is checked like a curated one. All in one transaction.
    pub async fn import_examples(
        &self,
        task: &Task,
        imports: Vec<ExampleImport>,
        origin: ExampleOrigin,
    ) -> Result<Vec<ImportOutcome>, EngineError> {
        for (index, import) in imports.iter().enumerate() {
            check_import(task.kind, import).map_err(|error| at_index(error, index))?;
        }
        let mut conn = self.db.begin().await?;
        let mut change = Progress::default();
        let mut outcomes = Vec::with_capacity(imports.len());
        for import in imports {
            let conversation = import.conversation.as_deref();
            let conversation =
                conversation.map(|name| hone_domain::ConversationId::derive(task.project(), name).0);
            let draft = Draft {
                interaction_id: None,
                conversation_id: conversation,
                input: import.input,
                label: import.label,
                target: import.target,
                weight: import.weight.unwrap_or(1.0),
                is_validated: false,
                origin,
                split: import.split,
                reason: format!("{origin} example"),
            };
            outcomes.push(self.place(&mut conn, task, draft, None, &mut change).await?);
        }
        progress::add(&mut conn, task.task_id(), &change).await?;
        conn.commit().await?;
        Ok(outcomes)
    }

    /// Joins feedback that came before its interaction.
    pub(crate) async fn join_early_feedback(&self, project: ProjectId) -> Result<(), EngineError> {
        let mut conn = self.db.begin().await?;
        let mut effects = Effects::default();
        for row in feedback::join_early(&mut conn, project).await? {
            if let Some(task) = row.task_id {
                effects.of_feedback(&row, TaskId(task), row.is_mismatch);
            }
        }
        effects.write(&mut conn, &self.ids).await?;
        conn.commit().await?;
        Ok(())
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
        let (label, target, weight, is_validated, reason) = match judge(task, &interaction, &said) {
            Verdict::Undecided if earlier.is_none() => {
                report.undecided += 1;
                return Ok(());
            }
            Verdict::Undecided => return Ok(()),
            Verdict::Reject(reason) => {
                report.rejected += 1;
                let draft = draft_of(&interaction, interaction.label.clone(), None, 1.0, false, reason);
                return self
                    .store(conn, task, draft, earlier, ExampleStatus::Rejected, change)
                    .await
                    .map(|_| ());
            }
            Verdict::Take {
                label,
                target,
                weight,
                is_validated,
                reason,
            } => (label, target, weight, is_validated, reason),
        };
        let draft = draft_of(&interaction, label, target, weight, is_validated, reason);
        match self.place(conn, task, draft, earlier, change).await? {
            ImportOutcome::Approved(_) => report.approved += 1,
            ImportOutcome::Rejected(..) => report.rejected += 1,
        }
        Ok(())
    }

    /// Stores a draft as approved, or as rejected when its text fails the checks or repeats another example's.
    async fn place(
        &self,
        conn: &mut Conn,
        task: &Task,
        mut draft: Draft,
        earlier: Option<Example>,
        change: &mut Progress,
    ) -> Result<ImportOutcome, EngineError> {
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
            if draft.outranks(&twin) {
                change.usable_examples -= 1;
                twin.status = twin.status.transition(ExampleStatus::Rejected)?;
                "superseded by a later judgement of the same text".clone_into(&mut twin.reason);
                twin.updated_at_us = self.ids.now_us();
                examples::upsert(conn, &twin).await?;
            } else {
                draft.reason = if draft.label == twin.label && draft.target == twin.target.0 {
                    format!("duplicate of example {}", twin.id)
                } else {
                    format!("contradicts example {}, which a person validated", twin.id)
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
    ) -> Result<ImportOutcome, EngineError> {
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
            id: earlier
                .as_ref()
                .map_or_else(|| self.ids.next(), |earlier| earlier.id),
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
            ImportOutcome::Approved(example.id)
        } else {
            ImportOutcome::Rejected(example.id, draft.reason)
        })
    }
}

/// An example before it has an id and a status.
struct Draft {
    interaction_id: Option<Uuid>,
    conversation_id: Option<Uuid>,
    input: String,
    label: Option<String>,
    target: Option<String>,
    weight: f64,
    is_validated: bool,
    origin: ExampleOrigin,
    split: Option<Split>,
    reason: String,
}

impl Draft {
    /// Whether it takes the place of an example with the same text: a person's word goes before none, and between two
    /// persons' words that differ the later one.
    fn outranks(&self, twin: &Example) -> bool {
        let differs = self.label != twin.label || self.target != twin.target.0;
        match (self.is_validated, twin.is_validated) {
            (true, false) => true,
            (true, true) | (false, false) => differs,
            (false, true) => false,
        }
    }
}

fn draft_of(
    interaction: &Interaction,
    label: Option<String>,
    target: Option<String>,
    weight: f64,
    is_validated: bool,
    reason: String,
) -> Draft {
    Draft {
        interaction_id: Some(interaction.id),
        conversation_id: interaction.conversation_id,
        input: interaction.input.0.clone(),
        label,
        target,
        weight,
        is_validated,
        origin: if interaction.is_reference {
            ExampleOrigin::Reference
        } else {
            ExampleOrigin::Live
        },
        split: None,
        reason,
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

fn check_import(kind: TaskKind, import: &ExampleImport) -> Result<(), InvalidInput> {
    if import.input.len() > hone_domain::MAX_TEXT_BYTES {
        return Err(InvalidInput::field(
            "/input",
            format!("is longer than {} bytes", hone_domain::MAX_TEXT_BYTES),
        ));
    }
    if kind == TaskKind::Classify && import.label.is_none() {
        return Err(InvalidInput::field(
            "/label",
            "is missing; an example of a classify task needs a label",
        ));
    }
    if kind == TaskKind::Generate && import.target.is_none() {
        return Err(InvalidInput::field(
            "/target",
            "is missing; an example of a generate task needs a target",
        ));
    }
    if import.label.as_ref().is_some_and(|label| label.len() > 200) {
        return Err(InvalidInput::field("/label", "is longer than 200 bytes"));
    }
    if import
        .weight
        .is_some_and(|weight| !(weight > 0.0 && weight <= 1_000.0))
    {
        return Err(InvalidInput::field(
            "/weight",
            "give a number above 0 and up to 1000",
        ));
    }
    Ok(())
}

fn at_index(error: InvalidInput, index: usize) -> InvalidInput {
    let prefixed = error.0.into_iter().map(|mut field| {
        field.pointer = format!("/examples/{index}{}", field.pointer);
        field
    });
    InvalidInput(prefixed.collect())
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
        let report = self
            .engine
            .curate(task, &|count| context.tell(0.5, &format!("{count} interactions")))
            .await?;
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
