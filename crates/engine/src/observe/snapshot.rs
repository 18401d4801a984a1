//! Snapshots: a task's metrics frozen for an hour, a day, a week or a month, as they were when it had ended.

use std::collections::BTreeMap;

use hone_domain::{DAY_US, Dimension, Grain, Measure, SnapshotPeriod, Sums, TaskId};
use hone_storage::rollups::{self, Stretch};
use hone_storage::snapshots::{self, Snapshot};
use hone_storage::tasks::Task;
use hone_storage::{Conn, progress};
use uuid::Uuid;

use super::metrics::{Indicators, ScoreMean, Span, ValueMetrics, by_value, indicators, scores_by_value};
use crate::{Engine, EngineError};

/// What is frozen.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Frozen {
    /// Indicators of the period.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub totals: Indicators,
    /// Named scores of the period.
    pub scores: BTreeMap<String, ScoreMean>,
    /// Indicators of the period by version, action type, label and source.
    pub by: BTreeMap<&'static str, Vec<ValueMetrics>>,
    /// The version that served when the snapshot was taken.
    pub serving: Option<String>,
    /// Examples that a training could have used then.
    pub usable_examples: i64,
}

impl Engine {
    /// Freezes the metrics of the current hour, day, week or month up to now. One with the id that is asked for is not taken twice.
    pub async fn take_snapshot(
        &self,
        task: &Task,
        period: SnapshotPeriod,
        id: Option<Uuid>,
    ) -> Result<Snapshot, EngineError> {
        let now_us = self.ids.now_us();
        let mut conn = self.db.begin().await?;
        if let Some(id) = id
            && let Some(earlier) = snapshots::find(&mut conn, task.project(), id).await?
        {
            let is_same = (earlier.task_id, earlier.period) == (task.id, period);
            return if is_same {
                Ok(earlier)
            } else {
                Err(EngineError::id_is_taken("snapshot", id))
            };
        }
        let mut snapshot = self
            .frozen(&mut conn, task, period, period.start_us(now_us), now_us + 1)
            .await?;
        snapshot.id = id.unwrap_or(snapshot.id);
        snapshots::insert(&mut conn, &snapshot).await?;
        conn.commit().await?;
        Ok(snapshot)
    }

    /// Freezes hours, days, weeks and months that have ended and of which something was counted, and forgets counts by the minute
    /// and hour that are older than the task's policy says; gives how many were frozen.
    pub(crate) async fn take_snapshots(&self, conn: &mut Conn, task: &Task) -> Result<usize, EngineError> {
        let now_us = self.ids.now_us();
        let mut taken = 0;
        for &period in SnapshotPeriod::ALL {
            let last_us = snapshots::find_last_end(conn, task.task_id(), period).await?;
            let oldest_us = period.start_us(now_us - period.made_up_us());
            let mut from_us = last_us.map_or(oldest_us, |last_us| period.start_us(last_us).max(oldest_us));
            let current_us = period.start_us(now_us);
            while from_us < current_us {
                // Longer than any period, so that it lies in the next one; of months that is the one after the next at most.
                let to_us = next_start_us(period, from_us);
                if was_used(conn, task.task_id(), from_us, to_us).await? {
                    let snapshot = self.frozen(conn, task, period, from_us, to_us).await?;
                    taken += usize::from(snapshots::insert(conn, &snapshot).await?);
                }
                from_us = to_us;
            }
        }
        let policy = &task.policy.observing;
        for (grain, days) in [
            (Grain::Minute, policy.keep_minutes_days),
            (Grain::Hour, policy.keep_hours_days),
        ] {
            rollups::prune(conn, task.task_id(), grain, now_us - days * DAY_US).await?;
        }
        Ok(taken)
    }

    async fn frozen(
        &self,
        conn: &mut Conn,
        task: &Task,
        period: SnapshotPeriod,
        from_us: i64,
        to_us: i64,
    ) -> Result<Snapshot, EngineError> {
        let span = Span {
            grain: grain_of(period),
            from_us,
            to_us,
        };
        let all = span.stretch(task, Dimension::All);
        let found = rollups::list_totals(conn, &all, 1).await?;
        let sums = found.first().map(|found| found.sums).unwrap_or_default();
        let mut by = BTreeMap::new();
        for &dimension in Dimension::ALL {
            if dimension != Dimension::All {
                by.insert(dimension.as_str(), by_value(conn, &span, task, dimension).await?);
            }
        }
        let body = Frozen {
            totals: indicators(&sums, span.minutes()),
            scores: scores_by_value(conn, &all).await?.remove("").unwrap_or_default(),
            by,
            serving: self
                .served(task)
                .ok()
                .map(|served| served.version.version.clone()),
            usable_examples: progress::get(conn, task.task_id()).await?.usable_examples,
        };
        Ok(Snapshot {
            id: self.ids.next(),
            project_id: task.project_id,
            task_id: task.id,
            period,
            from_us,
            to_us,
            body: serde_json::json!(body),
            created_at_us: self.ids.now_us(),
        })
    }
}

/// When the period after the one begins that begins then.
fn next_start_us(period: SnapshotPeriod, start_us: i64) -> i64 {
    let within_next_us = match period {
        SnapshotPeriod::Hourly => start_us + Grain::Hour.length_us(),
        SnapshotPeriod::Daily => start_us + DAY_US,
        SnapshotPeriod::Weekly => start_us + 7 * DAY_US,
        // The first days of the next month, whatever this one's length.
        SnapshotPeriod::Monthly => start_us + 32 * DAY_US,
    };
    period.start_us(within_next_us)
}

/// What the counts of a period are added up from.
const fn grain_of(period: SnapshotPeriod) -> Grain {
    match period {
        SnapshotPeriod::Hourly => Grain::Hour,
        SnapshotPeriod::Daily | SnapshotPeriod::Weekly | SnapshotPeriod::Monthly => Grain::Day,
    }
}

async fn was_used(conn: &mut Conn, task: TaskId, from_us: i64, to_us: i64) -> Result<bool, EngineError> {
    let stretch = Stretch {
        task,
        grain: Grain::Hour,
        dimension: Dimension::All,
        from_us,
        to_us,
    };
    let found = rollups::list_totals(conn, &stretch, 1).await?;
    let sums = found.first().map(|found| found.sums).unwrap_or_default();
    let of = |measure: Measure| Sums::get(&sums, measure);
    Ok(of(Measure::Interactions) + of(Measure::Feedback) > 0)
}
