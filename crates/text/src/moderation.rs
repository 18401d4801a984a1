//! Words that hurt: word lists with their disguises (letters as digits, stretched, spaced out, look-alikes), by `rustrict`,
//! which knows English best. Lists know no context; a project's own labels teach it better.

use rustrict::{Censor, Type};

/// What a text may be called.
const KINDS: [(&str, Type); 4] = [
    ("profane", Type::PROFANE),
    ("offensive", Type::OFFENSIVE),
    ("sexual", Type::SEXUAL),
    ("mean", Type::MEAN),
];
/// How much each degree counts.
const DEGREES: [(Type, f64); 3] = [(Type::SEVERE, 1.0), (Type::MODERATE, 0.6), (Type::MILD, 0.2)];

/// What a text is by its words.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Moderation {
    /// From 0 (nothing) to 1 (severe): the worst of the kinds.
    pub score: f64,
    /// The kinds that are there.
    pub kinds: Vec<&'static str>,
}

/// Looks for words that hurt.
pub fn moderation(text: &str) -> Moderation {
    let seen = Censor::from_str(text).analyze();
    let mut moderation = Moderation::default();
    for (name, kind) in KINDS {
        let degree = DEGREES.iter().find(|(degree, _)| seen.is(kind & *degree));
        if let Some((_, weight)) = degree {
            moderation.kinds.push(name);
            moderation.score = moderation.score.max(*weight);
        }
    }
    moderation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_hurt_are_seen_in_their_disguises() {
        for text in ["you stupid b1tch", "f u c k this", "you f*ck1ng idiot"] {
            let seen = moderation(text);
            assert!(seen.score >= 0.6 && !seen.kinds.is_empty(), "{text}: {seen:?}");
        }
        assert_eq!(moderation("go kill yourself").score, 1.0);
    }

    #[test]
    fn harmless_words_stay_harmless() {
        for text in [
            "",
            "where is my parcel",
            "an analysis of Scunthorpe",
            "push it into the assembly",
            "我的包裹在哪里",
            "😀",
        ] {
            assert_eq!(moderation(text), Moderation::default(), "{text}");
        }
    }
}
