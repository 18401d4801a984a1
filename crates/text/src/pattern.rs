//! Patterns that are constants of this crate, compiled when they are first used.

use regex::{Regex, RegexSet};

/// Compiles a pattern.
#[expect(
    clippy::expect_used,
    reason = "every pattern is a constant that a test compiles"
)]
pub(crate) fn compiled(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is well-formed")
}

/// Compiles patterns that are looked for together.
#[expect(
    clippy::expect_used,
    reason = "every pattern is a constant that a test compiles"
)]
pub(crate) fn compiled_set<const N: usize>(texts: [&str; N]) -> RegexSet {
    RegexSet::new(texts).expect("the patterns are well-formed")
}

/// Names a pattern: `pattern!(NAME, r"…")`.
macro_rules! pattern {
    ($name:ident, $regex:expr) => {
        static $name: std::sync::LazyLock<regex::Regex> =
            std::sync::LazyLock::new(|| crate::pattern::compiled($regex));
    };
}
pub(crate) use pattern;
