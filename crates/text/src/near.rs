//! Near-duplicates among texts that come one after the other: each is compared with those that share a band with it, and
//! joins their group. What one more text costs does not grow with those that are there.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::signature::{SIGNATURE_BANDS, Signature};

/// Texts of one band that a new one is compared with, the latest ones. A common sentence fills a band with thousands of
/// copies, of which each new one needs to meet but one.
const MAX_COMPARED: usize = 16;
const NONE: u32 = u32::MAX;

/// Band hashes are mixed already.
#[derive(Debug, Default, Clone, Copy)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Groups of near-duplicates.
#[derive(Debug)]
pub struct NearGroups {
    /// The least similarity of two texts that are nearly the same.
    threshold: f64,
    signatures: Vec<Signature>,
    /// The text of each signature.
    texts: Vec<u32>,
    /// The latest signature of each band.
    latest: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    /// For each signature and band the one before it.
    earlier: Vec<[u32; SIGNATURE_BANDS]>,
    /// For each text another one of its group, itself for one of them.
    parents: Vec<u32>,
}

impl NearGroups {
    /// No texts yet. Two texts of this similarity (share of common shingles) and above count as nearly the same.
    pub fn new(threshold: f64) -> Self {
        Self {
            threshold,
            signatures: Vec::new(),
            texts: Vec::new(),
            latest: HashMap::default(),
            earlier: Vec::new(),
            parents: Vec::new(),
        }
    }

    /// Adds a text by its signatures, as the next number; gives the texts that are nearly the same.
    pub fn add(&mut self, signatures: impl IntoIterator<Item = Signature>) -> Vec<u32> {
        let text = self.parents.len() as u32;
        self.parents.push(text);
        let mut near = Vec::new();
        for signature in signatures {
            let own = self.signatures.len() as u32;
            let (mut chain, mut compared) = ([NONE; SIGNATURE_BANDS], Vec::new());
            for (band, &hash) in signature.bands().iter().enumerate() {
                let before = self.latest.insert(hash, own).unwrap_or(NONE);
                chain[band] = before;
                let mut other = before;
                for _ in 0..MAX_COMPARED {
                    if other == NONE {
                        break;
                    }
                    if !compared.contains(&other) {
                        compared.push(other);
                    }
                    other = self.earlier[other as usize][band];
                }
            }
            for other in compared {
                let other_text = self.texts[other as usize];
                let is_near = self.signatures[other as usize].similarity(&signature) >= self.threshold;
                if is_near && !near.contains(&other_text) {
                    near.push(other_text);
                    self.join(text, other_text);
                }
            }
            self.signatures.push(signature);
            self.texts.push(text);
            self.earlier.push(chain);
        }
        near
    }

    /// The group of each text, named by its first text.
    pub fn groups(&mut self) -> Vec<u32> {
        (0..self.parents.len() as u32)
            .map(|text| self.root(text))
            .collect()
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        // The first text stays the name of its group.
        self.parents[a.max(b) as usize] = a.min(b);
    }

    fn root(&mut self, text: u32) -> u32 {
        let mut root = text;
        while self.parents[root as usize] != root {
            let parent = self.parents[root as usize];
            self.parents[root as usize] = self.parents[parent as usize];
            root = parent;
        }
        root
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signer;

    #[test]
    fn texts_that_are_nearly_the_same_are_one_group() {
        let mut signer = Signer::default();
        let mut groups = NearGroups::new(0.8);
        let texts = [
            "Where is my parcel? It should have come on Monday and I have heard nothing at all from you since then.",
            "I want my money back for the shoes that I sent to you more than two weeks ago, with the receipt in the box.",
            "Where is my parcel?? It should have come on monday and I have heard nothing at all from you since.",
            "",
            "where is my parcel? it should have come on Monday, and I have heard nothing at all from you since then!",
            "",
        ];
        let near: Vec<Vec<u32>> = texts.iter().map(|text| groups.add(signer.sign(text))).collect();
        assert_eq!(groups.groups(), [0, 1, 0, 3, 0, 5], "{near:?}");
        assert_eq!(near[0], []);
        assert_eq!(near[2], [0]);
    }

    #[test]
    fn a_sentence_that_comes_a_thousand_times_is_compared_with_some() {
        let (mut signer, mut groups) = (Signer::default(), NearGroups::new(0.8));
        for _ in 0..1_000 {
            let near = groups.add(signer.sign("thank you very much for your help"));
            assert!(near.len() <= MAX_COMPARED);
        }
        assert!(groups.groups().iter().all(|&group| group == 0));
    }
}
