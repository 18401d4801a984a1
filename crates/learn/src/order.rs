//! Seeded random orders: permutations, and orders that are random enough to converge but kind to caches.

/// Neighbours that are visited close together.
const RUN: usize = 32;
/// Runs whose examples are mixed.
const RUNS_PER_POOL: usize = 32;

/// `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014): small, seedable, good enough for permutations.
pub(crate) struct SplitMix(u64);

impl SplitMix {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One or minus one.
    pub(crate) fn sign(&mut self) -> f64 {
        if self.next() >> 63 == 0 { 1.0 } else { -1.0 }
    }

    /// Fisher-Yates; the bias of a 64-bit remainder is far below anything that matters here.
    pub(crate) fn shuffle(&mut self, items: &mut [u32]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }

    /// The numbers below `count` in random order.
    pub(crate) fn permutation(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        self.shuffle(&mut order);
        order
    }

    /// Leaves the numbers below `count` in `order`: runs of neighbours in random order, mixed within pools of runs.
    ///
    /// A permutation of a million examples misses the cache at every visit. Fixed chunks shuffled inside do not, but
    /// coordinate descent then needs up to four times the epochs; with pools of runs that change every time it needs as
    /// many as with a permutation (docs/adr/0006-visiting-order.md).
    pub(crate) fn local_permutation(&mut self, count: usize, order: &mut Vec<u32>) {
        order.clear();
        let runs = self.permutation(count.div_ceil(RUN));
        for pool in runs.chunks(RUNS_PER_POOL) {
            let start = order.len();
            for &run in pool {
                let first = run as usize * RUN;
                order.extend(first as u32..(first + RUN).min(count) as u32);
            }
            self.shuffle(&mut order[start..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_permutation_holds_every_number_once() {
        for count in [0, 1, 31, 32, 33, 5_000] {
            let mut order = Vec::new();
            SplitMix::new(7).local_permutation(count, &mut order);
            order.sort_unstable();
            assert_eq!(order, (0..count as u32).collect::<Vec<_>>());
        }
    }
}
