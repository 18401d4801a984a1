//! The rule by which feedback makes an example: the latest correction, then a gold standard, then what was said of the
//! answer as it was. Pure; `curate` calls it and stores what it says.

use hone_domain::{FeedbackKind, FeedbackSource, InteractionStatus, TaskKind};
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
        /// Whose word it is.
        source: FeedbackSource,
        /// How good that makes the example, 0 to 1, with the word for it.
        standing: (&'static str, f64),
        /// When what decides was said.
        judged_at_us: i64,
        reason: String,
    },
    /// Do not learn it.
    Reject { reason: String, judged_at_us: i64 },
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
    let reviewed = said.iter().rev().find(|row| {
        row.source == FeedbackSource::Expert && row.kind == FeedbackKind::Thumb && row.value.is_some()
    });
    if let Some(row) = reviewed
        && correction.is_none_or(|correction| correction.created_at_us <= row.created_at_us)
    {
        return by_review(row, interaction, correction);
    }
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
            source: row.source,
            standing: if is_by_person(row) {
                ("corrected", 1.0)
            } else {
                ("corrected_by_program", 0.7)
            },
            judged_at_us: row.created_at_us,
            reason: format!("corrected by {}", row.source),
        };
    }
    let as_it_was = |source: FeedbackSource, standing, judged_at_us: i64, reason: &str| Verdict::Take {
        label: interaction.label.clone(),
        target: interaction.output.0.clone(),
        weight: 1.0,
        is_validated: source != FeedbackSource::Automated,
        source,
        standing,
        judged_at_us,
        reason: reason.to_owned(),
    };
    if interaction.is_reference {
        let (source, standing) = (FeedbackSource::Expert, ("gold_standard", 1.0));
        return as_it_was(source, standing, interaction.created_at_us, "gold standard");
    }
    let reject = |reason: String, said: &Feedback| Verdict::Reject {
        reason,
        judged_at_us: said.created_at_us,
    };
    let latest = |kind: FeedbackKind| said.iter().rev().find(|row| row.kind == kind);
    let value = |row: Option<&Feedback>| row.and_then(|row| row.value);
    let (thumb, rating) = (latest(FeedbackKind::Thumb), latest(FeedbackKind::Rating));
    if let Some(thumb) = thumb
        && thumb.value.is_some_and(|value| value < 0.5)
    {
        return reject("thumb down and no correction".to_owned(), thumb);
    }
    let min_rating = f64::from(policy.min_rating);
    if let (Some(row), Some(rating)) = (rating, value(rating))
        && rating < min_rating
    {
        let reason = format!("rated {rating}, below {min_rating}, and no correction");
        return reject(reason, row);
    }
    let (liked, reason) = if rating.is_some() {
        (rating, "rated well")
    } else {
        (thumb.filter(|_| policy.take_thumbs_up), "thumb up")
    };
    let Some(liked) = liked else {
        if is_taught(task, interaction) {
            let model = interaction.model.as_deref().unwrap_or("another model");
            let (source, standing) = (FeedbackSource::Automated, ("answered_by_model", 0.6));
            let reason = format!("answered by {model}");
            return as_it_was(source, standing, interaction.created_at_us, &reason);
        }
        return Verdict::Undecided;
    };
    if interaction
        .confidence
        .is_some_and(|confidence| confidence < policy.min_confidence)
    {
        let reason = format!("confidence below {} and no correction", policy.min_confidence);
        return reject(reason, liked);
    }
    as_it_was(liked.source, standing_of(liked), liked.created_at_us, reason)
}

/// What an expert says of all that was said before: of the answer as it was, or of its correction.
fn by_review(row: &Feedback, interaction: &Interaction, correction: Option<&Feedback>) -> Verdict {
    if row.value.is_some_and(|value| value < 0.5) {
        return Verdict::Reject {
            reason: "rejected by expert".to_owned(),
            judged_at_us: row.created_at_us,
        };
    }
    let label = correction.and_then(|correction| correction.label.clone());
    let target = correction.and_then(|correction| correction.text.0.clone());
    Verdict::Take {
        label: label.or_else(|| interaction.label.clone()),
        target: target.or_else(|| interaction.output.0.clone()),
        weight: 1.0,
        is_validated: true,
        source: FeedbackSource::Expert,
        standing: ("approved_by_expert", 1.0),
        judged_at_us: row.created_at_us,
        reason: "approved by expert".to_owned(),
    }
}

/// Whether the answer of the model behind a cascade is learned from though nobody has said anything of it.
fn is_taught(task: &Task, interaction: &Interaction) -> bool {
    task.kind == TaskKind::Classify
        && task.policy.cascade.enabled
        && interaction.model_version_id.is_none()
        && interaction.label.is_some()
        && interaction.status == InteractionStatus::Ok
}

