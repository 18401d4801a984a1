//! Two versions on the same rows: the difference of their macro-F1 with its interval, by drawing rows again (Efron 1979).

use fastrand::Rng;

/// A row with its right label and what two versions said, as numbers of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelledPair {
    /// The right label.
    pub truth: u32,
    /// What the first version said.
    pub first: u32,
    /// What the second version said.
    pub second: u32,
}

/// A difference and the interval of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BootstrapInterval {
    /// The second version's macro-F1 less the first one's.
    pub delta: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// The difference of macro-F1 on all rows, with the percentile interval at level `1 - alpha` over `draws` drawn sets of rows; `None`
/// without rows or draws. Macro-F1 is the mean over the labels that rows have; a label that a draw misses counts 0 for both.
pub fn paired_bootstrap(
    rows: &[LabelledPair],
    draws: usize,
    alpha: f64,
    seed: u64,
) -> Option<BootstrapInterval> {
    let labels = rows
        .iter()
        .map(|row| row.truth.max(row.first).max(row.second) as usize + 1)
        .max()?;
    let mut known = vec![false; labels];
    for row in rows {
        known[row.truth as usize] = true;
    }
    let mut counts = Counts::new(labels);
    let delta = counts.difference(rows.iter(), &known);
    let mut random = Rng::with_seed(seed);
    let mut drawn: Vec<f64> = (0..draws)
        .map(|_| {
            let again = (0..rows.len()).map(|_| &rows[random.usize(..rows.len())]);
            counts.difference(again, &known)
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| {
        drawn
            .get(((draws as f64 - 1.0) * share).round() as usize)
            .copied()
    };
    Some(BootstrapInterval {
        delta,
        lower: at(alpha / 2.0)?,
        upper: at(1.0 - alpha / 2.0)?,
    })
}

/// For each label the rows that have it, and for both versions what they said and what of it was right.
struct Counts {
    truths: Vec<u32>,
    said: [Vec<u32>; 2],
    right: [Vec<u32>; 2],
}

impl Counts {
    fn new(labels: usize) -> Self {
        let zeros = || vec![0; labels];
        Self {
            truths: zeros(),
            said: [zeros(), zeros()],
            right: [zeros(), zeros()],
        }
    }

    fn difference<'a>(&mut self, rows: impl Iterator<Item = &'a LabelledPair>, known: &[bool]) -> f64 {
        self.truths.fill(0);
        for counts in self.said.iter_mut().chain(&mut self.right) {
            counts.fill(0);
        }
        for row in rows {
            self.truths[row.truth as usize] += 1;
            for (version, said) in [row.first, row.second].into_iter().enumerate() {
                self.said[version][said as usize] += 1;
                self.right[version][said as usize] += u32::from(said == row.truth);
            }
        }
        self.macro_f1(1, known) - self.macro_f1(0, known)
    }

    fn macro_f1(&self, version: usize, known: &[bool]) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for label in (0..known.len()).filter(|&label| known[label]) {
            let all = self.truths[label] + self.said[version][label];
            let right = 2.0 * f64::from(self.right[version][label]);
            sum += if all == 0 { 0.0 } else { right / f64::from(all) };
            count += 1.0;
        }
        sum / count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u32, right_first: u32, right_second: u32) -> Vec<LabelledPair> {
        let said = |row: u32, right: u32| if row % 10 < right { row % 4 } else { (row + 1) % 4 };
        (0..count)
            .map(|row| LabelledPair {
                truth: row % 4,
                first: said(row, right_first),
                second: said(row, right_second),
            })
            .collect()
    }

    #[test]
    fn a_better_version_is_told_from_one_that_says_the_same() {
        let better = paired_bootstrap(&rows(400, 6, 9), 500, 0.05, 1).unwrap();
        assert!(
            (better.delta - 0.3).abs() < 0.02 && better.lower > 0.2,
            "{better:?}"
        );
        let same = paired_bootstrap(&rows(400, 7, 7), 500, 0.05, 1).unwrap();
        assert_eq!((same.delta, same.lower, same.upper), (0.0, 0.0, 0.0));
        assert_eq!(
            paired_bootstrap(&rows(400, 6, 9), 500, 0.05, 1),
            Some(better),
            "the seed decides"
        );
        assert_eq!(paired_bootstrap(&[], 500, 0.05, 1), None);
        assert_eq!(paired_bootstrap(&rows(4, 6, 9), 0, 0.05, 1), None);
    }

    #[test]
    fn the_interval_covers_the_difference_about_as_often_as_it_says() {
        let mut random = Rng::with_seed(3);
        let mut covered = 0;
        for round in 0..200 {
            let mut said = |truth: u32, rate: f64| if random.f64() < rate { truth } else { 1 - truth };
            let rows: Vec<LabelledPair> = (0..300)
                .map(|row| row % 2)
                .map(|truth| LabelledPair {
                    truth,
                    first: said(truth, 0.8),
                    second: said(truth, 0.85),
                })
                .collect();
            let interval = paired_bootstrap(&rows, 400, 0.05, round).unwrap();
            covered += u32::from((interval.lower..=interval.upper).contains(&0.05));
        }
        assert!(covered >= 180, "{covered} of 200");
    }
}
