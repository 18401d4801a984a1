//! The rule by which feedback makes an example: the latest correction, then a gold standard, then what was said of the
//! answer as it was. Pure; `curate` calls it and stores what it says.

use hone_domain::{FeedbackKind, FeedbackSource, TaskKind};
use hone_storage::feedback::Feedback;
use hone_storage::interactions::Interaction;
use hone_storage::tasks::Task;

/// What the feedback on an interaction says should be learned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Learn this.
    Take {
        label: Option<String>,
        target: Option<String>,
        weight: f64,
        /// Whether a person said so.
        is_validated: bool,
        /// When what decides was said.
        judged_at_us: i64,
        reason: String,
    },
    /// Do not learn it.
    Reject(String),
    /// Nobody has said anything that decides.
    Undecided,
}

/// Decides by rule, strongest first: the latest correction, then a gold standard, then what was said of the answer as
/// it was.
pub(crate) fn judge(task: &Task, interaction: &Interaction, said: &[Feedback]) -> Verdict {
    let policy = &task.policy.curation;
    let is_classify = task.kind == TaskKind::Classify;
    let correction = said.iter().rev().find(|row| {
        row.kind == FeedbackKind::Correction
            && if is_classify {
                row.label.is_some()
            } else {
                row.text.0.is_some()
            }
    });
    if let Some(row) = correction {
        return Verdict::Take {
            label: row.label.clone().or_else(|| interaction.label.clone()),
            target: row.text.0.clone().or_else(|| interaction.output.0.clone()),
            // A program's correction counts like any other example, a person's more.
            weight: if is_by_person(row) {
                policy.corrected_weight
            } else {
                1.0
            },
            is_validated: is_by_person(row),
            judged_at_us: row.created_at_us,
            reason: format!("corrected by {}", row.source),
        };
    }
    let as_it_was = |is_validated: bool, judged_at_us: i64, reason: &str| Verdict::Take {
        label: interaction.label.clone(),
        target: interaction.output.0.clone(),
        weight: 1.0,
        is_validated,
        judged_at_us,
        reason: reason.to_owned(),
    };
    if interaction.is_reference {
        return as_it_was(true, interaction.created_at_us, "gold standard");
    }
    let latest = |kind: FeedbackKind| said.iter().rev().find(|row| row.kind == kind);
    let value = |row: Option<&Feedback>| row.and_then(|row| row.value);
    let (thumb, rating) = (latest(FeedbackKind::Thumb), latest(FeedbackKind::Rating));
    if value(thumb).is_some_and(|value| value < 0.5) {
        return Verdict::Reject("thumb down and no correction".to_owned());
    }
    let min_rating = f64::from(policy.min_rating);
    if let Some(rating) = value(rating).filter(|&rating| rating < min_rating) {
        return Verdict::Reject(format!("rated {rating}, below {min_rating}, and no correction"));
    }
    let (liked, reason) = if rating.is_some() {
        (rating, "rated well")
    } else {
        (thumb.filter(|_| policy.take_thumbs_up), "thumb up")
    };
    let Some(liked) = liked else {
        return Verdict::Undecided;
    };
    if interaction
        .confidence
        .is_some_and(|confidence| confidence < policy.min_confidence)
    {
        return Verdict::Reject(format!(
            "confidence below {} and no correction",
            policy.min_confidence
        ));
    }
    as_it_was(is_by_person(liked), liked.created_at_us, reason)
}

fn is_by_person(row: &Feedback) -> bool {
    row.source != FeedbackSource::Automated
}
