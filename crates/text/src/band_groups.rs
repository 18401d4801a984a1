//! Groups of texts by the bands of their signatures alone, where the texts themselves are not at hand.

use rustc_hash::FxHashMap;

/// Two texts that share so many bands of their signatures have about .75 of their shingles in common: of 21 bands of 6
/// values, 21 * .75^6 = 3.7 are the same.
const SAME_BANDS: usize = 4;

/// Groups of texts that are nearly the same, by what they share with the first of each group.
#[derive(Debug, Clone, Default)]
pub struct BandGroups {
    by_band: FxHashMap<u64, Vec<usize>>,
    sizes: Vec<usize>,
}

impl BandGroups {
    /// Adds a text; gives the number of its group and how many are in it now.
    pub fn add(&mut self, bands: &[u64]) -> (usize, usize) {
        let mut shared: FxHashMap<usize, usize> = FxHashMap::default();
        for group in bands.iter().filter_map(|band| self.by_band.get(band)).flatten() {
            *shared.entry(*group).or_default() += 1;
        }
        let nearest = shared
            .into_iter()
            .max_by_key(|&(group, count)| (count, usize::MAX - group));
        let group = match nearest {
            Some((group, count)) if count >= SAME_BANDS => group,
            _ => {
                self.sizes.push(0);
                self.sizes.len() - 1
            }
        };
        self.sizes[group] += 1;
        // The first text of a group stands for it.
        if self.sizes[group] == 1 {
            for &band in bands {
                self.by_band.entry(band).or_default().push(group);
            }
        }
        (group, self.sizes[group])
    }

    /// How many texts each group has.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signer;

    #[test]
    fn texts_that_share_bands_are_one_group() {
        let mut groups = BandGroups::default();
        let bands = |text: &str| *Signer::default().sign(text).next().unwrap().bands();
        let text = "where is the parcel that I ordered on Monday the third of May in your shop in Berlin";
        assert_eq!(groups.add(&bands(text)), (0, 1));
        assert_eq!(groups.add(&bands(&format!("{text} please"))), (0, 2));
        assert_eq!(
            groups.add(&bands("how do I reset the password of my account")),
            (1, 1)
        );
        assert_eq!(groups.add(&[]), (2, 1));
        assert_eq!(groups.sizes(), [2, 1, 1]);
    }
}
