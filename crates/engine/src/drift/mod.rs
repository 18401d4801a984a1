//! Drift: whether requests since the last training differ from those before it, in their labels, confidences, words, correctness,
//! latency and cost. What fires together is corrected for how many monitors there are, and counts as drift when it fires twice in a
//! row, so that an alert means something. Woken by a schedule; reads a bounded sample, whatever the size of the history.

mod monitors;
mod sample;

use hone_domain::{Severity, TaskKind, TrainingTrigger, format_rfc3339};
use hone_storage::drift_checks::{self, DriftCheck};
use hone_storage::tasks::Task;
use hone_storage::{Conn, StoredText, deployments, progress, runs, tasks};
use uuid::Uuid;

use crate::alert::Happening;
use crate::engine::run_blocking;
use crate::{Engine, EngineError};
use sample::Sample;

pub use monitors::{DriftMonitor, DriftWord};

/// With fewer requests on either side nothing is compared.
const FEWEST: usize = 200;

/// What was found.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct DriftReport {
    /// When it was looked (RFC 3339).
    pub at: String,
    /// What divides the requests: the last training, or where none was the deployment of what serves (RFC 3339).
    pub since: String,
    /// Requests before it that were looked at, the latest.
    pub reference: usize,
    /// Requests since that were looked at, the latest.
    pub current: usize,
    /// What was compared; empty where either side has fewer than 200 requests.
    pub monitors: Vec<DriftMonitor>,
    /// Words that have become more or less frequent, the largest change first.
    pub words: Vec<DriftWord>,
    /// Whether any monitor fires now.
    pub fires: bool,
    /// Whether it is taken for drift: it begins with the second look in a row that fires, and ends with the second that does not.
    pub is_drifting: bool,
}

impl Engine {
    /// Compares requests since the last training with those before it and keeps what is found; `None` while nothing has been
    /// trained or deployed that they could be compared by.
    pub async fn check_drift(&self, task: &Task) -> Result<Option<DriftReport>, EngineError> {
        let mut conn = self.db.read().await?;
        let Some(since_us) = dividing_moment(&mut conn, task).await? else {
            return Ok(None);
        };
        let earlier = drift_checks::list(&mut conn, task.task_id(), 1).await?;
        drop(conn);
        let reference = self.drift_sample(task, None, since_us).await?;
        let current = self.drift_sample(task, Some(since_us), i64::MAX).await?;
        let since = format_rfc3339(since_us);
        let earlier = earlier.first().and_then(report_of);
        let earlier = earlier.filter(|earlier| earlier.since == since);
        let at = format_rfc3339(self.ids.now_us());
        let mut report = run_blocking(move || compare(&reference, &current, at, since)).await?;
        let (before, fired) = earlier.map_or((false, false), |earlier| (earlier.is_drifting, earlier.fires));
        report.is_drifting = if before {
            report.fires || fired
        } else {
            report.fires && fired
        };
        let mut conn = self.db.begin().await?;
        self.keep_drift(&mut conn, task, &report).await?;
        if report.is_drifting && !before {
            self.tell_drift(&mut conn, task, &report).await?;
        }
        conn.commit().await?;
        Ok(Some(report))
    }

    /// What was found at the last looks, latest first.
    pub async fn drift_reports(&self, task: &Task, limit: i64) -> Result<Vec<DriftReport>, EngineError> {
        let rows = drift_checks::list(&mut self.db.read().await?, task.task_id(), limit).await?;
        Ok(rows.iter().filter_map(report_of).collect())
    }

    async fn keep_drift(
        &self,
        conn: &mut Conn,
        task: &Task,
        report: &DriftReport,
    ) -> Result<(), EngineError> {
        let row = DriftCheck {
            id: self.ids.next::<Uuid>(),
            project_id: task.project_id,
            task_id: task.id,
            report: StoredText(serde_json::json!(report).to_string()),
            created_at_us: self.ids.now_us(),
        };
        Ok(drift_checks::insert(conn, &row).await?)
    }

    /// Lets people know, and trains where the task's policy says so and something is new.
    async fn tell_drift(
        &self,
        conn: &mut Conn,
        task: &Task,
        report: &DriftReport,
    ) -> Result<(), EngineError> {
        let firing = report.monitors.iter().filter(|monitor| monitor.fires);
        let found: Vec<&str> = firing.map(|monitor| monitor.detail.as_str()).collect();
        let words: Vec<&str> = report
            .words
            .iter()
            .take(8)
            .map(|word| word.word.as_str())
            .collect();
        let words = if words.is_empty() {
            String::new()
        } else {
            format!("; words that changed: {}", words.join(", "))
        };
        let policy = &task.policy.training;
        if task.kind == TaskKind::Classify && policy.automatic && policy.on_drift {
            tasks::lock(conn, task.task_id()).await?;
            let counted = progress::get(conn, task.task_id()).await?;
            let can_train = counted.usable_examples >= policy.min_samples && counted.new_examples > 0;
            if can_train && runs::count_unfinished(conn, task.task_id()).await? == 0 {
                let id = self.ids.next();
                self.enqueue_training(conn, task, TrainingTrigger::Drift, None, id)
                    .await?;
            }
        }
        let happening = Happening {
            project: task.project(),
            task: Some(task.task_id()),
            name: "drift",
            severity: Severity::Warning,
            message: format!(
                "requests of task \"{}\" have changed since {}: {}{words}",
                task.name,
                report.since,
                found.join("; ")
            ),
            advice: "let people label what is new (hone review), then train again",
        };
        Ok(self.note(conn, happening).await?)
    }
}

fn report_of(row: &DriftCheck) -> Option<DriftReport> {
    serde_json::from_str(&row.report.0).ok()
}

fn compare(reference: &Sample, current: &Sample, at: String, since: String) -> DriftReport {
    let enough = reference.len() >= FEWEST && current.len() >= FEWEST;
    let (monitors, words) = if enough {
        monitors::compare(reference, current)
    } else {
        (Vec::new(), Vec::new())
    };
    DriftReport {
        at,
        since,
        reference: reference.len(),
        current: current.len(),
        fires: monitors.iter().any(|monitor| monitor.fires),
        monitors,
        words,
        is_drifting: false,
    }
}

/// The last training, or where none was the deployment of what serves.
async fn dividing_moment(conn: &mut Conn, task: &Task) -> Result<Option<i64>, EngineError> {
    let trained_at_us = progress::get(conn, task.task_id()).await?.last_trained_at_us;
    if trained_at_us.is_some() {
        return Ok(trained_at_us);
    }
    let live = deployments::list_live(conn, task.task_id(), None, 1).await?;
    Ok(live.first().and_then(|deployment| deployment.live_at_us))
}
