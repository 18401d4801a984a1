//! Traffic that follows the better arm. Its data must not be judged by the tests for a fixed split.

use statrs::function::beta::beta_reg;

use crate::Arm;

/// Cells of the integral over rates.
const CELLS: usize = 2_000;
/// Standard deviations around the means that are integrated over.
const REACH: f64 = 8.0;

/// The share of each arm by Thompson sampling: the probability that its rate is the greatest, under uniform priors, with a floor
/// that every arm keeps. Arms are successes and trials; the floor is at most one over their number.
pub fn thompson_shares(arms: &[(u64, u64)], floor: f64) -> Vec<f64> {
    let posteriors: Vec<(f64, f64)> = arms
        .iter()
        .map(|&(successes, trials)| {
            let failures = trials.saturating_sub(successes);
            (1.0 + successes as f64, 1.0 + failures as f64)
        })
        .collect();
    let (low, high) = range(&posteriors);
    let cell = (high - low) / CELLS as f64;
    let mut best = vec![0.0; arms.len()];
    let below = |x: f64| posteriors.iter().map(move |&(a, b)| beta_cdf(a, b, x));
    let mut before: Vec<f64> = below(low).collect();
    for number in 1..=CELLS {
        let after: Vec<f64> = below(low + cell * number as f64).collect();
        for (arm, best) in best.iter_mut().enumerate() {
            let others = (0..arms.len()).filter(|&other| other != arm);
            let all_below: f64 = others.map(|other| before[other].midpoint(after[other])).product();
            *best += (after[arm] - before[arm]) * all_below;
        }
        before = after;
    }
    let sum: f64 = best.iter().sum();
    let count = arms.len() as f64;
    let floor = floor.clamp(0.0, 1.0 / count.max(1.0));
    best.iter()
        .map(|best| floor + (1.0 - floor * count) * best / sum)
        .collect()
}

/// Where any of the rates can be.
fn range(posteriors: &[(f64, f64)]) -> (f64, f64) {
    let ends = posteriors.iter().map(|(a, b)| {
        let n = a + b;
        let mean = a / n;
        let reach = REACH * (mean * (1.0 - mean) / (n + 1.0)).sqrt();
        (mean - reach, mean + reach)
    });
    ends.fold((1.0, 0.0), |(low, high), (lower, upper)| {
        (low.min(lower.max(0.0)), high.max(upper.min(1.0)))
    })
}

/// The regularised incomplete beta function, 0 and 1 at and beyond its ends.
fn beta_cdf(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if x >= 1.0 {
        1.0
    } else {
        beta_reg(a, b, x)
    }
}

/// What track-and-stop says of arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BestArm {
    /// The arm with the greatest mean.
    pub leader: usize,
    /// The least generalised likelihood ratio of the leader against another arm.
    pub likelihood_ratio: f64,
    /// What it has to exceed.
    pub threshold: f64,
}

impl BestArm {
    /// Whether the leader is the best arm, wrong with a probability of at most `delta`.
    pub fn is_found(&self) -> bool {
        self.likelihood_ratio > self.threshold
    }
}

/// Whether the arm with the greatest mean is the best, or within `epsilon` of it, with the stopping rule of Garivier and Kaufmann
/// (COLT 2016); `None` with fewer than two arms or an empty one.
pub fn best_arm(arms: &[Arm], epsilon: f64, delta: f64) -> Option<BestArm> {
    if arms.len() < 2 || arms.iter().any(|arm| arm.count < 1.0) {
        return None;
    }
    let leader = (0..arms.len()).max_by(|&a, &b| arms[a].mean.total_cmp(&arms[b].mean).then(b.cmp(&a)))?;
    let others = (0..arms.len()).filter(|&other| other != leader);
    let ratios = others.map(|other| {
        let lead = arms[leader].mean - arms[other].mean + epsilon;
        let variance = arms[leader].variance_of_mean() + arms[other].variance_of_mean();
        lead * lead / (2.0 * variance)
    });
    let pulls: f64 = arms.iter().map(|arm| arm.count).sum();
    Some(BestArm {
        leader,
        likelihood_ratio: ratios.fold(f64::INFINITY, f64::min),
        threshold: ((1.0 + pulls.ln()) / delta).ln(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_the_better_arm_and_keep_the_floor() {
        let equal = thompson_shares(&[(10, 20), (10, 20)], 0.05);
        assert!((equal[0] - 0.5).abs() < 1e-9, "{equal:?}");
        let told = thompson_shares(&[(100, 1_000), (130, 1_000)], 0.0);
        // The closed form of the same posteriors.
        let exact = crate::compare_beta((100, 1_000), (130, 1_000)).second_is_better;
        assert!((told[1] - exact).abs() < 1e-4, "{told:?} {exact}");
        let sure = thompson_shares(&[(0, 5_000), (1_000, 5_000), (4_000_000, 5_000_000)], 0.05);
        assert!(
            (sure[0] - 0.05).abs() < 1e-9 && (sure[2] - 0.9).abs() < 1e-9,
            "{sure:?}"
        );
        assert_eq!(thompson_shares(&[], 0.1), Vec::<f64>::new());
    }
}
