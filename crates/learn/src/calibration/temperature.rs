//! Temperature scaling: one slope for all margins, or one below and one above a knee.
//!
//! Both leave the order of the labels as it is, and both are fitted by the smallest mean log-loss of the softmax on
//! out-of-fold margins. The second has one more parameter because a linear SVM's margins are squeezed together
//! below -1, where one slope says too little, and above it too much (docs/adr/0005-piecewise-temperature.md).

use rayon::prelude::*;

/// Out-of-fold margins with what they should have said.
#[derive(Debug, Clone, Copy)]
pub struct CalibrationSet<'a> {
    /// `label_count` margins an example.
    pub margins: &'a [f32],
    /// Number of labels.
    pub label_count: usize,
    /// True label number of every example.
    pub labels: &'a [u32],
    /// Weight of every example.
    pub weights: &'a [f32],
}

/// Slopes of margins, continuous at the knee: `below * min(m - knee, 0) + above * max(m - knee, 0)`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Slopes {
    /// Slope under the knee, above 0.
    pub below: f64,
    /// Slope over the knee, above 0.
    pub above: f64,
    /// The margin where the slope changes.
    pub knee: f64,
}

/// Slopes stay between these, also when the labels can be told apart perfectly.
const SLOPES: (f64, f64) = (1e-3, 1e3);
/// Half-way between the -1 that a linear SVM asks of wrong labels and its threshold; fitted knees were no better.
const KNEE: f64 = -0.5;
/// Examples that one thread sums up at a time.
const CHUNK: usize = 256;

/// Replaces `margins` by `softmax(beta * margins)`.
pub fn softmax(margins: &mut [f32], beta: f32) {
    let largest = margins.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let mut sum = 0.0;
    for margin in margins.iter_mut() {
        *margin = ((*margin - largest) * beta).exp();
        sum += *margin;
    }
    for margin in margins {
        *margin /= sum;
    }
}

impl Slopes {
    /// Replaces margins by the softmax of the scaled margins.
    pub fn apply(&self, margins: &mut [f32]) {
        let (below, above, knee) = (self.below as f32, self.above as f32, self.knee as f32);
        for margin in margins.iter_mut() {
            let over = *margin - knee;
            *margin = below * over.min(0.0) + above * over.max(0.0);
        }
        softmax(margins, 1.0);
    }

    /// Fits the slopes by Newton steps on the convex loss, each shortened until it helps.
    pub fn fit(set: &CalibrationSet<'_>) -> Self {
        let mut slopes = Self {
            below: 1.0,
            above: 1.0,
            knee: KNEE,
        };
        let mut sums = slopes.sums(set);
        for _step in 0..100 {
            let Some((better, better_sums)) = slopes.shortened_step(set, &sums) else {
                break;
            };
            let gain = sums.loss - better_sums.loss;
            (slopes, sums) = (better, better_sums);
            if gain < 1e-9 * sums.loss {
                break;
            }
        }
        slopes
    }

    /// A Newton step, shortened until the loss falls; nothing when it no longer does.
    fn shortened_step(&self, set: &CalibrationSet<'_>, sums: &Sums) -> Option<(Self, Sums)> {
        let (below, above) = sums.newton_step(self.below <= SLOPES.0, self.above <= SLOPES.0);
        [1.0, 0.25, 0.06, 0.015, 0.004].iter().find_map(|length| {
            let candidate = Self {
                below: (self.below + length * below).clamp(SLOPES.0, SLOPES.1),
                above: (self.above + length * above).clamp(SLOPES.0, SLOPES.1),
                ..*self
            };
            let candidate_sums = candidate.sums(set);
            (candidate_sums.loss < sums.loss).then_some((candidate, candidate_sums))
        })
    }

    fn sums(&self, set: &CalibrationSet<'_>) -> Sums {
        set.summed(|row, label, weight| self.row_sums(row, label, weight))
    }

    fn row_sums(&self, row: &[f32], label: usize, weight: f64) -> Sums {
        let parts = |margin: f32| {
            let over = f64::from(margin) - self.knee;
            (over.min(0.0), over.max(0.0))
        };
        let largest = parts(row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b)));
        let (mut sum, mut first, mut second) = (0.0, (0.0, 0.0), (0.0, 0.0, 0.0));
        for &margin in row {
            let (below, above) = parts(margin);
            let (below, above) = (below - largest.0, above - largest.1);
            let share = (self.below * below + self.above * above).exp();
            sum += share;
            first.0 += share * below;
            first.1 += share * above;
            second.0 += share * below * below;
            second.1 += share * below * above;
            second.2 += share * above * above;
        }
        let mean = (first.0 / sum, first.1 / sum);
        let own = parts(row[label]);
        let own = (own.0 - largest.0, own.1 - largest.1);
        Sums {
            weight,
            loss: weight * (sum.ln() - self.below * own.0 - self.above * own.1),
            gradient: (weight * (mean.0 - own.0), weight * (mean.1 - own.1)),
            hessian: (
                weight * (second.0 / sum - mean.0 * mean.0),
                weight * (second.1 / sum - mean.0 * mean.1),
                weight * (second.2 / sum - mean.1 * mean.1),
            ),
        }
    }
}

