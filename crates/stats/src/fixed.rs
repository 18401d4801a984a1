//! Tests for one look at the end, for outcomes that are all there: Welch's t, the pooled z test of two proportions with
//! Newcombe's interval, Fisher's exact test.

use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};
use statrs::function::factorial::ln_binomial;

use crate::Arm;
use crate::root::find_crossing;

/// The comparison of two means with unequal variances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Welch {
    /// The statistic, positive where the second mean is greater.
    pub t: f64,
    /// Degrees of freedom by Welch and Satterthwaite.
    pub degrees: f64,
    /// Two-sided.
    pub p: f64,
    /// Interval of the difference of means.
    pub interval: (f64, f64),
}

/// Welch's t-test; `None` where an arm has fewer than two outcomes or nothing varies.
pub fn welch(first: &Arm, second: &Arm, alpha: f64) -> Option<Welch> {
    let [a, b] = [first, second].map(Arm::variance_of_mean);
    let variance = a + b;
    let is_enough = first.count >= 2.0 && second.count >= 2.0 && variance > 0.0;
    if !is_enough {
        return None;
    }
    let degrees = variance * variance / (a * a / (first.count - 1.0) + b * b / (second.count - 1.0));
    let distribution = StudentsT::new(0.0, 1.0, degrees).ok()?;
    let (delta, error) = (second.mean - first.mean, variance.sqrt());
    let t = delta / error;
    let quantile = find_crossing(0.0, 1e4, 1.0 - alpha / 2.0, |t| distribution.cdf(t));
    Some(Welch {
        t,
        degrees,
        p: 2.0 * distribution.sf(t.abs()),
        interval: (delta - quantile * error, delta + quantile * error),
    })
}

/// The comparison of two proportions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoProportions {
    /// The pooled statistic, positive where the second proportion is greater.
    pub z: f64,
    /// Two-sided.
    pub p: f64,
    /// Newcombe's hybrid score interval of the difference.
    pub interval: (f64, f64),
    /// Fisher's exact test, two-sided.
    pub fisher_p: f64,
}

/// Successes and trials of two arms compared; `None` where an arm is empty or nothing varies.
pub fn two_proportions(first: (u64, u64), second: (u64, u64), alpha: f64) -> Option<TwoProportions> {
    let [(a, trials_a), (b, trials_b)] = [first, second];
    let is_valid = trials_a > 0 && trials_b > 0 && a <= trials_a && b <= trials_b;
    let pooled = (a + b) as f64 / (trials_a + trials_b) as f64;
    if !is_valid || pooled == 0.0 || pooled == 1.0 {
        return None;
    }
    let normal = Normal::standard();
    let [p, q] = [(a, trials_a), (b, trials_b)].map(|(successes, trials)| successes as f64 / trials as f64);
    let error = (pooled * (1.0 - pooled) * (1.0 / trials_a as f64 + 1.0 / trials_b as f64)).sqrt();
    let z = (q - p) / error;
    let quantile = normal.inverse_cdf(1.0 - alpha / 2.0);
    let (low_a, high_a) = wilson(p, trials_a, quantile);
    let (low_b, high_b) = wilson(q, trials_b, quantile);
    Some(TwoProportions {
        z,
        p: 2.0 * normal.sf(z.abs()),
        interval: (
            q - p - (q - low_b).hypot(high_a - p),
            q - p + (high_b - q).hypot(p - low_a),
        ),
        fisher_p: fisher(first, second),
    })
}

/// Wilson's score interval of a proportion.
fn wilson(p: f64, trials: u64, quantile: f64) -> (f64, f64) {
    let (n, z2) = (trials as f64, quantile * quantile);
    let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = quantile * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    (middle - half, middle + half)
}

/// The probability, given the margins, of all tables that are no more probable than this one.
fn fisher((a, trials_a): (u64, u64), (b, trials_b): (u64, u64)) -> f64 {
    let (successes, trials) = (a + b, trials_a + trials_b);
    let log_all = ln_binomial(trials, successes);
    let log_of = |a: u64| ln_binomial(trials_a, a) + ln_binomial(trials_b, successes - a) - log_all;
    // Equal ones differ in their last digits.
    let limit = log_of(a) + 1e-7;
    let tables = successes.saturating_sub(trials_b)..=successes.min(trials_a);
    tables
        .map(log_of)
        .filter(|&log| log <= limit)
        .map(f64::exp)
        .sum::<f64>()
        .min(1.0)
}
