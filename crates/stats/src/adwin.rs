//! A window over a stream that drops its oldest part when the mean has changed: ADWIN (Bifet and Gavaldà, SDM 2007). Memory and
//! time grow with the logarithm of the window. Numbers agree with river's.

use std::collections::VecDeque;

/// Buckets of one size, of which two are merged where there is one more.
const BUCKETS: usize = 5;
/// Values between two looks.
const CLOCK: u64 = 32;
/// Values before the first look.
const GRACE: f64 = 10.0;
/// Values on either side of a cut.
const FEWEST: f64 = 5.0;

/// Some values in a row: their sum, and the sum of the squares of their distances from their mean.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    total: f64,
    scatter: f64,
}

/// The window.
#[derive(Debug, Clone)]
pub struct Adwin {
    delta: f64,
    /// Buckets of one value, of two, of four and so on; in each row the oldest first.
    rows: VecDeque<VecDeque<Bucket>>,
    width: f64,
    total: f64,
    scatter: f64,
    ticks: u64,
    has_changed: bool,
}

impl Adwin {
    /// With this chance of a false alarm at a look, between 0 and 1.
    pub fn new(delta: f64) -> Self {
        Self {
            delta,
            rows: VecDeque::from([VecDeque::new()]),
            width: 0.0,
            total: 0.0,
            scatter: 0.0,
            ticks: 0,
            has_changed: false,
        }
    }

    /// Mean of the window; 0 where it is empty.
    pub fn mean(&self) -> f64 {
        if self.width == 0.0 {
            0.0
        } else {
            self.total / self.width
        }
    }

    /// Values in the window.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Takes one more value; says whether the mean has changed. The window then holds what came after the change, until the next
    /// value begins a new one: what is left of the old mean would be told again.
    pub fn observe(&mut self, value: f64) -> bool {
        if self.has_changed {
            *self = Self::new(self.delta);
        }
        if let Some(row) = self.rows.front_mut() {
            row.push_back(Bucket {
                total: value,
                scatter: 0.0,
            });
        }
        self.scatter += joint_scatter(self.width, self.total, 1.0, value);
        self.width += 1.0;
        self.total += value;
        self.merge();
        self.ticks += 1;
        if !self.ticks.is_multiple_of(CLOCK) || self.width <= GRACE {
            return false;
        }
        while self.has_cut() {
            self.has_changed = true;
            self.drop_oldest();
        }
        self.has_changed
    }

    /// Merges the two oldest buckets of each row that has too many into one of the next row.
    fn merge(&mut self) {
        let mut size = 1.0;
        for row in 0.. {
            if self.rows[row].len() <= BUCKETS {
                return;
            }
            let mut pair = self.rows[row].drain(..2);
            let (Some(first), Some(second)) = (pair.next(), pair.next()) else {
                return;
            };
            drop(pair);
            if row + 1 == self.rows.len() {
                self.rows.push_back(VecDeque::new());
            }
            self.rows[row + 1].push_back(Bucket {
                total: first.total + second.total,
                scatter: first.scatter
                    + second.scatter
                    + joint_scatter(size, first.total, size, second.total),
            });
            size *= 2.0;
        }
    }

    /// Whether the window can be cut into an older and a newer part of different means.
    fn has_cut(&self) -> bool {
        let (mut older, mut older_total) = (0.0, 0.0);
        for (row, buckets) in self.rows.iter().enumerate().rev() {
            let size = (row as f64).exp2();
            for bucket in buckets {
                older += size;
                older_total += bucket.total;
                let newer = self.width - older;
                let is_long = older >= FEWEST && newer >= FEWEST;
                let apart = older_total / older - (self.total - older_total) / newer;
                if is_long && apart.abs() > self.limit(older, newer) {
                    return true;
                }
            }
        }
        false
    }

    /// What the means of both parts of a cut differ by without a change.
    fn limit(&self, older: f64, newer: f64) -> f64 {
        let log = (2.0 * self.width.ln() / self.delta).ln();
        let inverse = 1.0 / (older - FEWEST + 1.0) + 1.0 / (newer - FEWEST + 1.0);
        (2.0 * inverse * self.scatter / self.width * log).sqrt() + 2.0 / 3.0 * log * inverse
    }

    fn drop_oldest(&mut self) {
        let Some(row) = self.rows.back_mut() else { return };
        let Some(bucket) = row.pop_front() else { return };
        let is_empty = row.is_empty();
        let size = ((self.rows.len() - 1) as f64).exp2();
        self.width -= size;
        self.total -= bucket.total;
        self.scatter -= bucket.scatter + joint_scatter(size, bucket.total, self.width, self.total);
        if is_empty && self.rows.len() > 1 {
            self.rows.pop_back();
        }
    }
}

/// What two parts scatter more together than each alone.
fn joint_scatter(first: f64, first_total: f64, second: f64, second_total: f64) -> f64 {
    if first == 0.0 || second == 0.0 {
        return 0.0;
    }
    let apart = first_total / first - second_total / second;
    first * second * apart * apart / (first + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_steady_and_a_change_is_seen_and_forgotten() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut adwin = Adwin::new(0.002);
        let mut changes = 0;
        for _ in 0..20_000 {
            changes += u32::from(adwin.observe(f64::from(random.f64() < 0.2)));
        }
        assert_eq!(changes, 0);
        assert_eq!(adwin.width(), 20_000.0);
        let buckets: usize = adwin.rows.iter().map(VecDeque::len).sum();
        assert!(buckets < 100, "{buckets}");
        let seen = (0..2_000).find(|_| adwin.observe(f64::from(random.f64() < 0.4)));
        assert!(seen.is_some_and(|after| after < 600), "{seen:?}");
        for _ in 0..4_000 {
            adwin.observe(f64::from(random.f64() < 0.4));
        }
        assert!((adwin.mean() - 0.4).abs() < 0.03, "{}", adwin.mean());
    }
}