/// Fits `beta`, one over the temperature, of a single slope (Guo et al., ICML 2017).
///
/// Newton steps on the convex loss, each kept inside a bracket that shrinks.
pub fn fit_temperature(set: &CalibrationSet<'_>) -> f64 {
    let (mut low, mut high) = SLOPES;
    let mut beta = 1.0f64;
    for _step in 0..100 {
        // With equal slopes it does not matter where the knee is.
        let one_slope = Slopes {
            below: beta,
            above: beta,
            knee: 0.0,
        };
        let sums = one_slope.sums(set);
        let slope = sums.gradient.0 + sums.gradient.1;
        let curvature = (sums.hessian.0 + 2.0 * sums.hessian.1 + sums.hessian.2).max(1e-300);
        if slope > 0.0 {
            high = beta;
        } else {
            low = beta;
        }
        let newton = beta - slope / curvature;
        let next = if newton > low && newton < high {
            newton
        } else {
            (low * high).sqrt()
        };
        if (next - beta).abs() < 1e-9 * beta {
            return next;
        }
        beta = next;
    }
    beta
}

/// Weighted sums over examples.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    weight: f64,
    loss: f64,
    gradient: (f64, f64),
    hessian: (f64, f64, f64),
}

impl Sums {
    fn plus(self, other: Self) -> Self {
        Self {
            weight: self.weight + other.weight,
            loss: self.loss + other.loss,
            gradient: (
                self.gradient.0 + other.gradient.0,
                self.gradient.1 + other.gradient.1,
            ),
            hessian: (
                self.hessian.0 + other.hessian.0,
                self.hessian.1 + other.hessian.1,
                self.hessian.2 + other.hessian.2,
            ),
        }
    }

    /// Minus the inverse Hessian times the gradient. A slope at its lower bound that would go lower stays there, and the
    /// other moves alone (projected Newton, Bertsekas 1982); the upper bound is only reached by data without an optimum.
    fn newton_step(&self, below_at_bound: bool, above_at_bound: bool) -> (f64, f64) {
        let ridge = 1e-9 * self.weight;
        let (aa, ab, bb) = (self.hessian.0 + ridge, self.hessian.1, self.hessian.2 + ridge);
        let (a, b) = self.gradient;
        if below_at_bound && a > 0.0 {
            return (0.0, -b / bb);
        }
        if above_at_bound && b > 0.0 {
            return (-a / aa, 0.0);
        }
        let determinant = aa * bb - ab * ab;
        ((ab * b - bb * a) / determinant, (ab * a - aa * b) / determinant)
    }
}

impl CalibrationSet<'_> {
    /// Sums over all examples, collected in order: the same data gives the same sum whatever the number of threads.
    fn summed(&self, of_row: impl Fn(&[f32], usize, f64) -> Sums + Sync) -> Sums {
        let parts: Vec<Sums> = self
            .margins
            .par_chunks(CHUNK * self.label_count)
            .zip(self.labels.par_chunks(CHUNK))
            .zip(self.weights.par_chunks(CHUNK))
            .map(|((margins, labels), weights)| {
                let rows = margins.chunks_exact(self.label_count).zip(labels).zip(weights);
                rows.map(|((row, &label), &weight)| of_row(row, label as usize, f64::from(weight)))
                    .fold(Sums::default(), Sums::plus)
            })
            .collect();
        parts.into_iter().fold(Sums::default(), Sums::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_fit_with_a_knee_is_never_worse_and_keeps_the_order(
            margins in proptest::collection::vec(-2.0f32..1.0, 120),
            labels in proptest::collection::vec(0u32..3, 40),
        ) {
            let weights = vec![1.0; labels.len()];
            let set = CalibrationSet { margins: &margins, label_count: 3, labels: &labels, weights: &weights };
            let beta = fit_temperature(&set);
            let single = Slopes { below: beta, above: beta, knee: 0.0 };
            let fitted = Slopes::fit(&set);
            prop_assert!(fitted.sums(&set).loss <= single.sums(&set).loss * (1.0 + 1e-6));
            for row in margins.chunks_exact(3) {
                let mut probabilities = row.to_vec();
                fitted.apply(&mut probabilities);
                prop_assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
                prop_assert!((row[0] <= row[1]) == (probabilities[0] <= probabilities[1]) || (probabilities[0] - probabilities[1]).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn weights_count_as_repeated_examples() {
        let margins = [0.4, -0.9, -1.1, -0.2, 0.1, -0.8, -0.7, 0.3, -1.0];
        let labels = [0, 0, 1];
        let fit = |margins: &[f32], labels: &[u32], weights: &[f32]| {
            fit_temperature(&CalibrationSet {
                margins,
                label_count: 3,
                labels,
                weights,
            })
        };
        let weighted = fit(&margins, &labels, &[1.0, 2.0, 1.0]);
        let mut repeated = margins.to_vec();
        repeated.extend_from_slice(&margins[3..6]);
        assert!((weighted - fit(&repeated, &[0, 0, 1, 0], &[1.0; 4])).abs() < 1e-6);
    }
}
