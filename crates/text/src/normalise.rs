//! The form in which two texts count as the same: Unicode compatibility form, lower case, single spaces, no
//! punctuation at the end.

use unicode_normalization::UnicodeNormalization;

/// Brings a text into the form in which exact duplicates are found: NFKC, lower case, runs of white space as one
/// space, invisible characters left out, no sentence punctuation at the end.
pub fn normalise(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    if text.is_ascii() {
        push_ascii(text, &mut normal);
    } else {
        push_normal(text.nfkc(), &mut normal);
    }
    let kept = normal
        .trim_end_matches([
            ' ', '.', '!', '?', ',', ';', ':', '\u{3002}', '\u{ff01}', '\u{ff1f}',
        ])
        .len();
    if kept > 0 {
        normal.truncate(kept);
    }
    normal
}

/// The same as `push_normal` for ASCII, word by word: half of the time of recording was spent here letter by letter.
fn push_ascii(text: &str, normal: &mut String) {
    let is_gap = |character: char| character <= ' ' || character == '\u{7f}';
    for word in text.split(is_gap).filter(|word| !word.is_empty()) {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.push_str(word);
    }
    normal.make_ascii_lowercase();
}

fn push_normal(characters: impl Iterator<Item = char>, normal: &mut String) {
    for character in characters {
        if character.is_whitespace() || character.is_control() {
            if !normal.is_empty() && !normal.ends_with(' ') {
                normal.push(' ');
            }
        } else if !is_invisible(character) {
            normal.extend(character.to_lowercase());
        }
    }
}

/// Zero-width characters, direction marks and the byte order mark: they change no reader's text.
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}')
}

/// First 16 bytes of the BLAKE3 hash of the normalised text.
pub fn normalised_hash(text: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&blake3::hash(normalise(text).as_bytes()).as_bytes()[..16]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_reader_takes_as_the_same_is_the_same() {
        assert_eq!(normalise("  Where is\tmy CARD?! "), "where is my card");
        assert_eq!(normalise("ｃａｒｄ\u{200b}"), "card");
        assert_eq!(normalise("我的卡在哪里？"), "我的卡在哪里");
        assert_eq!(normalise("???"), "???");
        assert_ne!(normalised_hash("my card"), normalised_hash("my cart"));
    }

    proptest! {
        #[test]
        fn ascii_is_normalised_like_any_other_text(text in "[ -~\\t\\n\\x00\\x7f]{0,60}") {
            let (mut fast, mut slow) = (String::new(), String::new());
            push_ascii(&text, &mut fast);
            push_normal(text.nfkc(), &mut slow);
            prop_assert_eq!(fast, slow.trim_end());
        }

        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,60}") {
            // Lower-casing can undo NFKC for a few letters, so the second round may still compose; the third may not.
            let twice = normalise(&normalise(&text));
            prop_assert_eq!(normalise(&twice), twice);
        }
    }
}
