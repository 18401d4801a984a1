//! MinHash signatures: texts that share most of their shingles share, with high probability, a whole band of the least values
//! of many hash functions, so that near-duplicates are found by equality (Broder 1997; Indyk and Motwani 1998). What was found
//! so is compared by the shingles themselves.
//!
//! Short texts are sets of character 5-grams, in which one changed word changes little; long ones sets of 5-word shingles, as
//! long texts of one language share many grams. Texts of a length between have both, so that no pair falls into the gap.

use std::cmp::Ordering;

use pulp::Arch;

use crate::normalise;

/// Bands of a signature.
pub const SIGNATURE_BANDS: usize = 21;
/// Values of a band. Two texts of similarity s share a band with probability 1 - (1 - s^6)^21: .998 at .8, .28 at .5.
const ROWS: usize = 6;
const VALUES: usize = SIGNATURE_BANDS * ROWS;
/// Characters of a gram, and words of a shingle.
const SHINGLE: usize = 5;
/// Texts with fewer words have grams, texts with more than the second have word shingles.
const SHORT_WORDS: usize = 128;
const LONG_WORDS: usize = 96;
/// Shingles that are kept to compare two texts, those with the least hashes. Of longer texts the similarity is estimated from
/// them, with a standard error of .013 at .8.
const MAX_SHINGLES: usize = 1_024;

/// Multipliers of the hash functions, odd.
static MULTIPLIERS: [u32; VALUES] = multipliers();

/// What a text is compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    bands: [u64; SIGNATURE_BANDS],
    /// Hashes of the shingles, sorted, each once.
    shingles: Box<[u32]>,
    is_of_words: bool,
}

impl Signature {
    /// The share of shingles that two texts have in common (Jaccard); 0 for one of grams and one of words.
    pub fn similarity(&self, other: &Self) -> f64 {
        if self.is_of_words != other.is_of_words {
            return 0.0;
        }
        let is_cut = |signature: &Self| signature.shingles.len() == MAX_SHINGLES;
        let most = if is_cut(self) || is_cut(other) {
            MAX_SHINGLES
        } else {
            usize::MAX
        };
        let (mut a, mut b) = (self.shingles.iter().peekable(), other.shingles.iter().peekable());
        let (mut common, mut all) = (0, 0);
        while all < most {
            let order = match (a.peek(), b.peek()) {
                (Some(first), Some(second)) => first.cmp(second),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            if order != Ordering::Greater {
                a.next();
            }
            if order != Ordering::Less {
                b.next();
            }
            common += usize::from(order == Ordering::Equal);
            all += 1;
        }
        if all == 0 { 0.0 } else { common as f64 / all as f64 }
    }

    /// A hash of each band, which differs from band to band and between grams and words even for equal values.
    pub fn bands(&self) -> &[u64; SIGNATURE_BANDS] {
        &self.bands
    }
}

/// Makes signatures; keeps its buffers.
#[derive(Debug, Default)]
pub struct Signer {
    shingles: Vec<u32>,
    words: Vec<u32>,
}

impl Signer {
    /// The signatures of a text: one, or two for lengths between short and long; none for a text without letters.
    pub fn sign(&mut self, text: &str) -> impl Iterator<Item = Signature> {
        let normal = normalise(text);
        self.words.clear();
        self.words.extend(
            normal
                .split(' ')
                .filter(|word| !word.is_empty())
                .map(|word| hash(word.as_bytes())),
        );
        let has_grams = (1..SHORT_WORDS).contains(&self.words.len());
        let has_words = self.words.len() > LONG_WORDS;
        let grams = has_grams.then(|| self.of_grams(&normal));
        let words = has_words.then(|| self.of_words());
        grams.into_iter().chain(words)
    }

    fn of_grams(&mut self, normal: &str) -> Signature {
        self.shingles.clear();
        let ends = normal
            .char_indices()
            .map(|(place, _)| place)
            .skip(SHINGLE)
            .chain([normal.len()]);
        let starts = normal.char_indices().map(|(place, _)| place);
        self.shingles.extend(
            starts
                .zip(ends)
                .map(|(start, end)| hash(&normal.as_bytes()[start..end])),
        );
        signature(&mut self.shingles, false)
    }

