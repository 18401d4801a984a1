//! What reviewers and editors say of an item, and when it is settled.

use hone_domain::{
    ProjectId, ReviewId, ReviewState, ReviewVerdict, TaskId, TaskKind, require_name, require_text,
};
use hone_storage::reviews::{self, Claim, Review, ReviewAnswer};
use hone_storage::tasks::Task;
use hone_storage::{Conn, OptionalText, tasks};
use serde_json::json;
use uuid::Uuid;

use super::check_reviewer;
use super::claim::not_claimed;
use crate::curate::Curator;
use crate::effects::Effects;
use crate::privacy::PersonalCleaner;
use crate::{Engine, EngineError};

/// What somebody says of an item.
#[derive(Debug, Clone)]
pub struct NewReviewAnswer {
    /// What they say.
    pub verdict: ReviewVerdict,
    /// The right label, with `correct` in a classify task.
    pub label: Option<String>,
    /// The right answer, with `correct` in a generate task.
    pub text: Option<String>,
    /// A remark.
    pub comment: Option<String>,
}

impl NewReviewAnswer {
    /// A verdict with nothing else.
    pub fn new(verdict: ReviewVerdict) -> Self {
        Self {
            verdict,
            label: None,
            text: None,
            comment: None,
        }
    }

    /// Replaces what is personal by the project's rule, as in everything that is stored.
    fn clean(&mut self, cleaner: &PersonalCleaner) {
        for text in [&mut self.label, &mut self.text, &mut self.comment] {
            cleaner.clean_option(text);
        }
    }

    fn check(&self, task: &Task, review: &Review) -> Result<(), EngineError> {
        if !self.verdict.fits(review.kind) {
            let fitting: Vec<&str> = ReviewVerdict::ALL
                .iter()
                .filter(|verdict| verdict.fits(review.kind))
                .map(|verdict| verdict.as_str())
                .collect();
            let detail = format!(
                "{} is no verdict on a review of kind {}; say one of {}",
                self.verdict,
                review.kind,
                fitting.join(", ")
            );
            return Err(EngineError::field("/verdict", detail));
        }
        if let Some(label) = &self.label {
            require_name("/label", label)?;
        }
        for (pointer, text) in [("/text", &self.text), ("/comment", &self.comment)] {
            if let Some(text) = text {
                require_text(pointer, text)?;
            }
        }
        if self.verdict == ReviewVerdict::Correct {
            match task.kind {
                TaskKind::Classify if self.label.is_none() => {
                    return Err(EngineError::field(
                        "/label",
                        "is missing; say which label is right",
                    ));
                }
                TaskKind::Generate if self.text.as_ref().is_none_or(|text| text.trim().is_empty()) => {
                    return Err(EngineError::field(
                        "/text",
                        "is missing; say which answer is right",
                    ));
                }
                TaskKind::Classify | TaskKind::Generate => {}
            }
        }
        let is_unseen = review.label.is_none() || !task.policy.review.show_suggestions;
        if self.verdict == ReviewVerdict::Approve && task.kind == TaskKind::Classify && is_unseen {
            let detail =
                "no label was shown that could be approved; say which is right: correct with a label";
            return Err(EngineError::field("/verdict", detail));
        }
        Ok(())
    }
}

/// Where an item stands after an answer.
#[derive(Debug, Clone)]
pub struct ReviewProgress {
    /// Where it stands.
    pub state: ReviewState,
    /// Reviews that are there.
    pub done: i64,
    /// Reviews that are wanted.
    pub wanted: i64,
    /// For an item whose answer is known: whether this one is right.
    pub is_gold_right: Option<bool>,
}

