//! Claims: who looks at what. An item is given to as many people as are wanted and to no one more; a claim that runs out
//! goes to somebody else.

use hone_domain::{MINUTE_US, ProjectId, ReviewId, ReviewPolicy};
use hone_storage::Conn;
use hone_storage::reviews::{self, Claim, Filter, Review};
use hone_storage::tasks::Task;
use uuid::Uuid;

use super::check_reviewer;
use crate::{Engine, EngineError};

/// Items among which one is looked for that nobody takes at the same moment.
const TRIED: i64 = 20;

/// An item that somebody may answer.
#[derive(Debug, Clone)]
pub struct ClaimedReview {
    /// The item; without its suggestion where the policy hides them, and never with its known answer.
    pub review: Review,
    /// What the answer has to show.
    pub token: Uuid,
    /// Until when the claim holds.
    pub until_us: i64,
}

impl Engine {
    /// Gives a reviewer up to `limit` items, the most instructive first: at the policy's shares one that was drawn at random,
    /// and one whose answer is known. An empty queue is filled first.
    pub async fn claim_reviews(
        &self,
        task: &Task,
        reviewer: &str,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<ClaimedReview>, EngineError> {
        check_reviewer(reviewer)?;
        let claimed = self.claim_waiting(task, reviewer, filter, limit).await?;
        if !claimed.is_empty() || !task.policy.review.automatic {
            return Ok(claimed);
        }
        self.fill_reviews(task).await?;
        self.claim_waiting(task, reviewer, filter, limit).await
    }

    async fn claim_waiting(
        &self,
        task: &Task,
        reviewer: &str,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<ClaimedReview>, EngineError> {
        let mut conn = self.db.begin().await?;
        reviews::release_stale(&mut conn, task.task_id(), self.ids.now_us()).await?;
        let mut claimed = Vec::new();
        while claimed.len() < limit {
            match self.claim_one(&mut conn, task, reviewer, filter).await? {
                Some(review) => claimed.push(review),
                None => break,
            }
        }
        conn.commit().await?;
        Ok(claimed)
    }

    async fn claim_one(
        &self,
        conn: &mut Conn,
        task: &Task,
        reviewer: &str,
        filter: &Filter,
    ) -> Result<Option<ClaimedReview>, EngineError> {
        let policy = &task.policy.review;
        let random = Filter {
            reason: Some(hone_domain::ReviewReason::Random),
            ..filter.clone()
        };
        let is_gold = self.draw() < policy.gold_share;
        let is_random = filter.reason.is_none() && self.draw() < policy.random_share;
        let choices = [
            (true, filter, is_gold),
            (false, &random, is_random),
            (false, filter, true),
        ];
        for (gold, filter, _) in choices.into_iter().filter(|(.., is_wanted)| *is_wanted) {
            let waiting =
                reviews::list_claimable(conn, task.task_id(), filter, reviewer, gold, TRIED).await?;
            for review in waiting {
                let now_us = self.ids.now_us();
                let claim = Claim {
                    review_id: review.id,
                    reviewer: reviewer.to_owned(),
                    token: self.ids.next(),
                    claimed_at_us: now_us,
                    until_us: now_us + policy.claim_minutes * MINUTE_US,
                };
                if reviews::claim(conn, &review, &claim).await? {
                    return Ok(Some(shown(review, &claim, policy)));
                }
            }
        }
        Ok(None)
    }

    /// A number from 0 to 1, without 1.
    pub(super) fn draw(&self) -> f64 {
        let mut bytes = [0; 4];
        self.ids.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    /// Gives a claimed item back unanswered.
    pub async fn release_review(
        &self,
        project: ProjectId,
        id: ReviewId,
        token: Uuid,
    ) -> Result<(), EngineError> {
        self.get_review(project, id).await?;
        let mut conn = self.db.begin().await?;
        if !reviews::end_claim(&mut conn, id, token, false).await? {
            return Err(not_claimed(id));
        }
        conn.commit().await?;
        Ok(())
    }
}

/// What a reviewer sees of an item.
fn shown(mut review: Review, claim: &Claim, policy: &ReviewPolicy) -> ClaimedReview {
    let (wanted, with_suggestion) = (policy.reviewers, policy.show_suggestions);
    if review.gold_label.take().is_some() {
        // Reviewers shall not see that it is known.
        review.wanted = wanted;
    }
    if !with_suggestion {
        review.suggestion = None;
        review.details = None;
        review.label = None;
    }
    ClaimedReview {
        review,
        token: claim.token,
        until_us: claim.until_us,
    }
}

/// The claim has run out, was answered or never was.
pub(super) fn not_claimed(id: ReviewId) -> EngineError {
    EngineError::Conflict(format!(
        "review {id} is not claimed with this token any more: claims run out; claim again"
    ))
}
