//! The mean of outcomes between 0 and 1 by betting against each value that it could have (Waudby-Smith and Ramdas, JRSS-B 2024):
//! narrow at small counts, valid at any time.

/// The hedged capital against means on a grid.
#[derive(Debug, Clone)]
pub struct BettingMean {
    alpha: f64,
    /// Logarithms of the capital that bets on a higher and on a lower mean, for each mean of the grid.
    capital: Vec<(f64, f64)>,
    count: f64,
    sum: f64,
    squares: f64,
}

/// The part of the capital that is put at risk at most.
const MOST_AT_RISK: f64 = 0.5;

impl BettingMean {
    /// At this error rate, on a grid of `cells` and one means from 0 to 1.
    pub fn new(alpha: f64, cells: usize) -> Self {
        Self {
            alpha,
            capital: vec![(0.0, 0.0); cells + 1],
            count: 0.0,
            sum: 0.0,
            squares: 0.0,
        }
    }

    /// Takes one more outcome, from 0 to 1.
    pub fn observe(&mut self, outcome: f64) {
        let outcome = outcome.clamp(0.0, 1.0);
        // Bets are settled before the outcome is known: by the variance of those before it.
        let variance = (0.25 + self.squares) / (self.count + 1.0);
        self.count += 1.0;
        // Each of the two bets has half of the error rate.
        let log = -(self.alpha / 2.0).ln();
        let bet = (2.0 * log / (self.count * self.count.ln_1p() * variance)).sqrt();
        let cells = (self.capital.len() - 1) as f64;
        for (cell, (higher, lower)) in self.capital.iter_mut().enumerate() {
            let mean = cell as f64 / cells;
            *higher += (bet.min(MOST_AT_RISK / mean) * (outcome - mean)).ln_1p();
            *lower += (-bet.min(MOST_AT_RISK / (1.0 - mean)) * (outcome - mean)).ln_1p();
        }
        self.sum += outcome;
        let mean = (0.5 + self.sum) / (self.count + 1.0);
        self.squares += (outcome - mean) * (outcome - mean);
    }

    /// Logarithm of the capital against the mean of a cell.
    pub fn log_capital(&self, cell: usize) -> Option<f64> {
        let (higher, lower) = self.capital.get(cell)?;
        Some(higher.max(*lower) - std::f64::consts::LN_2)
    }

    /// The outermost means of the grid that are not refuted; `None` where all are.
    pub fn interval(&self) -> Option<(f64, f64)> {
        let cells = self.capital.len() - 1;
        let is_left = |cell: &usize| {
            self.log_capital(*cell)
                .is_some_and(|capital| capital < -self.alpha.ln())
        };
        let lowest = (0..=cells).find(is_left)?;
        let highest = (0..=cells).rev().find(is_left)?;
        Some((lowest as f64 / cells as f64, highest as f64 / cells as f64))
    }
}
