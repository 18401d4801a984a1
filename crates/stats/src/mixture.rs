//! Boundaries that a random walk crosses at any time with a small probability only: mixtures of exponential supermartingales
//! (Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 2021), and the anytime t-test (Lindon, Ham, Tingley and Bojinov
//! 2024). `sum` is the walk's deviation from what was expected, `variance` its accumulated (intrinsic) variance.

use statrs::function::beta::ln_beta;
use statrs::function::gamma::{gamma_lr, ln_gamma};

use crate::root::find_crossing;

/// The two-sided mixture over normal priors, for sub-Gaussian walks.
#[derive(Debug, Clone, Copy)]
pub struct NormalMixture {
    /// Precision of the prior.
    pub rho: f64,
}

impl NormalMixture {
    /// Sharpest at this variance and error rate.
    pub fn tuned(variance: f64, alpha: f64) -> Self {
        let log = 2.0 * (1.0 / alpha).ln();
        Self {
            rho: variance / (log + log.ln_1p()),
        }
    }

    /// Logarithm of the mixture.
    pub fn log_mixture(&self, sum: f64, variance: f64) -> f64 {
        let total = variance + self.rho;
        0.5 * (self.rho / total).ln() + sum * sum / (2.0 * total)
    }

    /// The sum that is passed at any time with a probability of at most `alpha`.
    pub fn bound(&self, variance: f64, alpha: f64) -> f64 {
        let total = variance + self.rho;
        (total * ((variance / self.rho).ln_1p() - 2.0 * alpha.ln())).sqrt()
    }
}

/// The one-sided mixture over gamma priors, for walks with sub-exponential steps (bounded ones, empirical Bernstein).
#[derive(Debug, Clone, Copy)]
pub struct GammaExponentialMixture {
    rho: f64,
    scale: f64,
}

impl GammaExponentialMixture {
    /// Sharpest at this variance and error rate, for steps of this scale.
    pub fn tuned(variance: f64, alpha: f64, scale: f64) -> Self {
        Self {
            // One side of a two-sided mixture of twice the error rate.
            rho: NormalMixture::tuned(variance, 2.0 * alpha).rho,
            scale,
        }
    }

    /// Logarithm of the mixture.
    pub fn log_mixture(&self, sum: f64, variance: f64) -> f64 {
        let squared = self.scale * self.scale;
        let prior = self.rho / squared;
        let shape = (variance + self.rho) / squared;
        let walk = (self.scale * sum + variance) / squared;
        let constant = prior * prior.ln() - ln_gamma(prior) - gamma_lr(prior, prior).ln();
        constant + ln_gamma(shape) + gamma_lr(shape, walk + prior).ln() - shape * (walk + prior).ln() + walk
    }

    /// The sum that is passed at any time with a probability of at most `alpha`.
    pub fn bound(&self, variance: f64, alpha: f64) -> f64 {
        let high = 100.0 * (variance.sqrt() + self.scale) * (1.0 - alpha.ln());
        find_crossing(0.0, high, -alpha.ln(), |sum| self.log_mixture(sum, variance))
    }
}

/// The two-sided mixture over beta priors, exact for steps that take one of two values: `-below` or `above`.
#[derive(Debug, Clone, Copy)]
pub struct BetaBinomialMixture {
    prior: f64,
    below: f64,
    above: f64,
}

impl BetaBinomialMixture {
    /// Sharpest at this variance and error rate.
    pub fn tuned(variance: f64, alpha: f64, below: f64, above: f64) -> Self {
        let product = below * above;
        let prior = NormalMixture::tuned(variance, alpha).rho - product;
        Self {
            prior: prior.max(1e-3 * product),
            below,
            above,
        }
    }

    /// Logarithm of the mixture.
    pub fn log_mixture(&self, sum: f64, variance: f64) -> f64 {
        let (g, h) = (self.below, self.above);
        let range = g + h;
        let mixed = ln_beta(
            (self.prior + variance - g * sum) / (g * range),
            (self.prior + variance + h * sum) / (h * range),
        );
        variance / (g * h) * range.ln()
            - (variance + h * sum) / (h * range) * g.ln()
            - (variance - g * sum) / (g * range) * h.ln()
            + mixed
            - ln_beta(self.prior / (g * range), self.prior / (h * range))
    }

    /// The sum that is passed at any time with a probability of at most `alpha`.
    pub fn bound(&self, variance: f64, alpha: f64) -> f64 {
        let high = variance / self.below;
        find_crossing(0.0, high, -alpha.ln(), |sum| self.log_mixture(sum, variance))
    }
}

/// Logarithm of the e-value of a t-test that may be looked at at any time.
///
/// `t_squared` is the square of the t statistic with `degrees` of freedom, `phi` the precision of the prior over the effect, and
/// `information` what the design says of it (the `z'z` of the paper: `n_a n_b / (n_a + n_b)` for two arms).
pub fn anytime_t_log_e(t_squared: f64, degrees: f64, phi: f64, information: f64) -> f64 {
    let ratio = phi / (phi + information);
    0.5 * ratio.ln()
        + 0.5 * (degrees + 1.0) * ((t_squared / degrees).ln_1p() - (ratio * t_squared / degrees).ln_1p())
}
