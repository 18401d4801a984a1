//! Which text was last seen with a band: what is nearly the same as a new text is found by equality, whose cost does not grow
//! with the texts that are there.
//!
//! Compact, as it holds every example of a task: 8 bytes a band in a sorted list, and what is new in a table beside it until that
//! is a tenth. Band hashes are cut to 32 bits; what they find by mistake, the comparison of the texts sorts out.

use rustc_hash::FxHashMap;

/// Bands of a signature that are looked up. Two texts of similarity s share one of them with probability 1 - (1 - s^6)^12: .9998
/// at .9, .974 at .8.
pub const INDEXED_BANDS: usize = 12;
/// The table is sorted in when it has so many entries and a tenth of the list's.
const FEWEST_RECENT: usize = 16_384;

/// Bands and the text that was last seen with each.
#[derive(Debug, Default)]
pub struct BandIndex {
    sorted: Vec<(u32, u32)>,
    recent: FxHashMap<u32, u32>,
}

impl BandIndex {
    /// Notes that a text, by its number, has the bands of a signature.
    pub fn insert(&mut self, text: u32, bands: &[u64]) {
        for key in keys(bands) {
            self.recent.insert(key, text);
        }
        if self.recent.len() >= FEWEST_RECENT.max(self.sorted.len() / 10) {
            self.sort_in();
        }
    }

    /// The texts that were last seen with a band of a signature, each once.
    pub fn find(&self, bands: &[u64]) -> Vec<u32> {
        let mut found: Vec<u32> = keys(bands).filter_map(|key| self.get(key)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn get(&self, key: u32) -> Option<u32> {
        let recent = self.recent.get(&key).copied();
        recent.or_else(|| {
            let place = self.sorted.binary_search_by_key(&key, |entry| entry.0).ok()?;
            Some(self.sorted[place].1)
        })
    }

    fn sort_in(&mut self) {
        // Of two entries of a key the later text stays, which sorts after the earlier one.
        self.sorted.extend(self.recent.drain());
        self.sorted.sort_unstable();
        self.sorted.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                kept.1 = later.1;
            }
            is_same
        });
    }
}

fn keys(bands: &[u64]) -> impl Iterator<Item = u32> {
    bands
        .chunks(crate::SIGNATURE_BANDS)
        .flat_map(|signature| &signature[..INDEXED_BANDS.min(signature.len())])
        .map(|band| (band >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signer;

    fn bands(text: &str) -> Vec<u64> {
        Signer::default()
            .sign(text)
            .flat_map(|signature| *signature.bands())
            .collect()
    }

    #[test]
    fn the_latest_text_with_a_band_is_found_before_and_after_sorting_in() {
        let mut index = BandIndex::default();
        let text = "where is the parcel that I ordered on Monday the third of May in your shop in Berlin";
        index.insert(0, &bands(text));
        for number in 1..4_000u32 {
            index.insert(
                number,
                &bands(&format!("{:x} {:x}", number.wrapping_mul(0x9e37_79b9), number)),
            );
        }
        assert!(!index.sorted.is_empty(), "sorted in at least once");
        assert_eq!(index.find(&bands(text)), [0]);
        assert_eq!(index.find(&bands(&format!("{text} please"))), [0]);
        index.insert(4_000, &bands(text));
        assert_eq!(index.find(&bands(text)), [4_000]);
        index.sort_in();
        assert_eq!(index.find(&bands(text)), [4_000]);
        assert!(
            index
                .find(&bands("how do I reset the password of my account"))
                .is_empty()
        );
        assert!(index.find(&[]).is_empty());
    }
}
