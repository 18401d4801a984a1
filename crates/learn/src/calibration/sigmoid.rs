//! Sigmoid calibration (Platt): one logistic curve per label.

/// `p = 1 / (1 + exp(a * margin + b))`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sigmoid {
    /// Slope; negative when larger margins mean more likely.
    pub a: f64,
    /// Offset.
    pub b: f64,
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
