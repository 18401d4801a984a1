//! The exact comparison of two streams of successes and failures, valid at any time and any size: the e-value of Turner, Ly and
//! Grünwald (Journal of Statistical Planning and Inference 2024). For arms too small for [`crate::Sequential`].

use crate::sequential::anytime_p;

/// One block of outcomes, of sizes that were settled before it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Successes and outcomes of the first arm.
    pub first: (u64, u64),
    /// The same of the second.
    pub second: (u64, u64),
}

/// The evidence against equal rates so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BernoulliStreams {
    prior: f64,
    /// Successes and failures of each arm.
    seen: [(f64, f64); 2],
    log_e: f64,
}

/// The symmetric beta prior that the authors recommend.
const PRIOR: f64 = 0.18;

impl Default for BernoulliStreams {
    fn default() -> Self {
        Self {
            prior: PRIOR,
            seen: [(0.0, 0.0); 2],
            log_e: 0.0,
        }
    }
}

impl BernoulliStreams {
    /// Takes one more block.
    pub fn observe(&mut self, block: &Block) {
        let rates = self.seen.map(|(successes, failures)| {
            (successes + self.prior) / (successes + failures + 2.0 * self.prior)
        });
        let arms = [block.first, block.second].map(|(successes, trials)| {
            let successes = successes.min(trials);
            (successes as f64, (trials - successes) as f64)
        });
        let trials = arms.map(|(successes, failures)| successes + failures);
        let all = trials[0] + trials[1];
        if all == 0.0 {
            return;
        }
        let common = (rates[0] * trials[0] + rates[1] * trials[1]) / all;
        for (arm, (successes, failures)) in arms.into_iter().enumerate() {
            self.log_e += successes * (rates[arm] / common).ln()
                + failures * ((1.0 - rates[arm]) / (1.0 - common)).ln();
            self.seen[arm].0 += successes;
            self.seen[arm].1 += failures;
        }
    }

    /// Logarithm of the e-value.
    pub fn log_e(&self) -> f64 {
        self.log_e
    }

    /// The p-value, valid at any time.
    pub fn p(&self) -> f64 {
        anytime_p(self.log_e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_arms_are_seldom_told_apart_though_looked_at_always() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut alarms = 0;
        for _ in 0..2_000 {
            let mut streams = BernoulliStreams::default();
            let rate = random.f64();
            let is_alarm = (0..300).any(|_| {
                let mut outcome = || (u64::from(random.f64() < rate), 1);
                streams.observe(&Block {
                    first: outcome(),
                    second: outcome(),
                });
                streams.p() <= 0.05
            });
            alarms += u32::from(is_alarm);
        }
        assert!(alarms < 100, "{alarms} of 2000");
    }

    #[test]
    fn an_empty_block_changes_nothing() {
        let mut streams = BernoulliStreams::default();
        streams.observe(&Block {
            first: (0, 0),
            second: (0, 0),
        });
        assert_eq!(streams, BernoulliStreams::default());
    }
}
