//! Two proportions by their posteriors, for those who ask "how probable is it that B is better".

use statrs::function::beta::ln_beta;

/// What the posteriors of two arms say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BetaComparison {
    /// Probability that the second arm's rate is greater.
    pub second_is_better: f64,
    /// How much of the rate is lost on average where the second is chosen.
    pub expected_loss: f64,
}

/// A beta distribution of whole parameters.
#[derive(Clone, Copy)]
struct Beta {
    a: u64,
    b: u64,
}

impl Beta {
    fn mean(self) -> f64 {
        self.a as f64 / (self.a + self.b) as f64
    }
}

/// Successes and trials of two arms under uniform priors. Takes as many steps as there are successes.
pub fn compare_beta(first: (u64, u64), second: (u64, u64)) -> BetaComparison {
    let [a, b] = [first, second].map(|(successes, trials)| Beta {
        a: 1 + successes.min(trials),
        b: 1 + trials.saturating_sub(successes),
    });
    let more = |beta: Beta| Beta {
        a: beta.a + 1,
        ..beta
    };
    BetaComparison {
        second_is_better: probability_greater(b, a),
        expected_loss: a.mean() * probability_greater(more(a), b)
            - b.mean() * probability_greater(a, more(b)),
    }
}

/// The probability that the first is greater (Evan Miller's closed form).
fn probability_greater(greater: Beta, other: Beta) -> f64 {
    let [x, y] = [greater, other].map(|beta| (beta.a as f64, beta.b as f64));
    let log_other = ln_beta(y.0, y.1);
    let term = |i: u64| {
        let i = i as f64;
        (ln_beta(y.0 + i, x.1 + y.1) - (x.1 + i).ln() - ln_beta(1.0 + i, x.1) - log_other).exp()
    };
    (0..greater.a).map(term).sum::<f64>().min(1.0)
}