/// What an answer says is right, in the form in which answers are compared.
pub(super) fn said(
    review: &Review,
    verdict: ReviewVerdict,
    label: Option<&str>,
    text: Option<&str>,
) -> String {
    match verdict {
        ReviewVerdict::Approve => match &review.label {
            Some(label) => format!("label:{label}"),
            None => "approve".to_owned(),
        },
        ReviewVerdict::Correct => match (label, text) {
            (Some(label), _) => format!("label:{label}"),
            (None, text) => format!("text:{}", hone_text::normalise(text.unwrap_or_default())),
        },
        other => other.as_str().to_owned(),
    }
}

impl Engine {
    /// Takes a reviewer's answer to an item they have claimed. When as many have answered as are wanted, what most of them
    /// say is done; a tie is left to an editor.
    pub async fn answer_review(
        &self,
        project: ProjectId,
        id: ReviewId,
        token: Uuid,
        mut answer: NewReviewAnswer,
    ) -> Result<ReviewProgress, EngineError> {
        let review = self.get_review(project, id).await?;
        let task = tasks::get(&mut self.db.read().await?, TaskId(review.task_id)).await?;
        answer.check(&task, &review)?;
        answer.clean(self.privacy(project).await?.cleaner());
        let mut curator = self.curator(&task).await?;
        let mut conn = self.db.begin().await?;
        curator.lock(&mut conn).await?;
        let now_us = self.ids.now_us();
        let claim = reviews::find_claim(&mut conn, id, token).await?;
        let claim = claim
            .filter(|claim| claim.until_us >= now_us)
            .ok_or_else(|| not_claimed(id))?;
        let is_review = answer.verdict != ReviewVerdict::Skip;
        if !reviews::end_claim(&mut conn, id, token, is_review).await? {
            return Err(not_claimed(id));
        }
        let row = self.answer_row(&review, &claim, answer);
        if !reviews::insert_answer(&mut conn, &review, &row).await? {
            return Err(EngineError::Conflict(format!(
                "{} has answered review {id} already",
                claim.reviewer
            )));
        }
        let mut effects = Effects::default();
        self.note_comment(&mut conn, &review, &row, &mut effects).await?;
        // What it was before the lock may have changed since.
        let review = reviews::find(&mut conn, project, id).await?.unwrap_or(review);
        let state = if review.gold_label.is_none() && review.state == ReviewState::Open {
            self.settle_review(&mut conn, curator, &review, &mut effects)
                .await?
        } else {
            review.state
        };
        effects.write(&mut conn, &self.ids).await?;
        conn.commit().await?;
        Ok(ReviewProgress {
            state,
            done: review.done,
            wanted: review.wanted,
            is_gold_right: row.is_gold_right,
        })
    }

    fn answer_row(&self, review: &Review, claim: &Claim, answer: NewReviewAnswer) -> ReviewAnswer {
        let now_us = self.ids.now_us();
        let given = said(
            review,
            answer.verdict,
            answer.label.as_deref(),
            answer.text.as_deref(),
        );
        let gold = review.gold_label.as_ref();
        ReviewAnswer {
            id: self.ids.next(),
            review_id: review.id,
            reviewer: claim.reviewer.clone(),
            verdict: answer.verdict,
            label: answer.label,
            text: OptionalText(answer.text),
            comment: OptionalText(answer.comment),
            took_us: Some(now_us - claim.claimed_at_us),
            is_gold_right: gold
                .filter(|_| answer.verdict != ReviewVerdict::Skip)
                .map(|gold| given == format!("label:{gold}")),
            created_at_us: now_us,
        }
    }

