//! Confident learning: which labels are probably wrong, from probabilities of models that did not see the example.
//!
//! Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70 (2021). Counts and
//! pruning ("by noise rate") follow cleanlab 2.9, whose numbers the tests reproduce.

/// Lower than any threshold that a label can have, against rounding.
const TOLERANCE: f64 = 1e-6;

/// Probabilities of all labels for all examples, by models that did not see the example, with the labels that are given.
#[derive(Debug, Clone, Copy)]
pub struct LabelledProbabilities<'a> {
    /// Example after example, `label_count` probabilities each.
    pub probabilities: &'a [f32],
    /// Number of labels.
    pub label_count: usize,
    /// The given label of each example.
    pub labels: &'a [u32],
}

/// A label that is probably wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelError {
    /// Position of the example.
    pub position: usize,
    /// The most probable label.
    pub suggested: u32,
    /// Probability of the given label: the lower, the likelier is the error.
    pub self_confidence: f32,
    /// Probability of the suggested label.
    pub suggested_confidence: f32,
}

impl LabelledProbabilities<'_> {
    fn row(&self, position: usize) -> &[f32] {
        &self.probabilities[position * self.label_count..(position + 1) * self.label_count]
    }

    /// Examples of each label.
    fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.label_count];
        for &label in self.labels {
            counts[label as usize] += 1;
        }
        counts
    }

    /// The mean probability of each label over the examples that have it; above 1 for a label that none has.
    pub fn thresholds(&self) -> Vec<f64> {
        let mut sums = vec![0.0f64; self.label_count];
        for (position, &label) in self.labels.iter().enumerate() {
            sums[label as usize] += f64::from(self.row(position)[label as usize]);
        }
        sums.iter()
            .zip(self.counts())
            .map(|(sum, count)| if count == 0 { f64::MAX } else { sum / count as f64 })
            .collect()
    }

    /// How many examples of each given label (row) are confidently of each label (column): of the labels whose probability
    /// reaches their threshold, the most probable one.
    pub fn confident_joint(&self) -> Vec<Vec<usize>> {
        let thresholds = self.thresholds();
        let mut joint = vec![vec![0; self.label_count]; self.label_count];
        for (position, &given) in self.labels.iter().enumerate() {
            let confident = self
                .row(position)
                .iter()
                .enumerate()
                .filter(|&(label, &p)| f64::from(p) >= thresholds[label] - TOLERANCE)
                .max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
            if let Some((label, _)) = confident {
                joint[given as usize][label] += 1;
            }
        }
        // At least one example of each label is right.
        for (label, row) in joint.iter_mut().enumerate() {
            row[label] = row[label].max(1);
        }
        joint
    }

    /// The confident joint brought to the counts of the given labels, so that it says how many examples there are of each
    /// given and each right label.
    pub fn calibrated_joint(&self) -> Vec<Vec<usize>> {
        let (joint, counts) = (self.confident_joint(), self.counts());
        let total: usize = counts.iter().sum();
        let scaled: Vec<Vec<f64>> = joint
            .iter()
            .zip(&counts)
            .map(|(row, &count)| {
                let sum = row.iter().sum::<usize>().max(1) as f64;
                row.iter().map(|&cell| cell as f64 / sum * count as f64).collect()
            })
            .collect();
        let sum: f64 = scaled.iter().flatten().sum();
        let factor = if sum > 0.0 { total as f64 / sum } else { 0.0 };
        scaled
            .into_iter()
            .map(|row| rounded(&row.iter().map(|cell| cell * factor).collect::<Vec<_>>()))
            .collect()
    }

    /// The examples whose labels are probably wrong, the likeliest errors first.
    pub fn label_errors(&self) -> Vec<LabelError> {
        let pruned = self.prune_counts();
        let mut by_given: Vec<Vec<usize>> = vec![Vec::new(); self.label_count];
        for (position, &given) in self.labels.iter().enumerate() {
            by_given[given as usize].push(position);
        }
        let mut is_suspect = vec![false; self.labels.len()];
        for (given, members) in by_given.iter().enumerate() {
            for (right, counts) in pruned.iter().enumerate() {
                let count = counts[given].min(members.len());
                if right == given || count == 0 || members.len() < 2 {
                    continue;
                }
                let margin = |position: usize| self.row(position)[right] - self.row(position)[given];
                let mut worst: Vec<usize> = members.clone();
                worst.sort_by(|&a, &b| margin(b).total_cmp(&margin(a)));
                for &position in &worst[..count] {
                    is_suspect[position] = true;
                }
            }
        }
        let mut errors: Vec<LabelError> = (0..self.labels.len())
            .filter(|&position| is_suspect[position])
            .filter_map(|position| self.error_at(position))
            .collect();
        errors.sort_by(|a, b| {
            let order = a.self_confidence.total_cmp(&b.self_confidence);
            order.then(a.position.cmp(&b.position))
        });
        errors
    }

    /// The error at a position, unless no label is more probable than the given one.
    fn error_at(&self, position: usize) -> Option<LabelError> {
        let (row, given) = (self.row(position), self.labels[position]);
        let suggested = crate::metrics::argmax(row);
        (row[suggested] > row[given as usize]).then_some(LabelError {
            position,
            suggested: suggested as u32,
            self_confidence: row[given as usize],
            suggested_confidence: row[suggested],
        })
    }

    /// How many examples to take out for each right label (row) and given label (column).
    fn prune_counts(&self) -> Vec<Vec<usize>> {
        let joint = self.calibrated_joint();
        let count = self.label_count;
        let mut counts: Vec<Vec<f64>> = (0..count)
            .map(|right| (0..count).map(|given| joint[given][right] as f64).collect())
            .collect();
        // One example of each label stays; what the diagonal gains, the rest of its column loses.
        for label in 0..count {
            let missing = (1.0 - counts[label][label]).max(0.0);
            if missing > 0.0 {
                let used = counts.iter().filter(|row| row[label] > 0.0).count();
                let share = missing / (used.max(2) - 1) as f64;
                for row in &mut counts {
                    row[label] = (row[label] - share).max(0.0);
                }
                counts[label][label] = 1.0;
            }
        }
        counts.iter().map(|row| rounded(row)).collect()
    }
}

