//! Curation and review: label errors, active learning, what one more item costs however many there are, exports.

mod active;
mod growth;
mod labels;

use super::report::append;

pub(crate) fn run() -> anyhow::Result<()> {
    let mut table = String::new();
    labels::rows(&mut table)?;
    table.push('\n');
    active::rows(&mut table)?;
    table.push('\n');
    growth::rows(&mut table)?;
    append("curation", &table)
}

/// Repeatable draws (SplitMix64).
pub(crate) struct Draws(u64);

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Takes so many out, each equally likely.
    fn take(&mut self, from: &mut Vec<usize>, count: usize) -> Vec<usize> {
        (0..count.min(from.len()))
            .map(|_| {
                let place = self.below(from.len() as u64) as usize;
                from.swap_remove(place)
            })
            .collect()
    }
}
