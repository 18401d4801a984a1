//! Budgets and rate limits: what keys, tasks and projects may use in a minute and in a day.
//!
//! Each server counts what it lets through and adds it to the database four times a second, where it learns what the other
//! servers used. So several servers together may go over a limit by what they use in a quarter of a second. Requests count
//! when they come; tokens and cost when they are known.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hone_domain::{DAY_US, LimitedQuantity, Limits, MINUTE_US, ProjectId, SECOND_US};
use hone_storage::usage::{self, Usage, UsageWindow};
use hone_storage::{Db, StorageError};
use uuid::Uuid;

use crate::refusal::{Refusal, RefusalKind};

/// How often counts are added to the database.
pub(crate) const FLUSH: Duration = Duration::from_millis(250);
/// Windows are forgotten so long after they began.
const KEPT_US: i64 = 3 * DAY_US;

/// Somebody with limits.
#[derive(Debug, Clone)]
pub(crate) struct LimitedOwner {
    pub id: Uuid,
    /// What it is, for messages: `key "mobile"`.
    pub shown: String,
    pub limits: Limits,
}

/// Counts of all windows that are in use.
#[derive(Debug)]
pub(crate) struct LimitKeeper {
    db: Db,
    windows: Mutex<HashMap<UsageWindow, Count>>,
}

#[derive(Debug)]
struct Count {
    project: ProjectId,
    /// In the database, of all servers.
    stored: Usage,
    /// Not yet in the database.
    pending: Usage,
    /// On its way into the database; counts until it is known what is there.
    flushing: Usage,
}

/// A request that was let through; what it used is added when it is known.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    project: Option<ProjectId>,
    windows: Vec<UsageWindow>,
}

impl LimitKeeper {
    pub fn new(db: Db) -> Self {
        Self {
            db,
            windows: Mutex::default(),
        }
    }

    /// Counts a request, or refuses it and says which limit is used up and until when.
    pub async fn admit(
        &self,
        project: ProjectId,
        owners: &[LimitedOwner],
        now_us: i64,
    ) -> Result<Admission, Refusal> {
        let mut windows = Vec::new();
        for owner in owners {
            for (length_us, allowance) in [
                (MINUTE_US, owner.limits.per_minute),
                (DAY_US, owner.limits.per_day),
            ] {
                if allowance.is_unlimited() {
                    continue;
                }
                let start_us = now_us - now_us.rem_euclid(length_us);
                let window = UsageWindow {
                    owner: owner.id,
                    length_us,
                    start_us,
                };
                let used = self
                    .used(project, &window)
                    .await
                    .map_err(|error| Refusal::of_database("usage cannot be read", &error))?;
                if let Some(quantity) = allowance.exhausted(used.requests, used.tokens, used.cost_micro_usd) {
                    return Err(refusal(owner, &window, quantity, now_us));
                }
                windows.push(window);
            }
        }
        let one = Usage {
            requests: 1,
            ..Usage::default()
        };
        self.add(project, &windows, one);
        Ok(Admission {
            project: Some(project),
            windows,
        })
    }

    /// Adds the tokens and the cost of a request that was let through.
    pub fn settle(&self, admission: &Admission, tokens: i64, cost_micro_usd: i64) {
        let used = Usage {
            requests: 0,
            tokens,
            cost_micro_usd,
        };
        if let Some(project) = admission.project {
            self.add(project, &admission.windows, used);
        }
    }

