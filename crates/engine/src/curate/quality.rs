//! The quality score of an example, 0 to 1, with its reasons: what people said of it first, then what its texts show.
//!
//! The score is a product: the standing that feedback gives, times a factor below 1 for each flaw. Factors are set by hand;
//! what matters is their order and that each is named.

use hone_domain::TaskKind;
use hone_text::{TextFlaw, answer_flaws, injection_signs, input_flaws, language, moderation};

/// An answer of fewer characters says hardly anything.
const SHORT_ANSWER_CHARS: usize = 3;
/// From here on a score of moderation or injection counts against an example.
const NOTABLE: f64 = 0.5;

/// How good an example is, and why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quality {
    pub score: f64,
    /// Names with their factors, such as `thumb_up=0.80 answer:cut_off=0.60`.
    pub reasons: String,
}

/// What is judged.
pub(crate) struct Judged<'a> {
    pub kind: TaskKind,
    /// What people said, as a word and a share.
    pub standing: (&'static str, f64),
    pub input: &'a str,
    pub target: Option<&'a str>,
    /// Whether personal data stays in it.
    pub has_personal_data: bool,
}

/// Judges an example.
pub(crate) fn quality(judged: &Judged<'_>) -> Quality {
    let mut factors = vec![(judged.standing.0.to_owned(), judged.standing.1)];
    for flaw in input_flaws(judged.input) {
        factors.push((flaw.name().to_owned(), factor_of_input(flaw)));
    }
    if let Some(answer) = judged.target.filter(|_| judged.kind == TaskKind::Generate) {
        factors.extend(factors_of_answer(judged.input, answer));
    }
    if judged.has_personal_data {
        factors.push(("personal_data".to_owned(), 0.9));
    }
    if injection_signs(judged.input).score > NOTABLE {
        factors.push(("injection".to_owned(), 0.7));
    }
    let named = factors.iter().map(|(name, factor)| format!("{name}={factor:.2}"));
    Quality {
        score: factors.iter().map(|(_, factor)| factor).product(),
        reasons: named.collect::<Vec<_>>().join(" "),
    }
}

fn factors_of_answer(input: &str, answer: &str) -> Vec<(String, f64)> {
    let mut factors: Vec<(String, f64)> = answer_flaws(answer)
        .into_iter()
        .map(|flaw| (format!("answer:{}", flaw.name()), factor_of_answer(flaw)))
        .collect();
    if moderation(answer).score > NOTABLE {
        factors.push(("answer:moderation".to_owned(), 0.7));
    }
    if answer.trim().chars().count() < SHORT_ANSWER_CHARS {
        factors.push(("answer:short".to_owned(), 0.8));
    }
    if let (Some(asked), Some(answered)) = (language(input), language(answer))
        && asked != answered
    {
        factors.push(("answer:other_language".to_owned(), 0.7));
    }
    factors
}

/// A person may write as they like; a model that learns from it should see mostly sound texts.
const fn factor_of_input(flaw: TextFlaw) -> f64 {
    match flaw {
        TextFlaw::Empty => 0.0,
        TextFlaw::Template => 0.6,
        TextFlaw::Repetitive | TextFlaw::Symbols => 0.7,
        TextFlaw::CutOff | TextFlaw::Refusal | TextFlaw::Shouting => 0.9,
    }
}

/// An answer is what will be said again: its flaws weigh more.
const fn factor_of_answer(flaw: TextFlaw) -> f64 {
    match flaw {
        TextFlaw::Empty => 0.0,
        TextFlaw::Refusal | TextFlaw::Template => 0.5,
        TextFlaw::CutOff | TextFlaw::Repetitive | TextFlaw::Symbols => 0.6,
        TextFlaw::Shouting => 0.8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(standing: f64, input: &str, target: &str) -> Quality {
        quality(&Judged {
            kind: TaskKind::Generate,
            standing: ("thumb_up", standing),
            input,
            target: Some(target),
            has_personal_data: false,
        })
    }

    #[test]
    fn each_flaw_lowers_the_score_and_is_named() {
        let sound = of(
            0.8,
            "where is my parcel?",
            "It left on Monday and comes tomorrow.",
        );
        assert_eq!((sound.score, sound.reasons.as_str()), (0.8, "thumb_up=0.80"));
        let refusing = of(
            0.8,
            "where is my parcel?",
            "I'm sorry, but I can't help with that.",
        );
        assert!((refusing.score - 0.4).abs() < 1e-9, "{refusing:?}");
        assert!(refusing.reasons.contains("answer:refusal=0.50"));
        let foreign = of(
            0.8,
            "where is my parcel? it should have come on monday",
            "Ihr Paket ist am Montag abgeschickt worden und kommt morgen bei Ihnen an.",
        );
        assert!(foreign.reasons.contains("answer:other_language"), "{foreign:?}");
        assert_eq!(of(1.0, "where is it?", " ").score, 0.0);
    }
}
