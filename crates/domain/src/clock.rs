//! Time: the `Clock` that everything receives as a parameter, the system's one and one that tests move.
//!
//! Times are microseconds since the Unix epoch, UTC, as `i64`; fields that hold one end in `_us`.

use std::sync::atomic::{AtomicI64, Ordering};

/// Microseconds in a second.
pub const SECOND_US: i64 = 1_000_000;
/// Microseconds in an hour.
pub const HOUR_US: i64 = 3_600 * SECOND_US;
/// A minute in microseconds.
pub const MINUTE_US: i64 = 60 * SECOND_US;
/// A day of 24 hours in microseconds.
pub const DAY_US: i64 = 24 * HOUR_US;

/// Tells the time; passed in, never read from a global.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Microseconds since the Unix epoch, UTC.
    fn now_us(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now_us(&self) -> i64 {
        jiff::Timestamp::now().as_microsecond()
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Starts at the given time (microseconds since the epoch).
    pub fn at(now_us: i64) -> Self {
        Self(AtomicI64::new(now_us))
    }

    /// Moves forward (or back, when negative) by this many microseconds.
    pub fn advance_us(&self, delta_us: i64) {
        self.0.fetch_add(delta_us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Writes microseconds since the epoch as RFC 3339 in UTC (`2026-01-18T07:00:00Z`).
///
/// Times outside the years -9999 to 9999 are written as the nearest representable one.
pub fn format_rfc3339(time_us: i64) -> String {
    let clamped = time_us.clamp(
        jiff::Timestamp::MIN.as_microsecond(),
        jiff::Timestamp::MAX.as_microsecond(),
    );
    jiff::Timestamp::from_microsecond(clamped).map_or_else(|_| String::new(), |time| time.to_string())
}

/// Reads an RFC 3339 time with any offset into microseconds since the epoch.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_microsecond)
}

/// When the month begins in which this moment lies, in UTC.
pub(crate) fn start_of_month_us(time_us: i64) -> i64 {
    let time = jiff::Timestamp::from_microsecond(time_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let first = time.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month();
    let start = first.to_zoned(jiff::tz::TimeZone::UTC);
    start.map_or(time_us, |start| start.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_writing_and_reading() {
        for time_us in [0, 1, 1_768_719_600_000_000, -62_135_596_800_000_000] {
            assert_eq!(parse_rfc3339(&format_rfc3339(time_us)), Some(time_us));
        }
        assert_eq!(
            parse_rfc3339("2026-01-18T08:00:00+01:00"),
            Some(1_768_719_600_000_000)
        );
        assert_eq!(parse_rfc3339("yesterday"), None);
    }
}
