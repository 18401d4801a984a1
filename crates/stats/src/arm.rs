//! The outcomes of one arm of a comparison.

/// How many outcomes an arm has, their mean and their variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arm {
    /// Outcomes.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// Their variance: `p (1 - p)` of successes, with `n - 1` of values.
    pub variance: f64,
}

impl Arm {
    /// Outcomes that are a success or not.
    pub fn of_counts(successes: u64, trials: u64) -> Self {
        let mean = if trials == 0 {
            0.0
        } else {
            successes as f64 / trials as f64
        };
        Self {
            count: trials as f64,
            mean,
            variance: mean * (1.0 - mean),
        }
    }

    /// Outcomes that are values, by their count, their sum and the sum of their squares.
    pub fn of_sums(count: u64, sum: f64, sum_of_squares: f64) -> Self {
        let n = count as f64;
        let mean = if count == 0 { 0.0 } else { sum / n };
        let variance = if count < 2 {
            0.0
        } else {
            ((sum_of_squares - sum * sum / n) / (n - 1.0)).max(0.0)
        };
        Self {
            count: n,
            mean,
            variance,
        }
    }

    /// Variance of the mean.
    pub(crate) fn variance_of_mean(&self) -> f64 {
        self.variance / self.count
    }
}
