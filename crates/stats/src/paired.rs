//! Two versions on the same rows: McNemar's test of the rows where one is right and the other wrong.

use statrs::distribution::{ChiSquared, ContinuousCDF as _};
use statrs::function::factorial::ln_binomial;

/// Rows on which the versions differ, and the p-values of "they are equally often right".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct McNemar {
    /// Exact, by the binomial distribution.
    pub exact: f64,
    /// The mid-p variant: its error rate is the set one where the exact test's is far below (Fagerland, Lydersen, Laake 2013).
    pub mid: f64,
    /// Chi-square statistic with Edwards' correction.
    pub chi_square: f64,
    /// Its p-value.
    pub corrected: f64,
}

impl McNemar {
    /// Of the rows that only the first version has right, and those that only the second has.
    pub fn of(only_first: u64, only_second: u64) -> Self {
        let all = only_first + only_second;
        if all == 0 {
            return Self {
                exact: 1.0,
                mid: 1.0,
                chi_square: 0.0,
                corrected: 1.0,
            };
        }
        let fewer = only_first.min(only_second);
        let probability = |k: u64| (ln_binomial(all, k) - all as f64 * std::f64::consts::LN_2).exp();
        let tail: f64 = (0..=fewer).map(probability).sum();
        let chi_square = (only_first.abs_diff(only_second) as f64 - 1.0).powi(2) / all as f64;
        Self {
            exact: (2.0 * tail).min(1.0),
            mid: (2.0 * tail - probability(fewer)).min(1.0),
            chi_square,
            corrected: ChiSquared::new(1.0).map_or(1.0, |distribution| distribution.sf(chi_square)),
        }
    }
}
