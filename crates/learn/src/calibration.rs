//! Margins to probabilities: temperature, sigmoid (Platt) and isotonic calibration, fitted on out-of-fold margins.

use rayon::prelude::*;

/// A fitted map from the margins of all labels to probabilities that add up to one.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Calibration {
    /// Softmax of `beta * margin`; `beta` is one over the temperature.
    Temperature {
        /// One over the temperature.
        beta: f64,
    },
    /// One sigmoid per label, then divided by their sum; for two labels a single one for the second label.
    Sigmoid {
        /// The sigmoids, in order of the labels.
        labels: Vec<Sigmoid>,
    },
    /// One step function per label, then divided by their sum; for two labels a single one for the second label.
    Isotonic {
        /// The step functions, in order of the labels.
        labels: Vec<Isotonic>,
    },
}

/// `p = 1 / (1 + exp(a * margin + b))`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sigmoid {
    /// Slope; negative when larger margins mean more likely.
    pub a: f64,
    /// Offset.
    pub b: f64,
}

/// A rising function given by points, linear in between and constant outside.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Isotonic {
    /// Margins, rising.
    pub x: Vec<f64>,
    /// Probabilities, never falling.
    pub y: Vec<f64>,
}

impl Calibration {
    /// Replaces margins of all labels by probabilities that add up to one.
    pub fn apply(&self, margins: &mut [f32]) {
        match self {
            Self::Temperature { beta } => softmax(margins, *beta as f32),
            Self::Sigmoid { labels } => apply_per_label(margins, labels, Sigmoid::probability),
            Self::Isotonic { labels } => apply_per_label(margins, labels, Isotonic::probability),
        }
    }
}

fn apply_per_label<T>(margins: &mut [f32], labels: &[T], probability: impl Fn(&T, f64) -> f64) {
    if let ([only], [first, second]) = (labels, &mut *margins) {
        *second = probability(only, f64::from(*second)) as f32;
        *first = 1.0 - *second;
        return;
    }
    let mut sum = 0.0;
    for (margin, label) in margins.iter_mut().zip(labels) {
        *margin = probability(label, f64::from(*margin)) as f32;
        sum += *margin;
    }
    let uniform = 1.0 / margins.len() as f32;
    for margin in margins {
        *margin = if sum > 0.0 { *margin / sum } else { uniform };
    }
}

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

