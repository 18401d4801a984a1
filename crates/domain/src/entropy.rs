//! Randomness: the `Entropy` that ids, keys and seeds are drawn from, the system's one and a repeatable one for tests.

use std::sync::atomic::{AtomicU64, Ordering};

/// Fills buffers with random bytes; passed in, never read from a global.
pub trait Entropy: Send + Sync + std::fmt::Debug {
    /// Overwrites the whole buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's generator.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's randomness"
    )]
    #[expect(
        clippy::panic,
        reason = "without the system's randomness no key or id may be made at all"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        if let Err(error) = getrandom::fill(buffer) {
            panic!("the operating system gave no random bytes: {error}");
        }
    }
}

/// A repeatable stream: BLAKE3 of a seed and a counter. For tests and simulations only.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    counter: AtomicU64,
}

impl SeededEntropy {
    /// Starts the stream that belongs to this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            counter: AtomicU64::new(0),
        }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let position = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&self.seed.to_le_bytes())
            .update(&position.to_le_bytes());
        hasher.finalize_xof().fill(buffer);
    }
}