/// How good a rating or a thumb up makes an example.
fn standing_of(liked: &Feedback) -> (&'static str, f64) {
    match (liked.kind, liked.value) {
        (FeedbackKind::Rating, Some(rating)) if rating >= 5.0 => ("rated_5", 1.0),
        (FeedbackKind::Rating, Some(rating)) if rating >= 4.0 => ("rated_4", 0.85),
        (FeedbackKind::Rating, _) => ("rated_3_or_less", 0.6),
        _ => ("thumb_up", 0.8),
    }
}

fn is_by_person(row: &Feedback) -> bool {
    row.source != FeedbackSource::Automated
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_domain::{AnswerSource, TaskPolicy};
    use hone_storage::{OptionalText, StoredText};
    use uuid::Uuid;

    fn task(kind: TaskKind) -> Task {
        Task {
            id: Uuid::nil(),
            project_id: Uuid::nil(),
            name: "t".to_owned(),
            kind,
            policy: TaskPolicy::default(),
            created_at_us: 0,
            updated_at_us: 0,
        }
    }

    fn interaction() -> Interaction {
        Interaction {
            id: Uuid::nil(),
            project_id: Uuid::nil(),
            task_id: Uuid::nil(),
            conversation_id: None,
            turn: None,
            subject_id: None,
            input: StoredText("where is my card".to_owned()),
            output: OptionalText(Some("on its way".to_owned())),
            label: Some("detected".to_owned()),
            confidence: Some(0.9),
            source: AnswerSource::Model,
            status: InteractionStatus::Ok,
            model: None,
            model_version_id: None,
            latency_us: None,
            tokens_input: None,
            tokens_output: None,
            cost_micro_usd: None,
            action_type: None,
            target_tool: None,
            language: None,
            tags: None,
            is_reference: false,
            input_hash: vec![],
            content_hash: None,
            request: OptionalText(None),
            reply: OptionalText(None),
            structured_prompt: OptionalText(None),
            first_token_us: None,
            error: None,
            flaws: None,
            personal_data: None,
            moderation: None,
            injection: None,
            near_bands: None,
            occurred_at_us: 0,
            created_at_us: 0,
        }
    }

    fn said(kind: FeedbackKind, value: Option<f64>, label: Option<&str>, at_us: i64) -> Feedback {
        Feedback {
            id: Uuid::nil(),
            project_id: Uuid::nil(),
            task_id: None,
            interaction_id: None,
            conversation_id: None,
            kind,
            value,
            name: None,
            label: label.map(str::to_owned),
            detected_label: None,
            is_mismatch: None,
            text: OptionalText(None),
            preference: OptionalText(None),
            source: FeedbackSource::User,
            content_hash: None,
            occurred_at_us: at_us,
            created_at_us: at_us,
        }
    }

    fn verdict(feedback: &[Feedback]) -> Verdict {
        judge(&task(TaskKind::Classify), &interaction(), feedback)
    }

    #[test]
    fn the_latest_correction_goes_before_everything_else() {
        let feedback = [
            said(FeedbackKind::Correction, None, Some("first"), 1),
            said(FeedbackKind::Correction, None, Some("second"), 2),
            said(FeedbackKind::Thumb, Some(0.0), None, 3),
        ];
        let Verdict::Take {
            label,
            weight,
            is_validated,
            judged_at_us,
            ..
        } = verdict(&feedback)
        else {
            panic!("taken");
        };
        assert_eq!((label.as_deref(), judged_at_us), (Some("second"), 2));
        assert!(weight > 1.0 && is_validated);
    }

    #[test]
    fn what_a_program_says_counts_once_and_validates_nothing() {
        let automated = Feedback {
            source: FeedbackSource::Automated,
            ..said(FeedbackKind::Correction, None, Some("other"), 1)
        };
        assert!(matches!(
            verdict(&[automated]),
            Verdict::Take { weight, is_validated: false, .. } if (weight - 1.0).abs() < 1e-9
        ));
        let thumb = Feedback {
            source: FeedbackSource::Automated,
            ..said(FeedbackKind::Thumb, Some(1.0), None, 1)
        };
        assert!(matches!(
            verdict(&[thumb]),
            Verdict::Take {
                is_validated: false,
                ..
            }
        ));
    }

    #[test]
    fn dislike_rejects_and_silence_decides_nothing() {
        let rejected = |feedback: Feedback| matches!(verdict(&[feedback]), Verdict::Reject { .. });
        assert!(rejected(said(FeedbackKind::Thumb, Some(0.0), None, 1)));
        assert!(rejected(said(FeedbackKind::Rating, Some(3.0), None, 1)));
        assert!(!rejected(said(FeedbackKind::Rating, Some(4.0), None, 1)));
        assert_eq!(verdict(&[]), Verdict::Undecided);
        assert_eq!(
            verdict(&[said(FeedbackKind::Comment, None, None, 1)]),
            Verdict::Undecided
        );
    }
}
