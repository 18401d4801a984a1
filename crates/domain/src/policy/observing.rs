//! What counts as ready, as good and as excellent, and how long counts are kept.

use crate::{InvalidInput, policy::MAX_THRESHOLD};

/// When a task is said to be ready for training and how its health is named.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ObservingPolicy {
    /// With so much feedback the task is ready for training.
    pub ready_feedback: i64,
    /// With so much feedback it is at its best for training.
    pub optimal_feedback: i64,
    /// So much new feedback since the last training makes another one worth while.
    pub new_feedback: i64,
    /// From this approval on (0 to 1) the task does well.
    pub good_approval: f64,
    /// From this approval on (0 to 1) it does excellently.
    pub excellent_approval: f64,
    /// The approval is of the last so many hours.
    pub window_hours: i64,
    /// With fewer outcomes in that time nothing is said of it.
    pub min_outcomes: i64,
    /// Counts by the minute are kept for so many days.
    pub keep_minutes_days: i64,
    /// Counts by the hour are kept for so many days; counts by the day for ever.
    pub keep_hours_days: i64,
}

impl Default for ObservingPolicy {
    fn default() -> Self {
        Self {
            ready_feedback: 500,
            optimal_feedback: 1_000,
            new_feedback: 500,
            good_approval: 0.75,
            excellent_approval: 0.85,
            window_hours: 24,
            min_outcomes: 20,
            keep_minutes_days: 3,
            keep_hours_days: 400,
        }
    }
}

impl ObservingPolicy {
    pub(super) fn validate(&self) -> Result<(), InvalidInput> {
        let pointer = |field: &str| format!("/policy/observing/{field}");
        for (field, share) in [
            ("good_approval", self.good_approval),
            ("excellent_approval", self.excellent_approval),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(InvalidInput::field(pointer(field), "give a number from 0 to 1"));
            }
        }
        if self.good_approval > self.excellent_approval {
            let detail = "is above excellent_approval; give one that is not";
            return Err(InvalidInput::field(pointer("good_approval"), detail));
        }
        for (field, count) in [
            ("ready_feedback", self.ready_feedback),
            ("optimal_feedback", self.optimal_feedback),
            ("new_feedback", self.new_feedback),
            ("min_outcomes", self.min_outcomes),
        ] {
            if !(0..=MAX_THRESHOLD).contains(&count) {
                return Err(InvalidInput::field(pointer(field), "give 0 to 1000000000"));
            }
        }
        // A window of more than three hours is counted by hours, a shorter one by minutes.
        if !(1..=24 * 365).contains(&self.window_hours) {
            return Err(InvalidInput::field(pointer("window_hours"), "give 1 to 8760"));
        }
        for (field, days) in [
            ("keep_minutes_days", self.keep_minutes_days),
            ("keep_hours_days", self.keep_hours_days),
        ] {
            if !(1..=36_500).contains(&days) {
                return Err(InvalidInput::field(pointer(field), "give 1 to 36500 days"));
            }
        }
        Ok(())
    }
}
