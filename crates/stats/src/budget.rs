//! One error rate for a loop that turns for ever: each comparison may spend a part of it, and the parts add up to no more.

/// The chance, over all deployments of a task, that a harmful version is ever promoted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorBudget {
    total: f64,
}

impl ErrorBudget {
    /// Of a chance between 0 and a half.
    pub fn new(total: f64) -> Option<Self> {
        (total > 0.0 && total < 0.5).then_some(Self { total })
    }

    /// The error rate of the comparison with this number, counted from 1: `6 / (pi n)^2` of the whole, a series that adds up to it.
    pub fn of_turn(&self, turn: u32) -> f64 {
        let turn = f64::from(turn.max(1));
        self.total * 6.0 / (std::f64::consts::PI * turn).powi(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_add_up_to_the_whole_and_no_more() {
        let budget = ErrorBudget::new(0.05).unwrap();
        let spent: f64 = (1..100_000).map(|turn| budget.of_turn(turn)).sum();
        assert!(spent < 0.05 && spent > 0.04999, "{spent}");
        assert_eq!(ErrorBudget::new(0.0), None);
        assert_eq!(ErrorBudget::new(0.5), None);
    }
}
