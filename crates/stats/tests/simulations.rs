//! What the comparisons promise, tried a thousand times over: how often they are wrong however often one looks, and how soon they
//! see harm. All random numbers are seeded.

use fastrand::Rng;
use hone_stats::{Arm, ErrorBudget, Sequential};

const ALPHA: f64 = 0.05;
/// Outcomes of both arms together for which the comparisons are tuned by default.
const TUNED_FOR: f64 = 500.0;
/// Outcomes of an arm before the asymptotic comparisons are asked.
const FEWEST: u64 = 100;

/// Two arms that are filled at random, half and half.
struct Stream {
    random: Rng,
    rates: [f64; 2],
    successes: [u64; 2],
    trials: [u64; 2],
}

impl Stream {
    fn new(seed: u64, rates: [f64; 2]) -> Self {
        Self {
            random: Rng::with_seed(seed),
            rates,
            successes: [0; 2],
            trials: [0; 2],
        }
    }

    fn next(&mut self) {
        let arm = usize::from(self.random.bool());
        self.successes[arm] += u64::from(self.random.f64() < self.rates[arm]);
        self.trials[arm] += 1;
    }

    fn arms(&self) -> Option<[Arm; 2]> {
        let is_enough = self.trials.iter().all(|&trials| trials >= FEWEST);
        is_enough.then(|| [0, 1].map(|arm| Arm::of_counts(self.successes[arm], self.trials[arm])))
    }

    /// The number of outcomes at which something is true that is looked at after every one.
    fn first(&mut self, most: u64, is_true: impl Fn(&Arm, &Arm) -> bool) -> Option<u64> {
        (1..=most).find(|_| {
            self.next();
            self.arms().is_some_and(|[a, b]| is_true(&a, &b))
        })
    }
}

#[test]
fn an_equal_model_is_seldom_promoted_though_every_outcome_is_looked_at() {
    let sequential = Sequential::new(ALPHA, TUNED_FOR).unwrap();
    let promoted = (0..2_000)
        .filter(|&seed| {
            let is_better = |a: &Arm, b: &Arm| {
                let evidence = sequential.difference(a, b);
                evidence.is_some_and(|evidence| evidence.lower() > 0.0)
            };
            Stream::new(seed, [0.8, 0.8]).first(3_000, is_better).is_some()
        })
        .count();
    assert!(promoted < 100, "{promoted} of 2000");
}

#[test]
fn a_version_that_is_ten_points_worse_is_seen_soon() {
    let sequential = Sequential::new(ALPHA, TUNED_FOR).unwrap();
    let is_harmful = |a: &Arm, b: &Arm| {
        sequential
            .guardrail(a, b)
            .is_some_and(|bounds| bounds.upper() < 0.0)
    };
    let mut outcomes: Vec<u64> = (0..500)
        .map(|seed| {
            let mut stream = Stream::new(seed, [0.8, 0.7]);
            stream.first(20_000, is_harmful).unwrap_or(20_000)
        })
        .collect();
    outcomes.sort_unstable();
    let median = outcomes[outcomes.len() / 2];
    assert!(median <= 900, "{median}");
}

#[test]
fn a_loop_that_turns_fifty_times_seldom_promotes_what_harms() {
    let budget = ErrorBudget::new(ALPHA).unwrap();
    let has_harmed = |seed: u64| {
        (1..=50).any(|turn| {
            // The worst candidates: just beyond the margin, so that each is a chance to be wrong.
            let sequential = Sequential::new(budget.of_turn(turn), TUNED_FOR).unwrap();
            let margin = 0.02;
            let is_non_inferior = |a: &Arm, b: &Arm| {
                let bounds = sequential.guardrail(a, b);
                bounds.is_some_and(|bounds| bounds.lower() > -margin)
            };
            let mut stream = Stream::new(seed * 1_000 + u64::from(turn), [0.8, 0.8 - margin]);
            stream.first(2_000, is_non_inferior).is_some()
        })
    };
    let harmed = (0..500).filter(|&seed| has_harmed(seed)).count();
    assert!(harmed < 25, "{harmed} of 500");
}
