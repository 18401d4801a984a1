//! When a classifier may answer by itself: the threshold of confidence above which at most a given share of its answers is
//! wrong, certified on held-out rows.
//!
//! Learn-then-Test (Angelopoulos, Bates, Candès, Jordan, Lei, 2021) by fixed-sequence testing: thresholds are fixed in
//! advance and tested from the strictest down, each with an exact binomial (Clopper-Pearson) bound; the last one that
//! passes before the first that fails is certified. The guarantee is about new texts like the held-out ones.

/// Thresholds per decade of `1 - confidence`.
const STEPS_PER_DECADE: u32 = 24;
/// The strictest threshold is `1 - 10^-DECADES`.
const DECADES: u32 = 4;

/// Held-out answers at or above each threshold, strictest first.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct SelectiveCurve {
    /// Held-out rows.
    pub rows: u32,
    /// Answers at or above each threshold.
    pub answered: Vec<u32>,
    /// Wrong answers among them.
    pub wrong: Vec<u32>,
}

/// A threshold above which few answers are wrong.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Certified {
    /// The least confidence that answers.
    pub threshold: f64,
    /// Share of held-out rows that are answered.
    pub coverage: f64,
    /// Share of wrong answers among the answered held-out rows.
    pub observed_error: f64,
    /// Held-out rows that are answered.
    pub answered: u32,
}

impl SelectiveCurve {
    /// Counts confidences of the best label, each with whether it is right.
    pub fn of(predictions: &[(f64, bool)]) -> Self {
        let mut sorted = predictions.to_vec();
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut curve = Self {
            rows: predictions.len() as u32,
            ..Self::default()
        };
        let (mut answered, mut wrong) = (0usize, 0u32);
        for threshold in thresholds() {
            while let Some(&(_, is_right)) = sorted
                .get(answered)
                .filter(|(confidence, _)| *confidence >= threshold)
            {
                answered += 1;
                wrong += u32::from(!is_right);
            }
            curve.answered.push(answered as u32);
            curve.wrong.push(wrong);
        }
        curve
    }

    /// The lowest threshold at which, with probability `confidence`, at most the share `max_error` of answers is wrong;
    /// `None` when the held-out rows do not show it for any.
    pub fn certify(&self, max_error: f64, confidence: f64) -> Option<Certified> {
        let delta = 1.0 - confidence;
        // With fewer answers not even a faultless run would show it.
        let least = (2.0 * delta.ln() / (1.0 - max_error).ln()).ceil();
        let mut certified = None;
        let counts = self.answered.iter().zip(&self.wrong);
        for (threshold, (&answered, &wrong)) in thresholds().zip(counts) {
            if f64::from(answered) < least {
                continue;
            }
            if binomial_cdf(wrong, answered, max_error) > delta {
                break;
            }
            // Below the least confidence that was seen nothing is known: the strictest of equal thresholds stands.
            if certified.is_some_and(|known: Certified| known.answered == answered) {
                continue;
            }
            certified = Some(Certified {
                threshold,
                coverage: f64::from(answered) / f64::from(self.rows.max(1)),
                observed_error: f64::from(wrong) / f64::from(answered),
                answered,
            });
        }
        certified
    }
}

/// The thresholds that are tested, strictest first.
fn thresholds() -> impl Iterator<Item = f64> {
    (0..=DECADES * STEPS_PER_DECADE).map(|step| {
        let exponent = f64::from(step) / f64::from(STEPS_PER_DECADE) - f64::from(DECADES);
        1.0 - 10f64.powf(exponent)
    })
}

/// Probability of at most `k` in `n` draws of probability `p`; summed in logarithms.
fn binomial_cdf(k: u32, n: u32, p: f64) -> f64 {
    let (log_p, log_q) = (p.ln(), (1.0 - p).ln());
    let mut log_term = f64::from(n) * log_q;
    let mut sum = log_term.exp();
    for i in 1..=k {
        log_term += (f64::from(n - i + 1) / f64::from(i)).ln() + log_p - log_q;
        sum += log_term.exp();
    }
    sum.min(1.0)
}

