//! The word of a person on one example: taken, rejected, or given back to the rules. Curation does not overrule it.

use hone_domain::{
    CurationStep, DecidedBy, ExampleId, ExampleStatus, ExampleVerdict, FeedbackSource, ProjectId, TaskId,
};
use hone_storage::examples::{self, Example};
use hone_storage::{Conn, tasks};

use super::Curator;
use super::draft::{Draft, Rejection};
use crate::{Engine, EngineError};

/// What a person decides on an example; absent fields keep what is there.
#[derive(Debug, Clone)]
pub struct ExampleDecision {
    /// What becomes of it.
    pub verdict: ExampleVerdict,
    /// The right label.
    pub label: Option<String>,
    /// The right answer.
    pub target: Option<String>,
    /// Why, for the record.
    pub reason: Option<String>,
}

impl Engine {
    /// Decides on an example as a person says.
    pub async fn decide_example(
        &self,
        project: ProjectId,
        id: ExampleId,
        mut decision: ExampleDecision,
    ) -> Result<Example, EngineError> {
        let privacy = self.privacy(project).await?;
        for text in [&mut decision.label, &mut decision.target, &mut decision.reason] {
            privacy.cleaner().clean_option(text);
        }
        let found = examples::find(&mut self.db.read().await?, id).await?;
        let found = found.filter(|example| example.project_id == project.0);
        let found = found.ok_or_else(|| missing(id))?;
        let task = tasks::get(&mut self.db.read().await?, TaskId(found.task_id)).await?;
        let mut curator = self.curator(&task).await?;
        let mut conn = self.db.begin().await?;
        curator.lock(&mut conn).await?;
        let decided = curator.decide(&mut conn, id, decision).await?;
        curator.write_counters(&mut conn).await?;
        conn.commit().await?;
        Ok(decided)
    }
}

impl Curator<'_> {
    /// Decides on an example of the task as a person says, in the caller's transaction, which holds the task's lock.
    pub async fn decide(
        &mut self,
        conn: &mut Conn,
        id: ExampleId,
        decision: ExampleDecision,
    ) -> Result<Example, EngineError> {
        let earlier = examples::find(conn, id).await?.ok_or_else(|| missing(id))?;
        let policy = &self.task.policy.curation;
        let corrects = decision.label.is_some() || decision.target.is_some();
        let verdict = decision.verdict;
        let mut draft = Draft {
            decided_by: DecidedBy::Person,
            judged_at_us: self.engine.ids.now_us(),
            ..Draft::again(&earlier)
        };
        draft.label = decision.label.or(draft.label);
        draft.target = decision.target.or(draft.target);
        if verdict == ExampleVerdict::Reject {
            let reason = decision
                .reason
                .unwrap_or_else(|| "rejected by a person".to_owned());
            let rejection = Rejection::new(CurationStep::Review, reason);
            self.reject_unseen(conn, draft, Some(earlier), rejection).await?;
        } else {
            let is_confirmed = verdict == ExampleVerdict::Approve;
            if is_confirmed {
                draft.is_validated = true;
                draft.source = Some(FeedbackSource::Expert);
                draft.standing = ("reviewed", 1.0);
            }
            if corrects {
                draft.weight = policy.corrected_weight * policy.source_weights.of(FeedbackSource::Expert);
            }
            draft.reason = decision.reason.unwrap_or_else(|| {
                let said = match (is_confirmed, corrects) {
                    (_, true) => "corrected by a person",
                    (true, false) => "approved by a person",
                    (false, false) => "restored by a person",
                };
                said.to_owned()
            });
            self.place(conn, draft, Some(earlier)).await?;
        }
        let decided = examples::find(conn, id).await?.ok_or_else(|| missing(id))?;
        if verdict != ExampleVerdict::Reject && decided.status == ExampleStatus::Rejected {
            // Consent is not a person's to give but the subject's own.
            return Err(EngineError::Conflict(format!(
                "example {id} cannot be taken: {}",
                decided.reason
            )));
        }
        Ok(decided)
    }
}

fn missing(id: ExampleId) -> EngineError {
    EngineError::NotFound {
        noun: "example",
        id: id.to_string(),
    }
}
