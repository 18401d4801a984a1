//! A dry run of curation: what it would change, computed in a transaction that is undone.

use hone_domain::{CurationPolicy, ExampleStatus, InteractionId};
use hone_storage::examples::Example;
use hone_storage::tasks::Task;
use hone_storage::{Conn, examples, progress};
use uuid::Uuid;

use super::{CurationReport, Curator};
use crate::{Engine, EngineError};

/// Most that a dry run looks at: meanwhile nothing else is written on SQLite.
const MAX_CONSIDERED: usize = 2_000;

/// What curation would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct CurationPreview {
    /// What would become of all that was looked at.
    pub report: CurationReport,
    /// Examples that would be made or change.
    pub changes: Vec<PreviewedChange>,
    /// Whether there was more than a dry run looks at.
    pub is_cut_off: bool,
}

/// An example that would be made or change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct PreviewedChange {
    /// The interaction, where there is one.
    pub interaction_id: Option<Uuid>,
    /// The example, where there is one.
    pub example_id: Option<Uuid>,
    /// Its text.
    pub input: String,
    /// What it is now.
    pub before: Option<ExampleStatus>,
    /// What it would be.
    pub after: ExampleStatus,
    /// The step that would reject it.
    pub step: Option<String>,
    /// Why.
    pub reason: String,
}

impl Engine {
    /// Says what curation would change, under another policy where one is given: of what is new, or of all examples.
    pub async fn preview_curation(
        &self,
        task: &Task,
        policy: Option<CurationPolicy>,
        again: bool,
    ) -> Result<CurationPreview, EngineError> {
        let mut task = task.clone();
        if let Some(policy) = policy {
            task.policy.curation = policy;
            self.check_policy(task.project(), &task.policy).await?;
        }
        let mut curator = self.curator(&task).await?;
        let mut conn = self.db.begin().await?;
        curator.lock(&mut conn).await?;
        let mut preview = CurationPreview::default();
        let limit = MAX_CONSIDERED as i64 + 1;
        let mut waiting = progress::list_inbox(&mut conn, task.task_id(), limit).await?;
        preview.is_cut_off = waiting.len() > MAX_CONSIDERED;
        waiting.truncate(MAX_CONSIDERED);
        for interaction in waiting {
            preview
                .of_interaction(&mut conn, &mut curator, interaction)
                .await?;
        }
        if again && !preview.is_cut_off {
            let left = (MAX_CONSIDERED - preview.report.considered) as i64;
            let page = examples::list_after(&mut conn, task.task_id(), Uuid::nil(), left + 1).await?;
            preview.is_cut_off = page.len() as i64 > left;
            for example in page.into_iter().take(left as usize) {
                let before = Some((example.status, example.reason.clone()));
                let id = example.id;
                curator
                    .curate_again(&mut conn, example, &mut preview.report)
                    .await?;
                let after = examples::find(&mut conn, id.into()).await?;
                preview.note(before, after);
            }
        }
        conn.rollback().await?;
        Ok(preview)
    }
}

impl CurationPreview {
    async fn of_interaction(
        &mut self,
        conn: &mut Conn,
        curator: &mut Curator<'_>,
        interaction: InteractionId,
    ) -> Result<(), EngineError> {
        let task = curator.task.task_id();
        let before = examples::find_by_interaction(conn, task, interaction).await?;
        let before = before.map(|example| (example.status, example.reason));
        curator.curate_one(conn, interaction, &mut self.report).await?;
        let after = examples::find_by_interaction(conn, task, interaction).await?;
        self.note(before, after);
        Ok(())
    }

    fn note(&mut self, before: Option<(ExampleStatus, String)>, after: Option<Example>) {
        let Some(after) = after else { return };
        if before
            .as_ref()
            .is_some_and(|(status, reason)| (*status, reason) == (after.status, &after.reason))
        {
            return;
        }
        self.changes.push(PreviewedChange {
            interaction_id: after.interaction_id,
            example_id: before.is_some().then_some(after.id),
            input: after.input.0,
            before: before.map(|(status, _)| status),
            after: after.status,
            step: after.step,
            reason: after.reason,
        });
    }
}