/// Whole numbers near these with the same rounded sum: where rounding each changes the sum, those change that were rounded
/// furthest the other way.
fn rounded(values: &[f64]) -> Vec<usize> {
    let mut whole: Vec<f64> = values.iter().map(|value| value.round_ties_even()).collect();
    let wanted = values.iter().sum::<f64>().round_ties_even();
    let mut missing = wanted - whole.iter().sum::<f64>();
    while missing.abs() >= 1.0 {
        let step = missing.signum();
        let gain = |position: usize| (values[position] - whole[position]) * step;
        let furthest = (0..values.len())
            .filter(|&position| whole[position] + step >= 0.0)
            .max_by(|&a, &b| gain(a).total_cmp(&gain(b)).then(b.cmp(&a)));
        let Some(furthest) = furthest else { break };
        whole[furthest] += step;
        missing -= step;
    }
    whole.into_iter().map(|value| value as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_all_others_contradict_is_found_and_sound_ones_are_not() {
        let mut probabilities = Vec::new();
        let mut labels = Vec::new();
        for position in 0..60u32 {
            let right = position % 3;
            let mut row = [0.1f32; 3];
            row[right as usize] = 0.8;
            probabilities.extend(row);
            labels.push(if position == 17 { (right + 1) % 3 } else { right });
        }
        let set = LabelledProbabilities {
            probabilities: &probabilities,
            label_count: 3,
            labels: &labels,
        };
        let errors = set.label_errors();
        assert_eq!(errors.len(), 1);
        assert_eq!((errors[0].position, errors[0].suggested), (17, 17 % 3));
        assert!((errors[0].self_confidence - 0.1).abs() < 1e-6);
    }

    #[test]
    fn rounding_keeps_the_sum() {
        assert_eq!(rounded(&[0.5, 0.5, 1.0]), [1, 0, 1]);
        assert_eq!(rounded(&[1.4, 1.4, 1.2]), [2, 1, 1]);
        assert_eq!(rounded(&[0.0, 3.0]), [0, 3]);
    }
}