    /// Adds what was counted to the database, learns what other servers counted, and forgets what is over.
    pub async fn flush(&self, now_us: i64) -> Result<(), StorageError> {
        let mut pending: Vec<(UsageWindow, ProjectId, Usage)> = {
            let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
            windows.retain(|window, count| {
                count.pending != Usage::default() || window.start_us + window.length_us > now_us
            });
            let taken = windows
                .iter_mut()
                .map(|(window, count)| (*window, count.project, count.begin_flush()));
            taken.collect()
        };
        if pending.is_empty() {
            return Ok(());
        }
        // In one order on every server, so that none waits for another in a circle.
        pending.sort_unstable_by_key(|&(window, ..)| window);
        let stored = self.store(&pending, now_us).await;
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, (window, project, used)) in pending.iter().enumerate() {
            let count = windows.entry(*window).or_insert_with(|| Count::new(*project));
            count.flushing = Usage::default();
            match &stored {
                Ok(stored) => count.stored = stored[index],
                Err(_) => count.pending.add(used),
            }
        }
        stored.map(|_| ())
    }

    async fn store(
        &self,
        pending: &[(UsageWindow, ProjectId, Usage)],
        now_us: i64,
    ) -> Result<Vec<Usage>, StorageError> {
        let mut stored = Vec::with_capacity(pending.len());
        if pending.iter().all(|(.., used)| *used == Usage::default()) {
            let mut conn = self.db.read().await?;
            for (window, ..) in pending {
                stored.push(usage::get(&mut conn, window).await?);
            }
            return Ok(stored);
        }
        let mut conn = self.db.begin().await?;
        for (window, project, used) in pending {
            stored.push(usage::add(&mut conn, *project, window, used).await?);
        }
        usage::delete_before(&mut conn, now_us - KEPT_US).await?;
        conn.commit().await?;
        Ok(stored)
    }

    async fn used(&self, project: ProjectId, window: &UsageWindow) -> Result<Usage, StorageError> {
        if let Some(known) = self.known(window) {
            return Ok(known);
        }
        let stored = usage::get(&mut self.db.read().await?, window).await?;
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let count = windows.entry(*window).or_insert_with(|| Count::new(project));
        if count.stored == Usage::default() {
            count.stored = stored;
        }
        Ok(count.total())
    }

    fn known(&self, window: &UsageWindow) -> Option<Usage> {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.get(window).map(Count::total)
    }

    fn add(&self, project: ProjectId, windows: &[UsageWindow], used: Usage) {
        if windows.is_empty() {
            return;
        }
        let mut counts = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        for window in windows {
            let count = counts.entry(*window).or_insert_with(|| Count::new(project));
            count.pending.add(&used);
        }
    }
}

impl Count {
    fn new(project: ProjectId) -> Self {
        Self {
            project,
            stored: Usage::default(),
            pending: Usage::default(),
            flushing: Usage::default(),
        }
    }

    /// Takes what is to be added to the database.
    fn begin_flush(&mut self) -> Usage {
        self.flushing = std::mem::take(&mut self.pending);
        self.flushing
    }

    fn total(&self) -> Usage {
        let mut total = self.stored;
        total.add(&self.pending);
        total.add(&self.flushing);
        total
    }
}

/// Adding up.
trait Add {
    fn add(&mut self, other: &Self);
}

impl Add for Usage {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.tokens += other.tokens;
        self.cost_micro_usd += other.cost_micro_usd;
    }
}

fn refusal(owner: &LimitedOwner, window: &UsageWindow, quantity: LimitedQuantity, now_us: i64) -> Refusal {
    let (period, allowance) = if window.length_us == MINUTE_US {
        ("minute", owner.limits.per_minute)
    } else {
        ("day", owner.limits.per_day)
    };
    let allowed = match quantity {
        LimitedQuantity::Requests => format!("{} requests", allowance.requests.unwrap_or_default()),
        LimitedQuantity::Tokens => format!("{} tokens", allowance.tokens.unwrap_or_default()),
        LimitedQuantity::Cost => format!("{} USD", allowance.cost_usd.unwrap_or_default()),
    };
    let left_us = (window.start_us + window.length_us - now_us).max(1);
    let wait_s = (left_us as u64).div_ceil(SECOND_US as u64);
    let message = format!(
        "the limit of {} is used up: {allowed} a {period}; try again in {wait_s} seconds or raise the limit",
        owner.shown
    );
    Refusal::new(RefusalKind::LimitReached, message).retry_after(wait_s)
}