    /// Settles an item that as many have answered as are wanted.
    async fn settle_review(
        &self,
        conn: &mut Conn,
        mut curator: Curator<'_>,
        review: &Review,
        effects: &mut Effects,
    ) -> Result<ReviewState, EngineError> {
        let answers = reviews::list_answers(conn, ReviewId(review.id)).await?;
        let answers: Vec<ReviewAnswer> = answers
            .into_iter()
            .filter(|answer| answer.verdict != ReviewVerdict::Skip)
            .collect();
        if (answers.len() as i64) < review.wanted {
            return Ok(review.state);
        }
        let now_us = self.ids.now_us();
        let Some(chosen) = majority(review, &answers) else {
            reviews::close(conn, ReviewId(review.id), ReviewState::Disputed, None, now_us).await?;
            return Ok(ReviewState::Disputed);
        };
        let outcome = json!({
            "verdict": chosen.verdict, "label": chosen.label, "by": "reviewers",
            "agreed": answers.iter().filter(|answer| value_of(review, answer) == value_of(review, chosen)).count(),
            "of": answers.len(),
        });
        self.apply_outcome(conn, &mut curator, review, chosen, effects)
            .await?;
        reviews::close(
            conn,
            ReviewId(review.id),
            ReviewState::Decided,
            Some(&outcome),
            now_us,
        )
        .await?;
        Ok(ReviewState::Decided)
    }

    /// Takes the word of an editor, who needs no claim and decides alone.
    pub async fn decide_review(
        &self,
        project: ProjectId,
        id: ReviewId,
        editor: &str,
        mut answer: NewReviewAnswer,
    ) -> Result<ReviewProgress, EngineError> {
        check_reviewer(editor)?;
        let review = self.get_review(project, id).await?;
        let task = tasks::get(&mut self.db.read().await?, TaskId(review.task_id)).await?;
        answer.check(&task, &review)?;
        answer.clean(self.privacy(project).await?.cleaner());
        if answer.verdict == ReviewVerdict::Skip {
            let detail = "an editor decides; release the item, or leave it";
            return Err(EngineError::field("/verdict", detail));
        }
        let mut curator = self.curator(&task).await?;
        let mut conn = self.db.begin().await?;
        curator.lock(&mut conn).await?;
        let now_us = self.ids.now_us();
        let outcome = json!({ "verdict": answer.verdict, "label": answer.label, "by": editor });
        let closed = reviews::close(&mut conn, id, ReviewState::Decided, Some(&outcome), now_us).await?;
        if !closed {
            return Err(EngineError::Conflict(format!(
                "review {id} is {}; nothing is left to decide",
                review.state
            )));
        }
        let claim = Claim {
            review_id: review.id,
            reviewer: editor.to_owned(),
            token: Uuid::nil(),
            claimed_at_us: now_us,
            until_us: now_us,
        };
        let row = ReviewAnswer {
            took_us: None,
            ..self.answer_row(&review, &claim, answer)
        };
        // Who has answered as a reviewer has said it already.
        reviews::insert_answer(&mut conn, &review, &row).await?;
        let mut effects = Effects::default();
        self.note_comment(&mut conn, &review, &row, &mut effects).await?;
        self.apply_outcome(&mut conn, &mut curator, &review, &row, &mut effects)
            .await?;
        effects.write(&mut conn, &self.ids).await?;
        conn.commit().await?;
        Ok(ReviewProgress {
            state: ReviewState::Decided,
            done: review.done,
            wanted: review.wanted,
            is_gold_right: None,
        })
    }
}

fn value_of(review: &Review, answer: &ReviewAnswer) -> String {
    let text = answer.text.0.as_deref();
    said(review, answer.verdict, answer.label.as_deref(), text)
}

/// The answer that most gave, if more did so than gave any other.
fn majority<'a>(review: &Review, answers: &'a [ReviewAnswer]) -> Option<&'a ReviewAnswer> {
    let count = |answer: &ReviewAnswer| {
        let value = value_of(review, answer);
        let same = answers.iter().filter(|other| value_of(review, other) == value);
        (same.count(), value)
    };
    let counted: Vec<(usize, String)> = answers.iter().map(count).collect();
    let most = counted.iter().map(|(count, _)| *count).max()?;
    let first = counted.iter().position(|(count, _)| *count == most)?;
    let is_tied = counted
        .iter()
        .any(|(count, value)| *count == most && *value != counted[first].1);
    (!is_tied).then(|| &answers[first])
}
