//! Words that hurt when they are written apart ("blow job"), and phrases whose words alone hurt nobody.

use std::sync::LazyLock;

use rustc_hash::FxHashSet;

/// What hurts when it is written together.
static HURTING: LazyLock<Hurting> = LazyLock::new(|| {
    let mut hurting = Hurting::default();
    let words = include_str!("words.txt").lines();
    for word in words.filter(|line| !line.starts_with('#')) {
        let mut folded = Folded::EMPTY;
        for character in characters_of(word) {
            folded = folded.joined(Folded::of_character(character));
            hurting.beginnings.insert(folded.hash);
        }
        hurting.whole.insert(folded.hash);
    }
    hurting
});

/// Hashes of words and of what they begin with.
#[derive(Default)]
struct Hurting {
    whole: FxHashSet<u64>,
    beginnings: FxHashSet<u64>,
}

/// A word of a text, as the part of a span that it can be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    folded: Folded,
    /// Whether something that hurts begins with it.
    may_begin: bool,
}

impl Word {
    pub fn of(word: &str) -> Self {
        let characters = characters_of(word).map(Folded::of_character);
        let folded = characters.fold(Folded::EMPTY, Folded::joined);
        Self {
            folded,
            may_begin: HURTING.beginnings.contains(&folded.hash),
        }
    }
}

/// How the letters and digits of a word look, doubled ones once, as a hash that can be joined to another.
#[derive(Debug, Clone, Copy)]
struct Folded {
    /// The characters as the digits of a number to the base [`BASE`].
    hash: u64,
    /// [`BASE`] to the power of the length.
    power: u64,
    ends: Option<(char, char)>,
}

/// An odd number with its bits well mixed.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
/// What [`BASE`] is multiplied by to give 1.
const INVERSE: u64 = inverse(BASE);

/// The inverse of an odd number by Newton's method, which doubles the right bits each time, of which there are 3 at first.
const fn inverse(odd: u64) -> u64 {
    let (mut inverse, mut bits) = (odd, 3);
    while bits < u64::BITS {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}

impl Folded {
    const EMPTY: Self = Self {
        hash: 0,
        power: 1,
        ends: None,
    };

    fn of_character(character: char) -> Self {
        Self {
            hash: u64::from(u32::from(character)),
            power: BASE,
            ends: Some((character, character)),
        }
    }

    fn joined(self, next: Self) -> Self {
        let (Some((first, last)), Some((first_of_next, last_of_next))) = (self.ends, next.ends) else {
            return if self.ends.is_some() { self } else { next };
        };
        let (mut hash, mut power) = (next.hash, next.power);
        if last == first_of_next {
            power = power.wrapping_mul(INVERSE);
            hash = hash.wrapping_sub(power.wrapping_mul(u64::from(u32::from(first_of_next))));
        }
        Self {
            hash: self.hash.wrapping_mul(power).wrapping_add(hash),
            power: self.power.wrapping_mul(power),
            ends: Some((first, last_of_next)),
        }
    }
}

/// What the characters of a word look like; the punctuation behind it belongs to the sentence.
fn characters_of(word: &str) -> impl Iterator<Item = char> {
    let word = word.trim_end_matches(|character: char| !character.is_alphanumeric());
    word.chars().flat_map(char::to_lowercase).filter_map(look)
}

/// The letter that a letter, a digit or a sign is taken for.
fn look(character: char) -> Option<char> {
    Some(match character {
        '0' => 'o',
        '1' | '!' | '|' | 'l' | 'j' => 'i',
        '2' | '5' | '$' | 'z' => 's',
        '3' => 'e',
        '4' | '@' => 'a',
        '6' | '9' | 'q' => 'g',
        '7' | '+' => 't',
        '8' => 'b',
        'k' => 'c',
        'v' => 'u',
        other if other.is_alphanumeric() => other,
        _ => return None,
    })
}

/// Whether two or more of these words, one after the other, are together something that hurts.
pub(super) fn hurt_together(words: &[Word]) -> bool {
    let hurting = &*HURTING;
    (0..words.len())
        .filter(|&start| words[start].may_begin)
        .any(|start| {
            let mut span = words[start].folded;
            words[start + 1..]
                .iter()
                .map_while(|next| {
                    span = span.joined(next.folded);
                    hurting.beginnings.contains(&span.hash).then_some(span.hash)
                })
                .any(|hash| hurting.whole.contains(&hash))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hurt_together_through_case_and_disguise() {
        let hurt = |text: &str| {
            let words: Vec<Word> = text.split_whitespace().map(Word::of).collect();
            hurt_together(&words)
        };
        for text in [
            "go kill yourself",
            "KILL, yourself!",
            "k1ll y0urse|f now",
            "b l o w job",
            "nice ball sack",
        ] {
            assert!(hurt(text), "{text}");
        }
        for text in ["", "yourself", "like yourself", "was so", "apr on my amex card"] {
            assert!(!hurt(text), "{text}");
        }
    }
}