/// Fits `beta` of the temperature by the smallest mean log-loss (Guo et al., ICML 2017).
///
/// `margins` holds `label_count` values per example; `labels` the true label numbers. Newton steps on the convex
/// loss, each kept inside a bracket that shrinks.
pub fn fit_temperature(margins: &[f32], label_count: usize, labels: &[u32]) -> f64 {
    let (mut low, mut high) = (1e-3f64, 1e3f64);
    let mut beta = 1.0f64;
    for _step in 0..100 {
        let (slope, curvature) = temperature_derivatives(margins, label_count, labels, beta);
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

/// Examples whose derivatives one thread sums up at a time.
const CHUNK: usize = 1_024;

/// First and second derivative of the mean log-loss with respect to `beta`.
fn temperature_derivatives(margins: &[f32], label_count: usize, labels: &[u32], beta: f64) -> (f64, f64) {
    let chunks = margins
        .par_chunks(CHUNK * label_count)
        .zip(labels.par_chunks(CHUNK));
    // Collected and summed in order: the same data gives the same sum whatever the number of threads.
    let sums: Vec<(f64, f64)> = chunks
        .map(|(margins, labels)| {
            let rows = margins.chunks_exact(label_count).zip(labels);
            rows.map(|(row, &label)| row_derivatives(row, label as usize, beta))
                .fold((0.0, 0.0), |sum, row| (sum.0 + row.0, sum.1 + row.1))
        })
        .collect();
    let (slope, curvature) = sums
        .iter()
        .fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    let count = labels.len().max(1) as f64;
    (slope / count, (curvature / count).max(1e-300))
}

fn row_derivatives(row: &[f32], label: usize, beta: f64) -> (f64, f64) {
    let largest = row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
    for &margin in row {
        let centred = f64::from(margin - largest);
        let weight = (beta * centred).exp();
        sum += weight;
        first += weight * centred;
        second += weight * centred * centred;
    }
    let mean = first / sum;
    (mean - f64::from(row[label] - largest), second / sum - mean * mean)
}

impl Sigmoid {
    /// Probability for one margin.
    pub fn probability(&self, margin: f64) -> f64 {
        1.0 / (1.0 + (self.a * margin + self.b).exp())
    }

    /// Fits slope and offset with Platt's smoothed targets by Newton's method with backtracking (Lin, Lin, Weng,
    /// "A note on Platt's probabilistic outputs for support vector machines", 2007). Weights count examples, in the
    /// targets too.
    pub fn fit(margins: &[f64], positive: &[bool], weights: &[f64]) -> Self {
        let weight_of = |wanted: bool| -> f64 {
            positive
                .iter()
                .zip(weights)
                .filter(|(is, _)| **is == wanted)
                .map(|(_, weight)| weight)
                .sum()
        };
        let (positives, negatives) = (weight_of(true), weight_of(false));
        let high = (positives + 1.0) / (positives + 2.0);
        let low = 1.0 / (negatives + 2.0);
        let targets: Vec<f64> = positive.iter().map(|&is| if is { high } else { low }).collect();
        let mut sigmoid = Self {
            a: 0.0,
            b: ((negatives + 1.0) / (positives + 1.0)).ln(),
        };
        let mut loss = sigmoid.loss(margins, &targets, weights);
        for _step in 0..200 {
            let (gradient, hessian) = sigmoid.derivatives(margins, &targets, weights);
            if gradient.0.abs() < 1e-10 && gradient.1.abs() < 1e-10 {
                break;
            }
            let determinant = hessian.0 * hessian.2 - hessian.1 * hessian.1;
            let step_a = -(hessian.2 * gradient.0 - hessian.1 * gradient.1) / determinant;
            let step_b = -(-hessian.1 * gradient.0 + hessian.0 * gradient.1) / determinant;
            let descent = gradient.0 * step_a + gradient.1 * step_b;
            let mut length = 1.0;
            let mut moved = false;
            while length > 1e-10 && !moved {
                let candidate = Self {
                    a: sigmoid.a + length * step_a,
                    b: sigmoid.b + length * step_b,
                };
                let candidate_loss = candidate.loss(margins, &targets, weights);
                if candidate_loss < loss + 1e-4 * length * descent {
                    (sigmoid, loss, moved) = (candidate, candidate_loss, true);
                }
                length /= 2.0;
            }
            if !moved {
                break;
            }
        }
        sigmoid
    }

    fn loss(&self, margins: &[f64], targets: &[f64], weights: &[f64]) -> f64 {
        let mut loss = 0.0;
        for ((&margin, &target), &weight) in margins.iter().zip(targets).zip(weights) {
            let score = self.a * margin + self.b;
            // ln(1 + e^score) - (1 - t) score, written so that neither sign overflows.
            loss += weight * (score.max(0.0) + (-score.abs()).exp().ln_1p() - (1.0 - target) * score);
        }
        loss
    }

    /// Gradient (a, b) and Hessian (aa, ab, bb) of the loss.
    fn derivatives(
        &self,
        margins: &[f64],
        targets: &[f64],
        weights: &[f64],
    ) -> ((f64, f64), (f64, f64, f64)) {
        let mut gradient = (0.0, 0.0);
        let mut hessian = (1e-12, 0.0, 1e-12);
        for ((&margin, &target), &weight) in margins.iter().zip(targets).zip(weights) {
            let probability = self.probability(margin);
            let error = weight * (target - probability);
            let curvature = weight * probability * (1.0 - probability);
            gradient.0 += margin * error;
            gradient.1 += error;
            hessian.0 += margin * margin * curvature;
            hessian.1 += margin * curvature;
            hessian.2 += curvature;
        }
        (gradient, hessian)
    }
}

impl Isotonic {
    /// Probability for one margin.
    pub fn probability(&self, margin: f64) -> f64 {
        let (Some(&first), Some(&last)) = (self.y.first(), self.y.last()) else {
            return 0.0;
        };
        let above = self.x.partition_point(|&x| x < margin);
        if above == 0 {
            return first;
        }
        if above == self.x.len() {
            return last;
        }
        let (x0, x1) = (self.x[above - 1], self.x[above]);
        let share = if x1 > x0 { (margin - x0) / (x1 - x0) } else { 1.0 };
        self.y[above - 1] + share * (self.y[above] - self.y[above - 1])
    }

    /// Fits by pool-adjacent-violators (Ayer et al., 1955); equal margins are averaged first, and points inside a
    /// constant stretch are left out.
    pub fn fit(margins: &[f64], positive: &[bool], weights: &[f64]) -> Self {
        let mut points: Vec<(f64, f64, f64)> = margins
            .iter()
            .zip(positive)
            .zip(weights)
            .map(|((&margin, &is), &weight)| (margin, f64::from(u8::from(is)), weight))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Each pool: first margin, last margin, mean, weight.
        let mut pools: Vec<(f64, f64, f64, f64)> = Vec::new();
        for group in points.chunk_by(|a, b| (a.0 - b.0).abs() < 1e-12) {
            let weight: f64 = group.iter().map(|point| point.2).sum();
            let mean = group.iter().map(|point| point.1 * point.2).sum::<f64>() / weight;
            pools.push((group[0].0, group[0].0, mean, weight));
            while let [.., before, last] = pools[..] {
                if before.2 < last.2 {
                    break;
                }
                let weight = before.3 + last.3;
                let mean = (before.2 * before.3 + last.2 * last.3) / weight;
                pools.pop();
                pools.pop();
                pools.push((before.0, last.1, mean, weight));
            }
        }
        let mut fitted = Self::default();
        for (first, last, mean, _) in pools {
            fitted.x.push(first);
            fitted.y.push(mean);
            if last > first {
                fitted.x.push(last);
                fitted.y.push(mean);
            }
        }
        fitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn probabilities_add_up_to_one(mut margins in proptest::collection::vec(-5.0f32..5.0, 3..20), beta in 0.1f64..20.0) {
            Calibration::Temperature { beta }.apply(&mut margins);
            prop_assert!((margins.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }

        #[test]
        fn isotonic_never_falls(values in proptest::collection::vec((-3.0f64..3.0, any::<bool>()), 2..60)) {
            let (margins, positive): (Vec<f64>, Vec<bool>) = values.into_iter().unzip();
            let fitted = Isotonic::fit(&margins, &positive, &vec![1.0; margins.len()]);
            let steps: Vec<f64> = (-30..30).map(|step| fitted.probability(f64::from(step) / 10.0)).collect();
            prop_assert!(steps.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
        }
    }
}
