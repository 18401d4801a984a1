//! Labels that a training finds probably wrong: they go to people, with the nearest examples of the label that is more
//! probable as the reason.

use hone_domain::{ReviewKind, ReviewReason};
use hone_learn::{Fitted, LabelledProbabilities, TextClassifier, nearest};
use hone_storage::Conn;
use hone_storage::tasks::Task;
use serde_json::{Value, json};
use uuid::Uuid;

use super::ReviewDraft;
use crate::{DatasetRow, Engine, EngineError};

/// Neighbours that are shown.
const NEIGHBOURS: usize = 3;

/// An example whose label is probably wrong.
#[derive(Debug, Clone)]
pub(crate) struct Suspect {
    example: Uuid,
    interaction: Option<Uuid>,
    input: String,
    label: String,
    suggestion: String,
    /// Probability of the given label.
    self_confidence: f64,
    details: Value,
}

/// The labels that are probably wrong among the rows that a training learned from, the likeliest errors first, at most
/// `limit`; and the classifier.
pub(crate) fn find_suspects(
    fitted: Fitted,
    rows: &[DatasetRow],
    limit: usize,
) -> (TextClassifier, Vec<Suspect>) {
    let Fitted {
        classifier,
        out_of_fold,
        ..
    } = fitted;
    if limit == 0 {
        return (classifier, Vec::new());
    }
    let number = |label: &String| classifier.labels.partition_point(|known| known < label) as u32;
    let labels: Vec<u32> = rows
        .iter()
        .filter_map(|row| row.label.as_ref().map(number))
        .collect();
    let probabilities = out_of_fold.probabilities(&classifier.calibration);
    let errors = LabelledProbabilities {
        probabilities: &probabilities,
        label_count: classifier.labels.len(),
        labels: &labels,
    }
    .label_errors();
    let mut is_suspect = vec![false; rows.len()];
    for error in &errors {
        is_suspect[error.position] = true;
    }
    let texts: Vec<&str> = rows.iter().map(|row| row.input.as_str()).collect();
    let features = classifier.vectoriser.transform(&texts);
    let suspects = errors.iter().take(limit).map(|error| {
        let row = &rows[error.position];
        let suggestion = classifier.labels[error.suggested as usize].clone();
        let is_candidate = |other: usize| !is_suspect[other] && labels[other] == error.suggested;
        let count = classifier.vectoriser.feature_count();
        let near = nearest(&features, count, error.position, NEIGHBOURS, is_candidate);
        let neighbours: Vec<Value> = near
            .into_iter()
            .map(|(other, similarity)| json!({ "input": rows[other].input, "similarity": similarity }))
            .collect();
        Suspect {
            example: row.id,
            interaction: row.interaction_id,
            input: row.input.clone(),
            label: classifier.labels[labels[error.position] as usize].clone(),
            self_confidence: f64::from(error.self_confidence),
            details: json!({
                "self_confidence": error.self_confidence, "suggested_confidence": error.suggested_confidence,
                "neighbours": neighbours,
            }),
            suggestion,
        }
    });
    let suspects = suspects.collect();
    (classifier, suspects)
}

impl Engine {
    /// Asks people about labels that are probably wrong.
    pub(crate) async fn ask_about_suspects(
        &self,
        conn: &mut Conn,
        task: &Task,
        suspects: Vec<Suspect>,
    ) -> Result<usize, EngineError> {
        let mut asked = 0;
        for suspect in suspects {
            let draft = ReviewDraft {
                interaction_id: suspect.interaction,
                example_id: Some(suspect.example).filter(|_| suspect.interaction.is_none()),
                kind: ReviewKind::Answer,
                reason: ReviewReason::Suspect,
                priority: 1.0 - suspect.self_confidence,
                input: suspect.input,
                output: None,
                alternative: None,
                label: Some(suspect.label),
                suggestion: Some(suspect.suggestion),
                details: Some(suspect.details),
                gold_label: None,
                wanted: task.policy.review.reviewers,
            };
            asked += usize::from(self.enqueue_review(conn, task, draft).await?.is_some());
        }
        Ok(asked)
    }

    /// The job that fills the queue of a task, for those whose change makes that worthwhile.
    pub(crate) async fn enqueue_filling(&self, conn: &mut Conn, task: &Task) -> Result<(), EngineError> {
        if !task.policy.review.automatic || task.policy.review.queue_size == 0 {
            return Ok(());
        }
        let spec = hone_jobs::NewJobSpec {
            id: None,
            project: task.project(),
            task: Some(task.task_id()),
            kind: super::FILL_REVIEWS,
            payload: json!({ "task_id": task.id }),
            unique_key: Some(format!("reviews:{}", task.id)),
            delay_us: 0,
        };
        hone_jobs::enqueue(conn, &self.ids, spec).await?;
        Ok(())
    }
}
