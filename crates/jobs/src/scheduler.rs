//! The clock of the house: enqueues the jobs of due schedules, in exactly one process among several.

use std::str::FromStr;
use std::time::Duration;

use hone_domain::{Ids, JobId, MissedRuns, ProjectId, SECOND_US};
use hone_storage::schedules::Schedule;
use hone_storage::{Conn, Db, StorageError, jobs, leases, schedules};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LEASE_NAME: &str = "scheduler";
/// Another process takes the clock over when its holder was not heard of for so long.
const LEASE_US: i64 = 6 * SECOND_US;
const TICK: Duration = Duration::from_secs(1);
const MAX_ATTEMPTS: i64 = 3;
/// A run that starts later than this was missed.
const LATE_US: i64 = 60 * SECOND_US;

/// A cron expression that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "\"{expression}\" cannot be used ({problem}); write five fields such as */30 * * * *, and a time zone such as Europe/Berlin"
)]
pub struct InvalidCron {
    expression: String,
    problem: String,
}

/// When a cron expression is due next after a time, in microseconds since the epoch. It is read in a time zone of the IANA database,
/// such as `Europe/Berlin`: what the clock passes over when it is put forward runs right after, what it shows twice when it is put
/// back runs once.
pub fn next_occurrence_us(expression: &str, time_zone: &str, after_us: i64) -> Result<i64, InvalidCron> {
    let refuse = |problem: String| InvalidCron {
        expression: expression.to_owned(),
        problem,
    };
    let zone = jiff::tz::TimeZone::get(time_zone).map_err(|error| refuse(error.to_string()))?;
    let cron = croner::Cron::from_str(expression).map_err(|error| refuse(error.to_string()))?;
    let after = jiff::Timestamp::from_microsecond(after_us)
        .map_err(|error| refuse(error.to_string()))?
        .to_zoned(zone);
    let next = cron
        .find_next_occurrence(&after, false)
        .map_err(|error| refuse(error.to_string()))?;
    Ok(next.timestamp().as_microsecond())
}

/// Enqueues due schedules while it holds the lease.
#[derive(Debug, Clone)]
pub struct Scheduler {
    db: Db,
    ids: Ids,
    holder: Uuid,
}

impl Scheduler {
    /// A scheduler that competes for the lease under an id of its own.
    pub fn new(db: Db, ids: Ids) -> Self {
        let holder = ids.next();
        Self { db, ids, holder }
    }

    /// Ticks every second until `stop`; then gives the lease back.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.tick().await {
                tracing::warn!(%error, "scheduler tick failed");
            }
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = stop.cancelled() => {}
            }
        }
        if let Err(error) = self.release().await {
            tracing::debug!(%error, "scheduler lease not released");
        }
    }

    /// Takes or keeps the lease and, as its holder, enqueues what is due; gives whether it is the leader. A schedule
    /// whose times were missed runs once, or not, as its rule says.
    pub async fn tick(&self) -> Result<bool, StorageError> {
        let now_us = self.ids.now_us();
        let mut conn = self.db.begin().await?;
        let leader = leases::acquire(&mut conn, LEASE_NAME, self.holder, now_us, now_us + LEASE_US)
            .await?
            .is_some();
        if leader {
            for schedule in schedules::list_due(&mut conn, now_us).await? {
                self.enqueue(&mut conn, &schedule, now_us).await?;
            }
        }
        conn.commit().await?;
        Ok(leader)
    }

    async fn enqueue(&self, conn: &mut Conn, schedule: &Schedule, now_us: i64) -> Result<(), StorageError> {
        let next_at_us = match next_occurrence_us(&schedule.cron, &schedule.time_zone, now_us) {
            Ok(next_at_us) => next_at_us,
            Err(error) => {
                tracing::error!(schedule = schedule.name, %error, "schedule cannot run");
                now_us + 3_600 * SECOND_US
            }
        };
        let is_missed = now_us - schedule.next_at_us > LATE_US;
        let is_left_out = is_missed && schedule.missed == MissedRuns::Skip;
        let ran_at_us = (!is_left_out).then_some(now_us);
        if !schedules::advance(conn, schedule, next_at_us, ran_at_us).await? || is_left_out {
            return Ok(());
        }
        jobs::enqueue(conn, &job_of(schedule, self.ids.next(), now_us)).await?;
        Ok(())
    }

    async fn release(&self) -> Result<(), StorageError> {
        let mut conn = self.db.begin().await?;
        leases::release(&mut conn, LEASE_NAME, self.holder).await?;
        conn.commit().await
    }
}

