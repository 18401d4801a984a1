//! What recording moves beside the records themselves: counts, counters of the triggers, conversations, identities,
//! the curation inbox and the job that works it off. Summed up per group and written in the group's transaction.

use std::collections::{BTreeMap, BTreeSet};

use hone_domain::{
    ConversationId, FeedbackKind, Identity, Ids, InteractionId, ProjectId, SECOND_US, SubjectId, TaskId,
};
use hone_jobs::{NewJobSpec, enqueue};
use hone_storage::feedback::Feedback;
use hone_storage::interactions::Interaction;
use hone_storage::progress::Progress;
use hone_storage::{Conn, StorageError, conversations, progress, tasks};
use uuid::Uuid;

use crate::curate::CURATE_TASK;
use crate::experiment::{Exposed, Outcomes};
use crate::observe::Counts;

/// Feedback is curated so long after it came, so that a burst makes one job.
const CURATE_DELAY_US: i64 = SECOND_US / 4;

/// What a group of records moves beside their own rows, summed up so that each counter is written once a group.
///
/// Everything is kept in order: two processes that write the same rows lock them in the same order and never wait for each
/// other in a circle. Curation locks the inbox before the counters, so the same is done here.
#[derive(Default)]
pub(crate) struct Effects {
    counts: Counts,
    conversations: BTreeMap<(Uuid, Uuid), (String, Turns)>,
    subjects: BTreeMap<Uuid, (Uuid, Identity, i64)>,
    inbox: BTreeSet<(Uuid, Uuid, Uuid)>,
    judged: BTreeMap<Uuid, Progress>,
    outcomes: Outcomes,
}

/// What a conversation gains.
#[derive(Default)]
struct Turns {
    /// The task of its first interaction.
    task: Uuid,
    count: i64,
    first_at_us: i64,
    last_at_us: i64,
}

impl Effects {
    /// Notes what a new interaction moves; one that `teaches` is curated without feedback.
    pub(crate) fn of_interaction(
        &mut self,
        row: &Interaction,
        conversation: Option<&str>,
        identity: Option<&Identity>,
        teaches: bool,
    ) {
        self.counts.of_interaction(row);
        if let (Some(name), Some(id)) = (conversation, row.conversation_id) {
            let key = (row.project_id, id);
            let (_, turns) = self.conversations.entry(key).or_insert_with(|| {
                let turns = Turns {
                    task: row.task_id,
                    first_at_us: row.occurred_at_us,
                    ..Turns::default()
                };
                (name.to_owned(), turns)
            });
            turns.count += 1;
            turns.first_at_us = turns.first_at_us.min(row.occurred_at_us);
            turns.last_at_us = turns.last_at_us.max(row.occurred_at_us);
        }
        if let (Some(subject), Some(identity)) = (row.subject_id, identity) {
            self.subjects
                .insert(subject, (row.project_id, identity.clone(), row.created_at_us));
        }
        if teaches {
            self.inbox.insert((row.project_id, row.task_id, row.id));
        }
    }

    /// Notes which version an interaction got while several share its task's traffic.
    pub(crate) fn of_exposed(&mut self, row: &Interaction, exposed: &Exposed) {
        self.outcomes.of_interaction(row, exposed);
    }

    /// Notes what feedback moves once it is joined to its task.
    pub(crate) fn of_feedback(&mut self, row: &Feedback, task: TaskId, is_mismatch: Option<bool>) {
        self.counts.of_feedback(row, task, is_mismatch);
        if let Some(correct) = judgement(row, is_mismatch) {
            let progress = self.judged.entry(task.0).or_default();
            progress.new_judged += 1;
            progress.new_correct += i64::from(correct);
        }
        self.outcomes.of_feedback(row, task, is_mismatch);
        if let Some(interaction) = row.interaction_id {
            self.inbox.insert((row.project_id, task.0, interaction));
        }
    }

    pub(crate) async fn write(mut self, conn: &mut Conn, ids: &Ids) -> Result<(), StorageError> {
        for ((project, id), (name, turns)) in &self.conversations {
            let (project, id) = (ProjectId(*project), ConversationId(*id));
            let Turns {
                task,
                count,
                first_at_us,
                last_at_us,
            } = *turns;
            if conversations::add_turns(conn, project, id, name, count, first_at_us, last_at_us).await? {
                self.counts.of_conversation(project.0, task, first_at_us);
            }
        }
        self.counts.write(conn).await?;
        for (subject, (project, identity, at_us)) in &self.subjects {
            conversations::upsert_subject(conn, ProjectId(*project), SubjectId(*subject), identity, *at_us)
                .await?;
        }
        let mut to_curate: BTreeMap<Uuid, Uuid> = BTreeMap::new();
        for (project, task, interaction) in &self.inbox {
            progress::push_inbox(
                conn,
                ProjectId(*project),
                TaskId(*task),
                InteractionId(*interaction),
            )
            .await?;
            to_curate.insert(*task, *project);
        }
        for (task, change) in &self.judged {
            progress::add(conn, TaskId(*task), change).await?;
        }
        self.outcomes.write(conn, ids).await?;
        for (task, project) in to_curate {
            if tasks::get(conn, TaskId(task)).await?.policy.curation.automatic {
                enqueue(
                    conn,
                    ids,
                    curate_spec(ProjectId(project), TaskId(task), CURATE_DELAY_US),
                )
                .await?;
            }
        }
        Ok(())
    }
}

/// The job that curates a task; only one of them waits at a time.
pub(crate) fn curate_spec(project: ProjectId, task: TaskId, delay_us: i64) -> NewJobSpec {
    NewJobSpec {
        id: None,
        project,
        task: Some(task),
        kind: CURATE_TASK,
        payload: serde_json::json!({ "task_id": task }),
        unique_key: Some(format!("curate:{task}")),
        delay_us,
    }
}

/// Whether feedback says that the answer was right: a label correction by comparison, a text correction as wrong, a
/// thumb by its direction; other kinds say nothing of right and wrong.
pub(crate) fn judgement(row: &Feedback, is_mismatch: Option<bool>) -> Option<bool> {
    match row.kind {
        FeedbackKind::Correction if row.label.is_some() => is_mismatch.map(|mismatch| !mismatch),
        FeedbackKind::Correction => Some(false),
        FeedbackKind::Thumb => row.value.map(|value| value > 0.5),
        _ => None,
    }
}
