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
        is_validated: bool,
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
            weight: policy.corrected_weight,
            is_validated: row.source != FeedbackSource::Automated,
            reason: format!("corrected by {}", row.source),
        };
    }
    let as_it_was = |is_validated: bool, reason: String| Verdict::Take {
        label: interaction.label.clone(),
        target: interaction.output.0.clone(),
        weight: 1.0,
        is_validated,
        reason,
    };
    if interaction.is_reference {
        return as_it_was(true, "gold standard".to_owned());
    }
    let latest = |kind: FeedbackKind| {
        said.iter()
            .rev()
            .find(|row| row.kind == kind)
            .and_then(|row| row.value)
    };
    let thumb = latest(FeedbackKind::Thumb);
    let rating = latest(FeedbackKind::Rating);
    if thumb.is_some_and(|value| value < 0.5) {
        return Verdict::Reject("thumb down and no correction".to_owned());
    }
    let min_rating = f64::from(policy.min_rating);
    if let Some(rating) = rating.filter(|&rating| rating < min_rating) {
        return Verdict::Reject(format!("rated {rating}, below {min_rating}, and no correction"));
    }
    let liked = rating.is_some() || (thumb.is_some() && policy.take_thumbs_up);
    if !liked {
        return Verdict::Undecided;
    }
    if interaction
        .confidence
        .is_some_and(|confidence| confidence < policy.min_confidence)
    {
        return Verdict::Reject(format!(
            "confidence below {} and no correction",
            policy.min_confidence
        ));
    }
    as_it_was(
        true,
        if rating.is_some() {
            "rated well".to_owned()
        } else {
            "thumb up".to_owned()
        },
    )
}
