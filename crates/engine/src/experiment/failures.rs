//! Versions that fail outright: calls that fail one after the other, counted in memory as they end, so that a version that cannot
//! answer is taken off within its first calls, whatever the queue of records is doing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use hone_domain::{ArmShare, DeploymentId, DeploymentKind, DeploymentState, HOUR_US, Stage, Strategy};
use hone_storage::deployments::Deployment;
use hone_storage::tasks::Task;
use hone_storage::{Conn, deployments, tasks};
use uuid::Uuid;

use crate::deploy::arms_of;
use crate::{Engine, EngineError};

/// With so many failures in a row of the live version too, what fails is something that both need.
const ALSO_FAILING: i64 = 3;

/// Failures in a row of the versions that fail now, in this process.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// How many versions fail now: where none does, a success costs one load.
    failing: AtomicUsize,
    in_a_row: Mutex<HashMap<Uuid, i64>>,
}

impl Failures {
    /// Notes how a call ended; gives the failures in a row of its version.
    pub fn note(&self, version: Uuid, is_ok: bool) -> i64 {
        if is_ok && self.failing.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        let mut in_a_row = self.in_a_row.lock().unwrap_or_else(PoisonError::into_inner);
        let count = if is_ok {
            in_a_row.remove(&version);
            0
        } else {
            let count = in_a_row.entry(version).or_default();
            *count += 1;
            *count
        };
        self.failing.store(in_a_row.len(), Ordering::Relaxed);
        count
    }

    fn of(&self, version: Uuid) -> i64 {
        let in_a_row = self.in_a_row.lock().unwrap_or_else(PoisonError::into_inner);
        in_a_row.get(&version).copied().unwrap_or_default()
    }
}

impl Engine {
    /// Notes how a call of a version ended. One that fails as often in a row as the task's policy says is taken off its task,
    /// where it is new there.
    pub fn note_call(&self, task: &Task, version: Uuid, is_ok: bool) {
        let in_a_row = self.failures().note(version, is_ok);
        let most = task.policy.deployment.failures_in_a_row;
        // Again with every as many more: the first try may have failed itself.
        if in_a_row == 0 || most == 0 || in_a_row % most != 0 {
            return;
        }
        let (engine, task) = (self.clone(), task.clone());
        self.tracker().spawn(async move {
            if let Err(error) = engine.take_failing_off(&task, version, in_a_row).await {
                tracing::error!(task = task.name, %version, %error, "a version that fails cannot be taken off");
            }
        });
    }

    /// Takes a version off its task because so many of its calls in a row failed, where it is new there.
    pub async fn take_failing_off(
        &self,
        task: &Task,
        version: Uuid,
        in_a_row: i64,
    ) -> Result<(), EngineError> {
        let mut conn = self.db.begin().await?;
        tasks::lock(&mut conn, task.task_id()).await?;
        let reason = format!("{in_a_row} calls in a row failed");
        let is_off = self.take_off_new(&mut conn, task, version, &reason).await?;
        conn.commit().await?;
        if is_off {
            tracing::error!(task = task.name, %version, reason, "rolled back");
            self.refresh_router().await?;
        }
        Ok(())
    }

    /// Takes a version off the task if it is new there; gives whether it was.
    async fn take_off_new(
        &self,
        conn: &mut Conn,
        task: &Task,
        version: Uuid,
        reason: &str,
    ) -> Result<bool, EngineError> {
        let Some(serving) = deployments::find_serving(conn, task.task_id()).await? else {
            return Ok(false);
        };
        if let Some(mut sharing) = deployments::find_sharing(conn, task.task_id()).await?
            && arms_of(&sharing).contains(&version)
        {
            let live_fails_too = self.failures().of(serving.model_version_id) >= ALSO_FAILING;
            if sharing.state != DeploymentState::Running || live_fails_too {
                return Ok(false);
            }
            if let Some(shares) = shares_without(&sharing, version) {
                self.advance(conn, &mut sharing, &shares, reason).await?;
            } else {
                self.take_off(conn, &mut sharing, Stage::Refused, reason).await?;
            }
            return Ok(true);
        }
        let id = DeploymentId(serving.deployment_id);
        let live = deployments::find(conn, task.project(), id).await?;
        let is_new = |live: &Deployment| {
            let age_us = self.ids.now_us() - live.live_at_us.unwrap_or_default();
            live.model_version_id == version
                && live.state == DeploymentState::Live
                && live.kind != DeploymentKind::Rollback
                && live.previous_version_id.is_some()
                && age_us < task.policy.deployment.watch_hours * HOUR_US
        };
        let Some(mut live) = live.filter(is_new) else {
            return Ok(false);
        };
        self.leave_live(conn, task, &mut live, reason).await?;
        Ok(true)
    }
}

/// The shares of a deployment with one version dropped, where others go on; a bandit sets its shares itself and cannot drop one.
fn shares_without(sharing: &Deployment, version: Uuid) -> Option<Vec<f64>> {
    let is_bandit = sharing
        .plan
        .as_ref()
        .is_some_and(|plan| plan.strategy == Strategy::Bandit);
    let arms = &sharing.arms.as_ref().filter(|_| !is_bandit)?.0;
    let left = |arm: &ArmShare| if arm.version_id == version { 0.0 } else { arm.share };
    let shares: Vec<f64> = arms.iter().map(left).collect();
    shares.iter().any(|&share| share > 0.0).then_some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_ends_a_row_of_failures() {
        let (failures, [one, other]) = (Failures::default(), [1, 2].map(Uuid::from_u128));
        assert_eq!(failures.note(one, true), 0);
        assert_eq!((failures.note(one, false), failures.note(one, false)), (1, 2));
        assert_eq!((failures.note(other, false), failures.note(one, true)), (1, 0));
        assert_eq!((failures.note(one, false), failures.of(other)), (1, 1));
    }
}