/// Whether `wrong` of `total` show, however often one looks, that the true share is above `most`: a mixture of likelihood
/// ratios over all shares (uniform prior) has reached `1 / delta`, and the observed share is above. The chance that this
/// ever happens although the share is `most` is at most `delta` (Ville's inequality).
pub fn exceeds(wrong: u32, total: u32, most: f64, delta: f64) -> bool {
    if total == 0 || f64::from(wrong) <= f64::from(total) * most {
        return false;
    }
    // ln B(k + 1, n - k + 1) = -ln((n + 1) · C(n, k)).
    let log_choices: f64 = (1..=wrong)
        .map(|i| (f64::from(total - wrong + i) / f64::from(i)).ln())
        .sum();
    let log_mixture = -(f64::from(total) + 1.0).ln() - log_choices;
    let log_at_most = f64::from(wrong) * most.ln() + f64::from(total - wrong) * (1.0 - most).ln();
    log_mixture - log_at_most >= (1.0 / delta).ln()
}

/// Clopper-Pearson interval of a share: `wrong` of `total`, two-sided at this confidence.
pub fn clopper_pearson(wrong: u32, total: u32, confidence: f64) -> (f64, f64) {
    if total == 0 {
        return (0.0, 1.0);
    }
    let tail = (1.0 - confidence) / 2.0;
    let bisect = |is_above: &dyn Fn(f64) -> bool| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if is_above(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        f64::midpoint(low, high)
    };
    let lower = if wrong == 0 {
        0.0
    } else {
        bisect(&|p| 1.0 - binomial_cdf(wrong - 1, total, p) > tail)
    };
    let upper = if wrong == total {
        1.0
    } else {
        bisect(&|p| binomial_cdf(wrong, total, p) < tail)
    };
    (lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::SplitMix;

    #[test]
    fn the_binomial_and_its_interval_match_reference_values() {
        // scipy.stats.binom.cdf(3, 100, .05) and statsmodels' proportion_confint(3, 100, .05, "beta").
        assert!((binomial_cdf(3, 100, 0.05) - 0.257_838_659_9).abs() < 1e-9);
        let (low, high) = clopper_pearson(3, 100, 0.95);
        assert!((low - 0.006_229_971_0).abs() < 1e-7, "{low}");
        assert!((high - 0.085_176_053_0).abs() < 1e-7, "{high}");
        assert_eq!(clopper_pearson(0, 0, 0.95), (0.0, 1.0));
    }

    #[test]
    fn a_share_above_the_limit_is_noticed_and_one_at_the_limit_seldom() {
        assert!(!exceeds(1, 20, 0.02, 0.05));
        assert!(exceeds(30, 300, 0.02, 0.05));
        assert!(!exceeds(6, 300, 0.02, 0.05));
        let mut random = SplitMix::new(5);
        let mut alarms = 0;
        for _ in 0..300 {
            let mut wrong = 0;
            alarms += u32::from((1..=1_000).any(|total| {
                wrong += u32::from(random.uniform() < 0.05);
                exceeds(wrong, total, 0.05, 0.05)
            }));
        }
        assert!(alarms <= 15, "{alarms} of 300, looking after every outcome");
    }

    #[test]
    fn too_little_evidence_certifies_nothing() {
        let faultless: Vec<(f64, bool)> = vec![(0.999, true); 100];
        assert_eq!(SelectiveCurve::of(&faultless).certify(0.01, 0.95), None);
        assert!(
            SelectiveCurve::of(&vec![(0.999, true); 1_000])
                .certify(0.01, 0.95)
                .is_some()
        );
        assert_eq!(
            SelectiveCurve::of(&vec![(0.999, false); 1_000]).certify(0.01, 0.95),
            None
        );
    }

    #[test]
    fn the_error_among_answers_stays_below_what_was_asked_nineteen_times_of_twenty() {
        // Confidence c is right with probability c: perfectly calibrated answers.
        let mut random = SplitMix::new(3);
        let draw = |random: &mut SplitMix| {
            let confidence = random.uniform();
            (confidence, random.uniform() < confidence)
        };
        let (trials, max_error) = (400, 0.1);
        let (mut broken, mut coverage) = (0, 0.0);
        for _ in 0..trials {
            let held_out: Vec<(f64, bool)> = (0..2_000).map(|_| draw(&mut random)).collect();
            let Some(certified) = SelectiveCurve::of(&held_out).certify(max_error, 0.95) else {
                continue;
            };
            // Above a threshold t the true error is (1 - t) / 2.
            broken += u32::from((1.0 - certified.threshold) / 2.0 > max_error);
            coverage += certified.coverage / f64::from(trials);
        }
        // The best that could be certified covers a fifth; the first tests of the sequence sometimes fail by chance.
        assert!(coverage > 0.09, "{coverage}");
        assert!(
            f64::from(broken) / f64::from(trials) < 0.07,
            "{broken} of {trials}"
        );
    }
}
