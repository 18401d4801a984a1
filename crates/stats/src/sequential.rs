//! The comparison of two arms that may be looked at after every outcome: the asymptotic confidence sequence of Waudby-Smith et
//! al. (arXiv:2103.06476, equations 9, 155, 161; one-sided 134), which equals a mixture SPRT. What it says at its level holds at
//! all times at once.

use crate::Arm;

/// Settings of the comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sequential {
    alpha: f64,
    tuned_for: f64,
}

/// The difference of two arms at one look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// The second arm's mean less the first one's; for a lift as a share of the first.
    pub delta: f64,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// Width of the mixture.
    pub rho: f64,
    /// Half of the interval around `delta`.
    pub half_width: f64,
    /// Logarithm of the e-value against no difference.
    pub log_e: f64,
}

/// One-sided ends, each of which holds at all times with the set probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The second arm's mean less the first one's.
    pub delta: f64,
    /// Width of the mixture.
    pub rho: f64,
    /// Distance of the ends.
    pub half_width: f64,
}

/// The least p-value and the narrowest interval of all looks so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Running {
    /// The p-value.
    pub p: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

impl Sequential {
    /// Of an error rate, tuned to be sharpest after so many outcomes of both arms together. `None` unless the rate is between 0
    /// and a half and the count positive.
    pub fn new(alpha: f64, tuned_for: f64) -> Option<Self> {
        let is_valid = alpha > 0.0 && alpha < 0.5 && tuned_for > 0.0 && tuned_for.is_finite();
        is_valid.then_some(Self { alpha, tuned_for })
    }

    /// The second arm's mean less the first one's; `None` while an arm is empty or nothing varies, which is no evidence.
    pub fn difference(&self, first: &Arm, second: &Arm) -> Option<Evidence> {
        let variance = first.variance_of_mean() + second.variance_of_mean();
        self.evidence(second.mean - first.mean, variance, first.count + second.count)
    }

    /// The same as a share of the first arm's mean, by the delta method; `None` also where that mean is zero.
    pub fn lift(&self, first: &Arm, second: &Arm) -> Option<Evidence> {
        if first.mean == 0.0 {
            return None;
        }
        let squared = first.mean * first.mean;
        let variance = second.variance_of_mean() / squared
            + first.variance_of_mean() * second.mean * second.mean / (squared * squared);
        let delta = (second.mean - first.mean) / first.mean;
        self.evidence(delta, variance, first.count + second.count)
    }

    /// The ends for a guardrail: harm is shown where the upper end is below minus the margin, non-inferiority where the lower end
    /// is above it.
    pub fn guardrail(&self, first: &Arm, second: &Arm) -> Option<Bounds> {
        let n = first.count + second.count;
        let variance = first.variance_of_mean() + second.variance_of_mean();
        if !is_evidence(variance, n) {
            return None;
        }
        let rho = rho(2.0 * self.alpha, self.tuned_for);
        let t = n * rho * rho + 1.0;
        let log = (1.0 + t.sqrt() / (2.0 * self.alpha)).ln();
        Some(Bounds {
            delta: second.mean - first.mean,
            rho,
            half_width: (variance * n * 2.0 * t / (n * rho).powi(2) * log).sqrt(),
        })
    }

    fn evidence(&self, delta: f64, variance: f64, n: f64) -> Option<Evidence> {
        if !is_evidence(variance, n) {
            return None;
        }
        let rho = rho(self.alpha, self.tuned_for);
        let t = n * rho * rho + 1.0;
        let log = (t.sqrt() / self.alpha).ln();
        Some(Evidence {
            delta,
            standard_error: variance.sqrt(),
            rho,
            half_width: (variance * n).sqrt() * (2.0 * t * log).sqrt() / (n * rho),
            log_e: rho * rho * n * delta * delta / (2.0 * t * variance) - t.ln() / 2.0,
        })
    }

    /// Half of the two-sided interval after so many outcomes, of which the standard error is this.
    pub(crate) fn half_width(&self, standard_error: f64, n: f64) -> f64 {
        let evidence = self.evidence(0.0, standard_error * standard_error, n);
        evidence.map_or(f64::INFINITY, |evidence| evidence.half_width)
    }
}

/// Whether a variance of a difference is one: an empty arm gives none, and what never varies says nothing.
fn is_evidence(variance: f64, n: f64) -> bool {
    variance > 0.0 && variance.is_finite() && n > 0.0
}

/// The p-value of an e-value, valid at any look (Ville's inequality).
pub(crate) fn anytime_p(log_e: f64) -> f64 {
    (-log_e).exp().min(1.0)
}

fn rho(alpha: f64, tuned_for: f64) -> f64 {
    ((-2.0 * alpha.ln() + (1.0 - 2.0 * alpha.ln()).ln()) / tuned_for).sqrt()
}

impl Evidence {
    /// Lower end of the interval.
    pub fn lower(&self) -> f64 {
        self.delta - self.half_width
    }

    /// Upper end of the interval.
    pub fn upper(&self) -> f64 {
        self.delta + self.half_width
    }

    /// The p-value, valid at any look.
    pub fn p(&self) -> f64 {
        anytime_p(self.log_e)
    }
}

impl Bounds {
    /// Lower end.
    pub fn lower(&self) -> f64 {
        self.delta - self.half_width
    }

    /// Upper end.
    pub fn upper(&self) -> f64 {
        self.delta + self.half_width
    }
}

impl Default for Running {
    fn default() -> Self {
        Self {
            p: 1.0,
            lower: f64::NEG_INFINITY,
            upper: f64::INFINITY,
        }
    }
}

impl Running {
    /// Takes one more look.
    pub fn look(&mut self, evidence: &Evidence) {
        self.p = self.p.min(evidence.p());
        self.lower = self.lower.max(evidence.lower());
        self.upper = self.upper.min(evidence.upper());
    }

    /// Whether no difference is left that agrees with all looks: the difference has changed with time.
    pub fn is_empty(&self) -> bool {
        self.lower > self.upper
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_varies_is_no_evidence() {
        let sequential = Sequential::new(0.05, 500.0).unwrap();
        let (none, all) = (Arm::of_counts(0, 10), Arm::of_counts(10, 10));
        assert_eq!(sequential.difference(&none, &all), None);
        assert_eq!(sequential.guardrail(&none, &Arm::of_counts(0, 0)), None);
        assert_eq!(sequential.lift(&none, &Arm::of_counts(5, 10)), None);
        for (alpha, tuned_for) in [(0.0, 500.0), (0.6, 500.0), (f64::NAN, 500.0), (0.05, 0.0)] {
            assert_eq!(Sequential::new(alpha, tuned_for), None);
        }
    }

    #[test]
    fn looks_narrow_the_interval_and_a_change_empties_it() {
        let sequential = Sequential::new(0.05, 500.0).unwrap();
        let mut running = Running::default();
        let mut widths = Vec::new();
        for n in [100, 1_000, 10_000_u64] {
            let (a, b) = (Arm::of_counts(n / 2, n), Arm::of_counts(n * 6 / 10, n));
            running.look(&sequential.difference(&a, &b).unwrap());
            widths.push(running.upper - running.lower);
        }
        assert!(widths.windows(2).all(|pair| pair[1] < pair[0]));
        assert!(running.p < 1e-6 && !running.is_empty());
        let (a, b) = (Arm::of_counts(60_000, 100_000), Arm::of_counts(50_000, 100_000));
        running.look(&sequential.difference(&a, &b).unwrap());
        assert!(running.is_empty());
    }
}
