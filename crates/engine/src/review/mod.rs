//! The review queue: what people are asked about, so that each answer teaches most.
//!
//! `fill` puts into it what the model can hardly tell, what is typical while there is no model, and a random share; curation adds
//! what was contradicted or not liked, training what is probably mislabelled. Reviewers claim items and answer with the
//! claim's token; `outcome` turns what they agree on into feedback of an expert, which curation takes up like any other.

mod agreement;
mod answer;
mod claim;
mod fill;
mod outcome;
mod suspects;

use hone_domain::{FieldError, InvalidInput, ProjectId, ReviewId, ReviewKind, ReviewReason, ReviewState};
use hone_storage::reviews::{self, Review};
use hone_storage::tasks::Task;
use hone_storage::{Conn, OptionalText, StoredText, examples, interactions};
use uuid::Uuid;

use crate::{Engine, EngineError};

pub use agreement::{PairAgreement, ReviewStatistics, ReviewerPace};
pub use answer::{NewReviewAnswer, ReviewProgress};
pub use claim::ClaimedReview;
pub(crate) use fill::FILL_REVIEWS;
pub use fill::{FillReport, FillReviews};
pub(crate) use suspects::{Suspect, find_suspects};

/// What a person puts into the queue.
#[derive(Debug, Clone, Default)]
pub struct NewReview {
    /// The interaction to ask about.
    pub interaction_id: Option<Uuid>,
    /// The example to ask about.
    pub example_id: Option<Uuid>,
    /// Another answer than the interaction's: which is better is asked.
    pub alternative: Option<String>,
    /// The label that is known to be right: reviewers are measured by it, and nothing is decided.
    pub gold_label: Option<String>,
    /// How many people are to look at it; as the task's policy says when absent.
    pub reviewers: Option<i64>,
}

/// An item before it is stored.
pub(crate) struct ReviewDraft {
    pub interaction_id: Option<Uuid>,
    pub example_id: Option<Uuid>,
    pub kind: ReviewKind,
    pub reason: ReviewReason,
    /// 0 to 1.
    pub priority: f64,
    pub input: String,
    pub output: Option<String>,
    pub alternative: Option<String>,
    pub label: Option<String>,
    pub suggestion: Option<String>,
    pub details: Option<serde_json::Value>,
    pub gold_label: Option<String>,
    pub wanted: i64,
}

impl Engine {
    /// Puts something into the queue, or asks about what is there for another reason; what is settled stays settled.
    pub(crate) async fn enqueue_review(
        &self,
        conn: &mut Conn,
        task: &Task,
        draft: ReviewDraft,
    ) -> Result<Option<Review>, EngineError> {
        let review = Review {
            id: self.ids.next(),
            project_id: task.project_id,
            task_id: task.id,
            interaction_id: draft.interaction_id,
            example_id: draft.example_id,
            kind: draft.kind,
            reason: draft.reason,
            priority: draft.priority.clamp(0.0, 1.0),
            input: StoredText(draft.input),
            output: OptionalText(draft.output),
            alternative: OptionalText(draft.alternative),
            label: draft.label,
            suggestion: draft.suggestion,
            details: draft.details,
            gold_label: draft.gold_label,
            wanted: draft.wanted,
            claimed: 0,
            done: 0,
            state: ReviewState::Open,
            outcome: None,
            created_at_us: self.ids.now_us(),
            decided_at_us: None,
        };
        if reviews::insert(conn, &review).await? {
            return Ok(Some(review));
        }
        let (interaction, example) = (review.interaction_id, review.example_id);
        let there = reviews::find_of(conn, task.task_id(), review.kind, interaction, example).await?;
        let Some(there) = there else { return Ok(None) };
        let reopened = reviews::reopen(conn, there.id, &review).await?;
        Ok(reopened.then_some(Review {
            id: there.id,
            ..review
        }))
    }

    /// Puts something into the queue because a person wants it there.
    pub async fn add_review(&self, task: &Task, mut new: NewReview) -> Result<Review, EngineError> {
        let privacy = self.privacy(task.project()).await?;
        privacy.cleaner().clean_option(&mut new.alternative);
        privacy.cleaner().clean_option(&mut new.gold_label);
        let missing = |noun, id: Uuid| EngineError::NotFound {
            noun,
            id: id.to_string(),
        };
        let mut conn = self.db.begin().await?;
        let (input, output, label, interaction_id) = match (new.interaction_id, new.example_id) {
            (Some(id), None) => {
                let found = interactions::find(&mut conn, task.project(), id.into()).await?;
                let found = found.filter(|row| row.task_id == task.id);
                let row = found.ok_or_else(|| missing("interaction", id))?;
                (row.input.0, row.output.0, row.label, Some(row.id))
            }
            (None, Some(id)) => {
                let found = examples::find(&mut conn, id.into()).await?;
                let found = found.filter(|row| row.task_id == task.id);
                let row = found.ok_or_else(|| missing("example", id))?;
                (row.input.0, row.target.0, row.label, row.interaction_id)
            }
            _ => {
                let detail = "give either interaction_id or example_id, to say what people are asked about";
                return Err(EngineError::field("/interaction_id", detail));
            }
        };
        let kind = match &new.alternative {
            None => ReviewKind::Answer,
            Some(alternative) if output.as_ref().is_none_or(|output| output == alternative) => {
                let detail = "a pair needs two answers that differ; the interaction has none or the same";
                return Err(EngineError::field("/alternative", detail));
            }
            Some(_) => ReviewKind::Pair,
        };
        let draft = ReviewDraft {
            interaction_id,
            example_id: new.example_id.filter(|_| interaction_id.is_none()),
            kind,
            reason: ReviewReason::ByHand,
            priority: 1.0,
            input,
            output,
            alternative: new.alternative,
            label,
            suggestion: None,
            details: None,
            wanted: match (&new.gold_label, new.reviewers) {
                // Everybody may be measured by it.
                (Some(_), _) => i64::from(i32::MAX),
                (None, Some(reviewers)) => reviewers,
                (None, None) => task.policy.review.reviewers,
            },
            gold_label: new.gold_label,
        };
        let review = self.enqueue_review(&mut conn, task, draft).await?;
        let review = review.ok_or_else(|| {
            EngineError::Conflict("people have been asked about this and have decided".to_owned())
        })?;
        conn.commit().await?;
        Ok(review)
    }

    /// The item with this id.
    pub async fn get_review(&self, project: ProjectId, id: ReviewId) -> Result<Review, EngineError> {
        let found = reviews::find(&mut self.db.read().await?, project, id).await?;
        found.ok_or_else(|| EngineError::NotFound {
            noun: "review",
            id: id.to_string(),
        })
    }
}

/// Refuses names of reviewers that could not be shown.
fn check_reviewer(reviewer: &str) -> Result<(), InvalidInput> {
    let fits = (1..=100).contains(&reviewer.chars().count()) && !reviewer.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(InvalidInput(vec![FieldError {
        pointer: "/reviewer".to_owned(),
        detail: "give a name of 1 to 100 characters".to_owned(),
    }]))
}
