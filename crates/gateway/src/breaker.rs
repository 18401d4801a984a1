//! Circuit breaker: a model that keeps failing is left alone for a while, then tried with one request. Each model of a
//! provider has its own, so that one that does not work closes no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Requests in a row whose failing, with all their repetitions, opens the circuit.
const FAILURES: u32 = 5;
/// How long an open circuit stays so, and how long a trial may take before another is made.
const OPEN_FOR: Duration = Duration::from_secs(10);

/// Models of one provider that are remembered; clients may name any.
const MAX_MODELS: usize = 1_000;

/// The breakers of a provider's models.
#[derive(Debug, Default)]
pub(crate) struct Breakers(Mutex<HashMap<String, Arc<Breaker>>>);

impl Breakers {
    /// The breaker of a model.
    pub fn of(&self, model: &str) -> Arc<Breaker> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = known.get(model) {
            return breaker.clone();
        }
        if known.len() >= MAX_MODELS {
            known.clear();
        }
        let breaker = Arc::new(Breaker::default());
        known.insert(model.to_owned(), breaker.clone());
        breaker
    }

    /// Models that are left alone now.
    pub fn count_open(&self, now: Instant) -> usize {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().filter(|breaker| breaker.is_open(now)).count()
    }
}

/// Whether a model is asked.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether a request may be sent now. When the time of an open circuit is over, one is let through as a trial.
    pub fn lets_through(&self, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Closed { .. } => true,
            State::Open { until } if now < until => false,
            State::Open { .. } => {
                *state = State::Open {
                    until: now + OPEN_FOR,
                };
                true
            }
        }
    }

    /// Whether the model is left alone now.
    pub fn is_open(&self, now: Instant) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, State::Open { until } if now < until)
    }

    /// The model answered.
    pub fn succeeded(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// The model failed; gives whether that opened the circuit.
    pub fn failed(&self, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_closed = match &mut *state {
            State::Closed { failures } => {
                *failures += 1;
                if *failures < FAILURES {
                    return false;
                }
                true
            }
            State::Open { .. } => false,
        };
        *state = State::Open {
            until: now + OPEN_FOR,
        };
        was_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_open_it_and_one_trial_closes_it_again() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 1..FAILURES {
            assert!(!breaker.failed(start));
        }
        assert!(breaker.lets_through(start));
        assert!(breaker.failed(start), "opened");
        assert!(!breaker.lets_through(start));
        let later = start + OPEN_FOR;
        assert!(breaker.lets_through(later), "a trial");
        assert!(!breaker.lets_through(later), "only one");
        breaker.succeeded();
        assert!(breaker.lets_through(later));
    }

    #[test]
    fn an_answer_forgives_earlier_failures() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..20 {
            breaker.failed(now);
            breaker.succeeded();
        }
        assert!(breaker.lets_through(now));
    }
}
