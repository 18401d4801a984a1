//! A text without its personal data: each piece as the word for its kind, or as a pseudonym that is the same for the same
//! piece within a project.

use super::{PersonalFinding, PersonalKind, find_personal};

/// Rounds until nothing more is found. What was apart can come together when what stood between is taken out; that ends, as
/// each round leaves fewer characters that can belong to anything.
const MAX_ROUNDS: usize = 8;
/// Hexadecimal letters of a pseudonym: 48 bits.
const PSEUDONYM_LETTERS: usize = 12;

/// Makes pseudonyms of a project: a keyed hash (BLAKE3) of the kind and the piece, so that who lacks the key can neither
/// undo one nor try values.
#[derive(Clone)]
pub struct Pseudonyms([u8; 32]);

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms(…)")
    }
}

impl Pseudonyms {
    /// Pseudonyms under a project's key.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    fn of(&self, kind: PersonalKind, piece: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(kind.name().as_bytes());
        hasher.update(&[0]);
        hasher.update(normal_form(kind, piece).as_bytes());
        hasher.finalize().to_hex()[..PSEUDONYM_LETTERS].to_owned()
    }
}

/// The form in which two spellings of a piece are the same: numbers without what stands between their digits.
fn normal_form(kind: PersonalKind, piece: &str) -> String {
    let lower = crate::normalise(piece);
    match kind {
        PersonalKind::Email | PersonalKind::Url | PersonalKind::CredentialUrl | PersonalKind::Password => {
            lower
        }
        _ => lower
            .chars()
            .filter(|character| character.is_alphanumeric())
            .collect(),
    }
}

/// The text with each piece of these kinds as `[EMAIL]` and the like; `None` where there is none.
pub fn redact(text: &str, kinds: &[PersonalKind]) -> Option<String> {
    replace(text, kinds, |kind, _| {
        format!("[{}]", kind.name().to_ascii_uppercase())
    })
}

/// The text with each piece of these kinds as its pseudonym, `[EMAIL_5f0c…]` and the like; `None` where there is none.
pub fn pseudonymise(text: &str, kinds: &[PersonalKind], pseudonyms: &Pseudonyms) -> Option<String> {
    replace(text, kinds, |kind, piece| {
        format!(
            "[{}_{}]",
            kind.name().to_ascii_uppercase(),
            pseudonyms.of(kind, piece)
        )
    })
}

fn replace(
    text: &str,
    kinds: &[PersonalKind],
    word: impl Fn(PersonalKind, &str) -> String,
) -> Option<String> {
    let mut replaced: Option<String> = None;
    for _ in 0..MAX_ROUNDS {
        let current = replaced.as_deref().unwrap_or(text);
        let found: Vec<PersonalFinding> = find_personal(current)
            .into_iter()
            .filter(|finding| kinds.contains(&finding.kind))
            .collect();
        if found.is_empty() {
            break;
        }
        let (mut next, mut end) = (String::with_capacity(current.len()), 0);
        for finding in found {
            next.push_str(&current[end..finding.range.start]);
            next.push_str(&word(finding.kind, &current[finding.range.clone()]));
            end = finding.range.end;
        }
        next.push_str(&current[end..]);
        replaced = Some(next);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_piece_has_the_same_pseudonym_within_a_project() {
        let (mine, other) = (Pseudonyms::new([1; 32]), Pseudonyms::new([2; 32]));
        let all = &PersonalKind::ALL;
        let of = |text: &str, key| pseudonymise(text, all, key).unwrap();
        assert_eq!(
            of("card 4111 1111 1111 1111", &mine),
            of("card 4111-1111-1111-1111", &mine)
        );
        assert_ne!(of("Ann@Example.com", &mine), of("ann@example.com", &other));
        assert_eq!(of("Ann@Example.com", &mine), of("ann@example.com", &mine));
        assert_eq!(
            redact("mail ann@example.com or +49 30 901820", all).unwrap(),
            "mail [EMAIL] or [PHONE]"
        );
        assert_eq!(redact("mail ann@example.com", &[PersonalKind::Card]), None);
        assert_eq!(format!("{mine:?}"), "Pseudonyms(…)");
    }

    proptest! {
        #[test]
        fn nothing_that_is_recognised_is_left(pieces in prop::collection::vec(prop_oneof![
            Just("ann@example.com"), Just("4111 1111 1111 1111"), Just("+49 30 901820"), Just("123-45-6789"), Just("10.0.0.1"),
            Just("DE89370400440532013000"), Just("https://a.example/b"), Just("password: hunter22"), Just("call "), Just(" "), Just("."),
            Just("\u{200b}"), Just("٤١١١"), Just("born 1984-05-12"), Just("passport C01X00T47"), Just("@"), Just(":"), Just("x1"), Just("我的"),
        ], 0..12)) {
            let text = pieces.concat();
            for clean in [
                redact(&text, &PersonalKind::ALL),
                pseudonymise(&text, &PersonalKind::ALL, &Pseudonyms::new([3; 32])),
            ].into_iter().flatten() {
                prop_assert_eq!(find_personal(&clean), [], "{}", clean);
            }
        }

        #[test]
        fn any_text_can_be_looked_at(text in "[\\PC\\n]{0,80}") {
            for finding in find_personal(&text) {
                prop_assert!(text.get(finding.range).is_some());
            }
        }
    }
}