    fn of_words(&mut self) -> Signature {
        let shingle =
            |words: &[u32]| words.iter().fold(0, |hash, &word| mixed(hash ^ u64::from(word))) as u32;
        self.shingles.clear();
        self.shingles.extend(self.words.windows(SHINGLE).map(shingle));
        signature(&mut self.shingles, true)
    }
}

fn signature(shingles: &mut Vec<u32>, is_of_words: bool) -> Signature {
    shingles.sort_unstable();
    shingles.dedup();
    let values = Arch::new().dispatch(|| least_values(shingles));
    shingles.truncate(MAX_SHINGLES);
    Signature {
        bands: std::array::from_fn(|band| {
            let seed = (band as u64) << 1 | u64::from(is_of_words);
            let values = &values[band * ROWS..(band + 1) * ROWS];
            values
                .iter()
                .fold(mixed(seed), |hash, &value| mixed(hash ^ u64::from(value)))
        }),
        shingles: shingles.as_slice().into(),
        is_of_words,
    }
}

/// The least of each hash function over all shingles. Inlined into code for the widest vectors that the processor has.
#[inline(always)]
fn least_values(shingles: &[u32]) -> [u32; VALUES] {
    let mut values = [u32::MAX; VALUES];
    for &shingle in shingles {
        for (value, multiplier) in values.iter_mut().zip(&MULTIPLIERS) {
            *value = (*value).min(shingle.wrapping_mul(*multiplier));
        }
    }
    values
}

/// Mixes all bits into all (the finaliser of SplitMix64).
const fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn hash(bytes: &[u8]) -> u32 {
    let mut hash = bytes.len() as u64;
    for piece in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..piece.len()].copy_from_slice(piece);
        hash = mixed(hash ^ u64::from_le_bytes(word));
    }
    hash as u32
}

const fn multipliers() -> [u32; VALUES] {
    let mut all = [0; VALUES];
    let mut number = 0;
    while number < VALUES {
        all[number] = mixed(number as u64) as u32 | 1;
        number += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn sign(text: &str) -> Vec<Signature> {
        Signer::default().sign(text).collect()
    }

    fn share_a_band(a: &Signature, b: &Signature) -> bool {
        a.bands().iter().zip(b.bands()).any(|(a, b)| a == b)
    }

    /// The exact share of grams that two texts have in common.
    fn jaccard(a: &str, b: &str) -> f64 {
        let grams = |text: &str| -> HashSet<Vec<char>> {
            let characters: Vec<char> = normalise(text).chars().collect();
            characters.windows(SHINGLE).map(<[char]>::to_vec).collect()
        };
        let (a, b) = (grams(a), grams(b));
        a.intersection(&b).count() as f64 / a.union(&b).count() as f64
    }

    #[test]
    fn the_similarity_is_the_share_of_common_grams() {
        let text = "Where is my parcel? It should have come on Monday and I have heard nothing at all from you since then.";
        for other in [
            "Where is my parcel? It should have come on Tuesday and I have heard nothing at all from you since then.",
            "where is my parcel!! it should have come on monday and i have heard nothing from you",
            "I would like to return the shoes that I bought last week, how do I do that and what does it cost me?",
        ] {
            let (a, b) = (sign(text), sign(other));
            let (exact, estimated) = (jaccard(text, other), a[0].similarity(&b[0]));
            assert!((exact - estimated).abs() < 1e-9, "{exact} {estimated}");
            assert_eq!(share_a_band(&a[0], &b[0]), exact > 0.5, "{exact}");
        }
        assert_eq!(sign("HELLO there."), sign("hello  THERE"));
        assert!(sign("").is_empty() && sign("\u{200b} ").is_empty());
        assert_eq!(sign("a").len(), 1);
    }

    #[test]
    fn texts_between_short_and_long_meet_those_of_both_sides() {
        let words: Vec<String> = (0..140)
            .map(|number| format!("word{}", number * 7_919 % 1_000))
            .collect();
        let of = |count: usize| words[..count].join(" ");
        for (shorter, longer) in [(90, 97), (90, 105), (100, 120), (110, 129), (126, 140)] {
            let (a, b) = (sign(&of(shorter)), sign(&of(longer)));
            let meet = a
                .iter()
                .any(|a| b.iter().any(|b| a.similarity(b) > 0.7 && share_a_band(a, b)));
            assert!(meet, "{shorter} and {longer} words");
        }
    }

    #[test]
    fn of_long_texts_the_similarity_is_estimated() {
        let words: Vec<String> = (0..6_000_u64)
            .map(|number| format!("{:x}", mixed(number) % 50_000))
            .collect();
        let (a, b) = (sign(&words.join(" ")), sign(&words[..5_400].join(" ")));
        assert_eq!((a.len(), a[0].shingles.len()), (1, MAX_SHINGLES));
        assert!((a[0].similarity(&b[0]) - 0.9).abs() < 0.04);
    }

    #[test]
    fn a_band_is_another_hash_in_every_place_and_kind() {
        let of = |is_of_words| signature(&mut vec![7], is_of_words);
        let all: HashSet<u64> = [of(false), of(true)]
            .iter()
            .flat_map(|signature| *signature.bands())
            .collect();
        assert_eq!(all.len(), 2 * SIGNATURE_BANDS);
    }
}
