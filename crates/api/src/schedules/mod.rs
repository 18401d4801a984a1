//! What runs by the clock, over HTTP.

pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod run;
pub(crate) mod set;

use hone_domain::{MissedRuns, ScheduledAction, format_rfc3339};
use hone_engine::action_of;
use hone_storage::schedules::Schedule;

/// A step of the loop that runs by the clock.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ScheduleBody {
    name: String,
    action: ScheduledAction,
    /// Only of this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    cron: String,
    time_zone: String,
    missed: MissedRuns,
    paused: bool,
    /// When it is due next, unless it is paused.
    next_at: String,
    /// When it was started last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<String>,
}

impl From<Schedule> for ScheduleBody {
    fn from(row: Schedule) -> Self {
        let (action, task) = action_of(&row);
        Self {
            name: row.name,
            action,
            task,
            cron: row.cron,
            time_zone: row.time_zone,
            missed: row.missed,
            paused: row.paused,
            next_at: format_rfc3339(row.next_at_us),
            last_at: row.last_at_us.map(format_rfc3339),
        }
    }
}
