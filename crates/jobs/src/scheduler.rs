//! The clock of the house: enqueues the jobs of due schedules, in exactly one process among several.

use std::str::FromStr;
use std::time::Duration;

use hone_domain::{Ids, ProjectId, SECOND_US};
use hone_storage::schedules::Schedule;
use hone_storage::{Db, StorageError, jobs, leases, schedules};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LEASE_NAME: &str = "scheduler";
/// Another process takes the clock over when its holder was not heard of for so long.
const LEASE_US: i64 = 6 * SECOND_US;
const TICK: Duration = Duration::from_secs(1);
const MAX_ATTEMPTS: i64 = 3;

/// A cron expression that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("\"{expression}\" is no cron expression ({problem}); write five fields such as */30 * * * *")]
pub struct InvalidCron {
    expression: String,
    problem: String,
}

/// When a cron expression (UTC) is due next after a time, in microseconds since the epoch.
pub fn next_occurrence_us(expression: &str, after_us: i64) -> Result<i64, InvalidCron> {
    let refuse = |problem: String| InvalidCron {
        expression: expression.to_owned(),
        problem,
    };
    let cron = croner::Cron::from_str(expression).map_err(|error| refuse(error.to_string()))?;
    let after = jiff::Timestamp::from_microsecond(after_us)
        .map_err(|error| refuse(error.to_string()))?
        .to_zoned(jiff::tz::TimeZone::UTC);
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
    /// whose times were missed runs once.
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

    async fn enqueue(
        &self,
        conn: &mut hone_storage::Conn,
        schedule: &Schedule,
        now_us: i64,
    ) -> Result<(), StorageError> {
        let next_at_us = match next_occurrence_us(&schedule.cron, now_us) {
            Ok(next_at_us) => next_at_us,
            Err(error) => {
                tracing::error!(schedule = schedule.name, %error, "schedule cannot run");
                now_us + 3_600 * SECOND_US
            }
        };
        if !schedules::advance(conn, schedule, next_at_us).await? {
            return Ok(());
        }
        let job = jobs::NewJob {
            id: self.ids.next(),
            project_id: ProjectId(schedule.project_id),
            task_id: None,
            kind: schedule.kind.clone(),
            payload: schedule.payload.clone(),
            // Never two of the same schedule waiting at once.
            unique_key: Some(format!("schedule:{}", schedule.id)),
            run_at_us: now_us,
            max_attempts: MAX_ATTEMPTS,
            created_at_us: now_us,
        };
        jobs::enqueue(conn, &job).await.map(|_| ())
    }

    async fn release(&self) -> Result<(), StorageError> {
        let mut conn = self.db.begin().await?;
        leases::release(&mut conn, LEASE_NAME, self.holder).await?;
        conn.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_expressions_give_the_next_time_or_a_clear_error() {
        // 2026-01-18T07:00:00Z
        let now_us = 1_768_719_600_000_000;
        assert_eq!(
            next_occurrence_us("*/30 * * * *", now_us).unwrap(),
            now_us + 1_800 * SECOND_US
        );
        assert_eq!(
            next_occurrence_us("0 3 * * *", now_us).unwrap(),
            now_us + 20 * 3_600 * SECOND_US
        );
        assert!(
            next_occurrence_us("every day", now_us)
                .unwrap_err()
                .to_string()
                .contains("five fields")
        );
    }
}
