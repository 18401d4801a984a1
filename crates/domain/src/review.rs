//! The review queue's closed sets: why something is looked at, what a reviewer may say, where it stands; and the policy.

use crate::{InvalidInput, spelled_enum};

/// Most open items of a task's queue.
const MAX_QUEUE: usize = 100_000;
/// Most reviewers of one item.
const MAX_REVIEWERS: i64 = 20;
/// Longest claim, in minutes.
const MAX_CLAIM_MINUTES: i64 = 1_440;

spelled_enum! {
    /// What a reviewer is asked.
    ReviewKind ("kind of review") {
        /// Whether an answer is right, and what is.
        Answer = "answer",
        /// Which of two answers is better.
        Pair = "pair",
    }
}

spelled_enum! {
    /// Why something is in the queue.
    ReviewReason ("reason of a review") {
        /// The model can hardly tell two labels apart: it learns most from this.
        Uncertain = "uncertain",
        /// Drawn at random, so that what people say is also true of all traffic.
        Random = "random",
        /// Typical of many requests, while there is no model.
        Typical = "typical",
        /// Its label is probably wrong.
        Suspect = "suspect",
        /// Somebody said another label than the model.
        Mismatch = "mismatch",
        /// Somebody did not like the answer and did not say what is right.
        LowRating = "low_rating",
        /// A person put it there.
        ByHand = "by_hand",
    }
}

spelled_enum! {
    /// Where an item stands.
    ReviewState ("state of a review") {
        /// It waits for reviewers.
        Open = "open",
        /// As many as were wanted have said different things: an editor decides.
        Disputed = "disputed",
        /// It is settled.
        Decided = "decided",
        /// Others were more instructive.
        Dropped = "dropped",
    }
}

spelled_enum! {
    /// What a reviewer says.
    ReviewVerdict ("verdict of a reviewer") {
        /// The answer is right.
        Approve = "approve",
        /// Something else is right.
        Correct = "correct",
        /// The answer is wrong, or nothing to learn from.
        Reject = "reject",
        /// The reviewer does not want to say; no review.
        Skip = "skip",
        /// The first answer of a pair is better.
        First = "first",
        /// The second answer of a pair is better.
        Second = "second",
        /// Neither is better.
        Tie = "tie",
    }
}

impl ReviewVerdict {
    /// Whether it answers this kind of question.
    pub const fn fits(self, kind: ReviewKind) -> bool {
        match self {
            Self::Skip => true,
            Self::Approve | Self::Correct | Self::Reject => matches!(kind, ReviewKind::Answer),
            Self::First | Self::Second | Self::Tie => matches!(kind, ReviewKind::Pair),
        }
    }
}

/// What people are asked to look at.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReviewPolicy {
    /// Fill the queue by itself with what teaches most.
    pub automatic: bool,
    /// Items that wait at a time; what teaches less gives way.
    pub queue_size: usize,
    /// Share of what is drawn at random (0 to 1).
    pub random_share: f64,
    /// Items of one group of near-duplicates at most.
    pub per_group: usize,
    /// How many people look at each item.
    pub reviewers: i64,
    /// Minutes after which a claim is given to somebody else.
    pub claim_minutes: i64,
    /// Show what the model says. What nobody has suggested is judged more freely.
    pub show_suggestions: bool,
    /// Ask about corrections by users that differ from the detected label.
    pub mismatches: bool,
    /// Ask about answers that were not liked and not corrected.
    pub low_ratings: bool,
    /// Labels that are probably wrong, at most so many after a training; 0 asks about none.
    pub suspects: usize,
    /// Share of claims that ask for what is known already, to see how well reviewers do (0 to 1).
    pub gold_share: f64,
}

impl Default for ReviewPolicy {
    fn default() -> Self {
        Self {
            automatic: true,
            queue_size: 200,
            random_share: 0.1,
            per_group: 2,
            reviewers: 1,
            claim_minutes: 15,
            show_suggestions: true,
            mismatches: true,
            low_ratings: true,
            suspects: 50,
            gold_share: 0.05,
        }
    }
}

impl ReviewPolicy {
    /// Checks every number.
    pub(crate) fn validate(&self) -> Result<(), InvalidInput> {
        let refuse =
            |name: &str, detail: String| Err(InvalidInput::field(format!("/policy/review/{name}"), detail));
        for (name, share) in [
            ("random_share", self.random_share),
            ("gold_share", self.gold_share),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return refuse(name, "give a number from 0 to 1".to_owned());
            }
        }
        for (name, count) in [("queue_size", self.queue_size), ("suspects", self.suspects)] {
            if count > MAX_QUEUE {
                return refuse(name, format!("give 0 to {MAX_QUEUE}"));
            }
        }
        if !(1..=MAX_QUEUE).contains(&self.per_group) {
            return refuse("per_group", format!("give 1 to {MAX_QUEUE}"));
        }
        if !(1..=MAX_REVIEWERS).contains(&self.reviewers) {
            return refuse("reviewers", format!("give 1 to {MAX_REVIEWERS}"));
        }
        if !(1..=MAX_CLAIM_MINUTES).contains(&self.claim_minutes) {
            return refuse("claim_minutes", format!("give 1 to {MAX_CLAIM_MINUTES}"));
        }
        Ok(())
    }
}
