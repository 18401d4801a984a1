//! What reviewers agree on becomes feedback of an expert, which curation takes up like any other; on an example that came from
//! no interaction it is decided at once.

use hone_domain::{
    ExampleVerdict, FeedbackKind, FeedbackSource, Preference, ReviewKind, ReviewVerdict, TaskKind,
};
use hone_storage::feedback::{self, Feedback};
use hone_storage::reviews::{Review, ReviewAnswer};
use hone_storage::{Conn, OptionalText};

use crate::curate::{Curator, ExampleDecision};
use crate::effects::Effects;
use crate::{Engine, EngineError};

impl Engine {
    /// Does what an answer says, in the caller's transaction, which holds the task's lock.
    pub(super) async fn apply_outcome(
        &self,
        conn: &mut Conn,
        curator: &mut Curator<'_>,
        review: &Review,
        answer: &ReviewAnswer,
        effects: &mut Effects,
    ) -> Result<(), EngineError> {
        if review.gold_label.is_some() {
            return Ok(());
        }
        if review.interaction_id.is_some() {
            if let Some(row) = self.feedback_of(curator.task.kind, review, answer) {
                say(conn, row, effects).await?;
            }
            return Ok(());
        }
        let Some(example) = review.example_id else {
            return Ok(());
        };
        let verdict = match answer.verdict {
            ReviewVerdict::Reject => ExampleVerdict::Reject,
            _ => ExampleVerdict::Approve,
        };
        let decision = ExampleDecision {
            verdict,
            label: answer.label.clone(),
            target: answer.text.0.clone(),
            reason: Some(format!("{} by reviewers", past(answer.verdict))),
        };
        curator.decide(conn, example.into(), decision).await?;
        curator.write_counters(conn).await
    }

    /// Keeps a remark with the interaction it is about.
    pub(super) async fn note_comment(
        &self,
        conn: &mut Conn,
        review: &Review,
        answer: &ReviewAnswer,
        effects: &mut Effects,
    ) -> Result<(), EngineError> {
        let (Some(comment), Some(_)) = (&answer.comment.0, review.interaction_id) else {
            return Ok(());
        };
        let row = Feedback {
            text: OptionalText(Some(comment.clone())),
            ..self.feedback_row(review, FeedbackKind::Comment)
        };
        say(conn, row, effects).await
    }

    fn feedback_row(&self, review: &Review, kind: FeedbackKind) -> Feedback {
        let now_us = self.ids.now_us();
        Feedback {
            id: self.ids.next(),
            project_id: review.project_id,
            task_id: None,
            interaction_id: review.interaction_id,
            conversation_id: None,
            kind,
            value: None,
            name: None,
            label: None,
            detected_label: None,
            is_mismatch: None,
            text: OptionalText(None),
            preference: OptionalText(None),
            source: FeedbackSource::Expert,
            content_hash: None,
            occurred_at_us: now_us,
            created_at_us: now_us,
        }
    }

    fn feedback_of(&self, kind: TaskKind, review: &Review, answer: &ReviewAnswer) -> Option<Feedback> {
        let thumb = |value: f64| Feedback {
            value: Some(value),
            ..self.feedback_row(review, FeedbackKind::Thumb)
        };
        if review.kind == ReviewKind::Pair {
            let (first, second) = (review.output.0.clone()?, review.alternative.0.clone()?);
            let preference = match answer.verdict {
                ReviewVerdict::First => Preference {
                    chosen: first,
                    rejected: second,
                },
                ReviewVerdict::Second => Preference {
                    chosen: second,
                    rejected: first,
                },
                _ => return None,
            };
            return Some(Feedback {
                preference: OptionalText(serde_json::to_string(&preference).ok()),
                ..self.feedback_row(review, FeedbackKind::Preference)
            });
        }
        match (answer.verdict, kind) {
            (ReviewVerdict::Approve, TaskKind::Generate) => Some(thumb(1.0)),
            (ReviewVerdict::Reject, _) => Some(thumb(0.0)),
            // That the detected label is right is said as a correction with the same label, as it counts like one.
            (ReviewVerdict::Approve, TaskKind::Classify) => Some(Feedback {
                label: review.label.clone(),
                ..self.feedback_row(review, FeedbackKind::Correction)
            }),
            (ReviewVerdict::Correct, _) => Some(Feedback {
                label: answer.label.clone(),
                text: answer.text.clone(),
                ..self.feedback_row(review, FeedbackKind::Correction)
            }),
            _ => None,
        }
    }
}

/// Records feedback; what it moves is noted, to be written when all is said: counters are locked before jobs.
async fn say(conn: &mut Conn, row: Feedback, effects: &mut Effects) -> Result<(), EngineError> {
    let outcome = feedback::insert(conn, &row).await?;
    if let Some(task) = outcome.task {
        effects.of_feedback(&row, task, outcome.is_mismatch);
    }
    Ok(())
}

const fn past(verdict: ReviewVerdict) -> &'static str {
    match verdict {
        ReviewVerdict::Reject => "rejected",
        ReviewVerdict::Correct => "corrected",
        _ => "approved",
    }
}
