//! A change of a mean by the sum of what a stream is above it or below it: the Page-Hinkley test (Page, Biometrika 1954). For values
//! without bounds, such as latency and cost. Numbers agree with river's.

/// Settings of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PageHinkleySettings {
    /// Values before it may say anything.
    pub fewest: u64,
    /// A distance from the mean that is no change.
    pub delta: f64,
    /// The sum of distances at which it is one.
    pub threshold: f64,
    /// What of the sum remains from value to value.
    pub memory: f64,
}

impl Default for PageHinkleySettings {
    fn default() -> Self {
        Self {
            fewest: 30,
            delta: 0.005,
            threshold: 50.0,
            memory: 0.9999,
        }
    }
}

/// The test; begins anew after each change.
#[derive(Debug, Clone)]
pub struct PageHinkley {
    settings: PageHinkleySettings,
    count: u64,
    mean: f64,
    /// The sum for an increase and the least that it was.
    rise: (f64, f64),
    /// The sum for a decrease and the most that it was.
    fall: (f64, f64),
}

impl PageHinkley {
    /// Has seen nothing.
    pub fn new(settings: PageHinkleySettings) -> Self {
        Self {
            settings,
            count: 0,
            mean: 0.0,
            rise: (0.0, f64::INFINITY),
            fall: (0.0, f64::NEG_INFINITY),
        }
    }

    /// Takes one more value; says whether the mean has changed.
    pub fn observe(&mut self, value: f64) -> bool {
        let PageHinkleySettings {
            fewest,
            delta,
            threshold,
            memory,
        } = self.settings;
        self.count += 1;
        self.mean += (value - self.mean) / self.count as f64;
        let distance = value - self.mean;
        self.rise.0 = memory * self.rise.0 + distance - delta;
        self.fall.0 = memory * self.fall.0 + distance + delta;
        self.rise.1 = self.rise.1.min(self.rise.0);
        self.fall.1 = self.fall.1.max(self.fall.0);
        let is_change = self.rise.0 - self.rise.1 > threshold || self.fall.1 - self.fall.0 > threshold;
        if self.count < fewest || !is_change {
            return false;
        }
        *self = Self::new(self.settings);
        true
    }
}
