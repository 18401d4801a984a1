//! What is observed of a task: counts and sums by minute, hour and day, the indicators that are derived from them, and the rules
//! that alert people. Numbers only; who counts is `engine`, who keeps them `storage`.

mod indicator;
mod rule;
mod sums;

pub use indicator::Indicator;
pub use rule::{AlertMetric, AlertRule, AlertState, RouteKind, Severity};
pub use sums::{LATENCY_BUCKETS_US, Measure, Sums};

use crate::clock::start_of_month_us;
use crate::{DAY_US, HOUR_US, MINUTE_US, spelled_enum};

spelled_enum! {
    /// Length of the stretches of time that are counted, from UTC midnight.
    Grain ("grain") {
        /// A minute.
        Minute = "minute",
        /// An hour.
        Hour = "hour",
        /// A day.
        Day = "day",
    }
}

impl Grain {
    /// Its length, in microseconds.
    pub const fn length_us(self) -> i64 {
        match self {
            Self::Minute => MINUTE_US,
            Self::Hour => HOUR_US,
            Self::Day => DAY_US,
        }
    }

    /// When the stretch begins in which this moment lies.
    pub const fn start_us(self, at_us: i64) -> i64 {
        at_us - at_us.rem_euclid(self.length_us())
    }
}

spelled_enum! {
    /// What counts are broken down by.
    Dimension ("dimension") {
        /// Nothing: all of a task.
        All = "all",
        /// The registered version that answered, or the provider's model.
        Version = "version",
        /// The kind of action.
        ActionType = "action_type",
        /// The label that was answered.
        Label = "label",
        /// Who answered.
        Source = "source",
    }
}

spelled_enum! {
    /// How long the period of a snapshot is.
    SnapshotPeriod ("snapshot period") {
        /// An hour.
        Hourly = "hourly",
        /// A day.
        Daily = "daily",
        /// Seven days, from Monday.
        Weekly = "weekly",
        /// A calendar month.
        Monthly = "monthly",
    }
}

impl SnapshotPeriod {
    /// When the period begins in which this moment lies, in UTC.
    pub fn start_us(self, at_us: i64) -> i64 {
        match self {
            Self::Hourly => Grain::Hour.start_us(at_us),
            Self::Daily => Grain::Day.start_us(at_us),
            // The first of January 1970 was a Thursday.
            Self::Weekly => at_us - (at_us + 3 * DAY_US).rem_euclid(7 * DAY_US),
            Self::Monthly => start_of_month_us(at_us),
        }
    }

    /// How far back missed snapshots are made up for, in microseconds.
    pub const fn made_up_us(self) -> i64 {
        match self {
            Self::Hourly => 2 * DAY_US,
            Self::Daily => 14 * DAY_US,
            Self::Weekly => 56 * DAY_US,
            Self::Monthly => 100 * DAY_US,
        }
    }
}

spelled_enum! {
    /// A period up to now that metrics are asked for of.
    Period ("period") {
        /// The last 60 minutes.
        Hour = "hour",
        /// The last 24 hours.
        Day = "day",
        /// The last 7 days.
        Week = "week",
        /// The last 30 days.
        Month = "month",
        /// All time.
        All = "all",
    }
}

impl Period {
    /// Its length, in microseconds; absent for all time.
    pub const fn length_us(self) -> Option<i64> {
        match self {
            Self::Hour => Some(HOUR_US),
            Self::Day => Some(DAY_US),
            Self::Week => Some(7 * DAY_US),
            Self::Month => Some(30 * DAY_US),
            Self::All => None,
        }
    }
}

spelled_enum! {
    /// Whether there is enough feedback for a training.
    ReadinessLevel ("readiness level") {
        /// Not enough.
        NotReady = "not_ready",
        /// Enough.
        Ready = "ready",
        /// As much as does it good.
        Optimal = "optimal",
    }
}

spelled_enum! {
    /// Whether a task works as it should.
    HealthStatus ("health status") {
        /// Nothing is wrong.
        Healthy = "healthy",
        /// Something should be looked at.
        Degraded = "degraded",
        /// Something has to be done at once.
        Unhealthy = "unhealthy",
    }
}

spelled_enum! {
    /// How people like the answers.
    HealthLabel ("health label") {
        /// Very much.
        Excellent = "excellent",
        /// Well.
        Good = "good",
        /// Not well enough.
        NeedsImprovement = "needs_improvement",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_rfc3339;

    #[test]
    fn periods_begin_at_hours_midnights_mondays_and_first_days() {
        let at = |text: &str| parse_rfc3339(text).unwrap();
        let sunday_us = at("2026-03-01T10:20:30Z");
        for (period, start) in [
            (SnapshotPeriod::Hourly, "2026-03-01T10:00:00Z"),
            (SnapshotPeriod::Daily, "2026-03-01T00:00:00Z"),
            (SnapshotPeriod::Weekly, "2026-02-23T00:00:00Z"),
            (SnapshotPeriod::Monthly, "2026-03-01T00:00:00Z"),
        ] {
            assert_eq!(period.start_us(sunday_us), at(start), "{period}");
            assert_eq!(period.start_us(at(start)), at(start), "{period}");
        }
        assert_eq!(
            SnapshotPeriod::Monthly.start_us(at("2026-02-28T23:59:59Z")),
            at("2026-02-01T00:00:00Z")
        );
    }
}
