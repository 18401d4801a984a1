//! Whether arms were filled in the ratio that was set: where they were not, something decides who is counted, and no comparison
//! means anything.

use statrs::distribution::{ChiSquared, ContinuousCDF as _};
use statrs::function::gamma::ln_gamma;

use crate::sequential::anytime_p;

/// Weight of the prior that the sequential test puts on the set ratio.
const PRIOR_WEIGHT: f64 = 100.0;

/// The sequential test of counts against shares: the Dirichlet-multinomial e-process of Lindon and Malek (NeurIPS 2022), valid
/// however often one looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio {
    /// Logarithm of the e-value against the set ratio.
    pub log_e: f64,
}

impl SampleRatio {
    /// Of the units of each arm and the shares that were set, which need not add up to 1. `None` where they do not fit together:
    /// other lengths, a share that is not positive.
    pub fn of(counts: &[u64], shares: &[f64]) -> Option<Self> {
        let shares = normalised(counts, shares)?;
        let (mut log_e, mut total) = (0.0, 0.0);
        for (&count, share) in counts.iter().zip(&shares) {
            let (count, prior) = (count as f64, PRIOR_WEIGHT * share);
            log_e += ln_gamma(prior + count) - ln_gamma(prior) - count * share.ln();
            total += count;
        }
        log_e -= ln_gamma(PRIOR_WEIGHT + total) - ln_gamma(PRIOR_WEIGHT);
        Some(Self { log_e })
    }

    /// The p-value, valid at any look.
    pub fn p(&self) -> f64 {
        anytime_p(self.log_e)
    }
}

/// The chi-square statistic of counts against shares and its p-value, for one look; `None` as above or where nothing was counted.
pub fn chi_square(counts: &[u64], shares: &[f64]) -> Option<(f64, f64)> {
    let shares = normalised(counts, shares)?;
    let total: u64 = counts.iter().sum();
    if total == 0 || counts.len() < 2 {
        return None;
    }
    let of_arm = |(&count, share): (&u64, &f64)| {
        let expected = total as f64 * share;
        (count as f64 - expected).powi(2) / expected
    };
    let statistic: f64 = counts.iter().zip(&shares).map(of_arm).sum();
    let distribution = ChiSquared::new((counts.len() - 1) as f64).ok()?;
    Some((statistic, distribution.sf(statistic)))
}

fn normalised(counts: &[u64], shares: &[f64]) -> Option<Vec<f64>> {
    let sum: f64 = shares.iter().sum();
    let is_valid = counts.len() == shares.len()
        && !shares.is_empty()
        && sum.is_finite()
        && shares.iter().all(|&share| share > 0.0);
    is_valid.then(|| shares.iter().map(|share| share / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_together_gives_nothing() {
        for (counts, shares) in [
            (&[1, 2][..], &[1.0][..]),
            (&[1, 2], &[1.0, 0.0]),
            (&[1, 2], &[1.0, f64::NAN]),
            (&[], &[]),
        ] {
            assert_eq!(SampleRatio::of(counts, shares), None);
            assert_eq!(chi_square(counts, shares), None);
        }
        assert_eq!(SampleRatio::of(&[0, 0], &[1.0, 1.0]).unwrap().p(), 1.0);
        assert!(SampleRatio::of(&[900, 100], &[1.0, 1.0]).unwrap().p() < 1e-9);
    }
}