/// The job of a schedule: of one schedule, one waits at a time, and none is run while another runs.
fn job_of(schedule: &Schedule, id: JobId, now_us: i64) -> jobs::NewJob {
    jobs::NewJob {
        id,
        project_id: ProjectId(schedule.project_id),
        task_id: None,
        kind: schedule.kind.clone(),
        payload: schedule.payload.clone(),
        unique_key: Some(format!("schedule:{}", schedule.id)),
        run_at_us: now_us,
        max_attempts: MAX_ATTEMPTS,
        created_at_us: now_us,
    }
}

/// Runs a schedule now, in the caller's transaction; gives the job, which is the one that waits if there is one.
pub async fn run_now(conn: &mut Conn, ids: &Ids, schedule: &Schedule) -> Result<JobId, StorageError> {
    let now_us = ids.now_us();
    schedules::note_run(conn, schedule, now_us).await?;
    jobs::enqueue(conn, &job_of(schedule, ids.next(), now_us)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_expressions_give_the_next_time_or_a_clear_error() {
        // 2026-01-18T07:00:00Z
        let now_us = 1_768_719_600_000_000;
        assert_eq!(
            next_occurrence_us("*/30 * * * *", "UTC", now_us).unwrap(),
            now_us + 1_800 * SECOND_US
        );
        assert_eq!(
            next_occurrence_us("0 3 * * *", "UTC", now_us).unwrap(),
            now_us + 20 * 3_600 * SECOND_US
        );
        assert!(
            next_occurrence_us("every day", "UTC", now_us)
                .unwrap_err()
                .to_string()
                .contains("five fields")
        );
        let error = next_occurrence_us("0 3 * * *", "Europe/Nowhere", now_us).unwrap_err();
        assert!(error.to_string().contains("Europe/Nowhere"), "{error}");
    }

    #[test]
    fn a_day_on_which_the_clock_is_changed_has_its_run_once() {
        // In Berlin 02:30 does not exist on 2026-03-29 and exists twice on 2026-10-25.
        for (from, to) in [("2026-03-27", "2026-04-01"), ("2026-10-23", "2026-10-28")] {
            let start: jiff::civil::Date = from.parse().unwrap();
            let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
            let start = start.to_zoned(zone.clone()).unwrap();
            let mut at_us = start.timestamp().as_microsecond();
            let mut days = Vec::new();
            loop {
                at_us = next_occurrence_us("30 2 * * *", "Europe/Berlin", at_us).unwrap();
                let at = jiff::Timestamp::from_microsecond(at_us)
                    .unwrap()
                    .to_zoned(zone.clone());
                if at.date().to_string().as_str() >= to {
                    break;
                }
                days.push(at.date().to_string());
            }
            let mut all = start.date();
            for day in &days {
                assert_eq!(*day, all.to_string(), "{days:?}");
                all = all.tomorrow().unwrap();
            }
            assert_eq!(days.len(), 5, "{days:?}");
        }
        // Every half hour is every half hour, whatever the clock shows.
        let mut at_us = 1_774_746_000_000_000;
        for _ in 0..8 {
            let next_us = next_occurrence_us("*/30 * * * *", "Europe/Berlin", at_us).unwrap();
            assert_eq!(next_us - at_us, 1_800 * SECOND_US);
            at_us = next_us;
        }
    }
}
