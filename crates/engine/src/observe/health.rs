//! How healthy a project is: each task by the rules that alert people, looked at afresh, and what all of them need: the recorder
//! and the queue of jobs. With reasons, and with what to do about them.

use std::collections::HashMap;

use hone_domain::{
    AlertMetric, AlertRule, AlertState, HealthLabel, HealthStatus, Indicator, ProjectId, ReadinessLevel,
    Severity, TaskKind,
};
use hone_storage::alerts::{self, Alert};
use hone_storage::tasks::Task;
use hone_storage::{Conn, jobs, tasks};

use super::readiness::Readiness;
use crate::{Engine, EngineError};

/// Jobs that are due and wait, from which on the workers are behind.
const MANY_JOBS: i64 = 1_000;
/// Milliseconds that the oldest record waits, from which on the recorder is behind.
const LONG_LAG_MS: u128 = 1_000;

/// How healthy a project is.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Health {
    /// The worst of all below.
    pub status: HealthStatus,
    /// What all tasks need.
    pub system: SystemHealth,
    /// Each task, by name.
    pub tasks: Vec<TaskHealth>,
}

/// How healthy what all tasks need is.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct SystemHealth {
    /// Whether it works as it should.
    pub status: HealthStatus,
    /// What is wrong.
    pub reasons: Vec<HealthReason>,
    /// Jobs that are due and wait.
    pub jobs_due: i64,
    /// How long the oldest record waits to be written, in milliseconds.
    pub recorder_lag_ms: u64,
}

/// How healthy a task is.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct TaskHealth {
    /// Name of the task.
    pub task: String,
    /// Whether it works as it should.
    pub status: HealthStatus,
    /// How people like the answers; absent while too few have said so.
    pub label: Option<HealthLabel>,
    /// Share of the judged answers (thumbs, corrections) of the version that serves that were right; of all where none serves.
    pub correctness: Option<f64>,
    /// The version that serves.
    pub serving: Option<String>,
    /// What is wrong, the worst first.
    pub reasons: Vec<HealthReason>,
    /// What to do, the most urgent first.
    pub recommendations: Vec<String>,
    /// How far it is from its next training.
    pub readiness: Readiness,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct HealthReason {
    /// Name of the rule that holds, or of the part that is behind.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

impl Engine {
    /// How healthy a project is now.
    pub async fn health(&self, project: ProjectId) -> Result<Health, EngineError> {
        let rules = self.enabled_rules(project).await?;
        let mut conn = self.db.read().await?;
        let all = tasks::list(&mut conn, project).await?;
        let open = alerts::list_open(&mut conn, project).await?;
        let system = self.system_health(&mut conn).await?;
        let mut status = system.status;
        let mut healths = Vec::with_capacity(all.len());
        for task in &all {
            let mut reasons = Vec::new();
            let mut known = HashMap::new();
            for (name, rule) in rules.iter().filter(|(_, rule)| rule.is_about(&task.name)) {
                for (value, measured) in self.measure_rule(&mut conn, task, rule, &mut known).await? {
                    let is_firing = fires(&open, task, name, &value);
                    if measured.outcomes >= rule.min_outcomes && rule.holds(measured.value, is_firing) {
                        reasons.push(HealthReason {
                            rule: name.clone(),
                            severity: rule.severity,
                            message: self
                                .message_of_rule(&mut conn, task, rule, &value, measured)
                                .await?,
                            advice: rule.advice.clone(),
                        });
                    }
                }
            }
            reasons.sort_by_key(|reason| std::cmp::Reverse(reason.severity));
            let health = self.task_health(&mut conn, task, reasons).await?;
            status = status.max(health.status);
            healths.push(health);
        }
        Ok(Health {
            status,
            system,
            tasks: healths,
        })
    }

    async fn task_health(
        &self,
        conn: &mut Conn,
        task: &Task,
        reasons: Vec<HealthReason>,
    ) -> Result<TaskHealth, EngineError> {
        let correctness = self.correctness(conn, task).await?;
        let readiness = self.readiness_in(conn, task).await?;
        let serving = self.served(task).ok();
        let mut recommendations: Vec<String> = Vec::new();
        for reason in reasons.iter().filter(|reason| !reason.advice.is_empty()) {
            if !recommendations.contains(&reason.advice) {
                recommendations.push(reason.advice.clone());
            }
        }
        if serving.is_none() && task.kind == TaskKind::Classify && readiness.due.is_none() {
            recommendations.push(format!(
                "no version serves yet: the first training starts with {} examples, {} are there",
                task.policy.training.min_samples, readiness.usable_examples
            ));
        }
        if readiness.level == ReadinessLevel::NotReady {
            recommendations.push(format!("collect {} more pieces of feedback", readiness.needed));
        }
        Ok(TaskHealth {
            task: task.name.clone(),
            status: worst(&reasons),
            label: correctness.map(|correctness| label_of(task, correctness)),
            correctness,
            serving: serving.map(|served| served.version.version.clone()),
            reasons,
            recommendations,
            readiness,
        })
    }

    /// How often the version that serves was right, where enough was said of it.
    async fn correctness(&self, conn: &mut Conn, task: &Task) -> Result<Option<f64>, EngineError> {
        let policy = &task.policy.observing;
        let rule = AlertRule {
            metric: AlertMetric::Indicator(Indicator::Correctness),
            window_minutes: policy.window_hours * 60,
            of_serving: true,
            ..AlertRule::default()
        };
        let measured = self.measure_rule(conn, task, &rule, &mut HashMap::new()).await?;
        let enough = measured
            .get("")
            .filter(|found| found.outcomes >= policy.min_outcomes.max(1));
        Ok(enough.map(|found| found.value))
    }

    async fn system_health(&self, conn: &mut Conn) -> Result<SystemHealth, EngineError> {
        let jobs_due = jobs::count_due(conn, self.ids.now_us()).await?;
        let lag_ms = self.recorder().lag().as_millis();
        let mut reasons = Vec::new();
        if lag_ms > LONG_LAG_MS {
            reasons.push(HealthReason {
                rule: "recorder".to_owned(),
                severity: Severity::Critical,
                message: format!("the oldest record has waited {lag_ms} ms to be written"),
                advice: "look at the disk and at the database: records are not written fast enough"
                    .to_owned(),
            });
        }
        if jobs_due > MANY_JOBS {
            reasons.push(HealthReason {
                rule: "jobs".to_owned(),
                severity: Severity::Warning,
                message: format!("{jobs_due} jobs are due and wait"),
                advice: "let more workers run: hone worker".to_owned(),
            });
        }
        Ok(SystemHealth {
            status: worst(&reasons),
            reasons,
            jobs_due,
            recorder_lag_ms: u64::try_from(lag_ms).unwrap_or(u64::MAX),
        })
    }
}

fn fires(open: &[Alert], task: &Task, rule: &str, value: &str) -> bool {
    open.iter().any(|alert| {
        alert.state == AlertState::Firing
            && alert.task_id == Some(task.id)
            && alert.rule == rule
            && alert.value == value
    })
}

/// What is good to know makes nothing unhealthy.
fn worst(reasons: &[HealthReason]) -> HealthStatus {
    match reasons.iter().map(|reason| reason.severity).max() {
        Some(Severity::Critical) => HealthStatus::Unhealthy,
        Some(Severity::Warning) => HealthStatus::Degraded,
        Some(Severity::Info) | None => HealthStatus::Healthy,
    }
}

fn label_of(task: &Task, correctness: f64) -> HealthLabel {
    let policy = &task.policy.observing;
    if correctness >= policy.excellent_approval {
        HealthLabel::Excellent
    } else if correctness >= policy.good_approval {
        HealthLabel::Good
    } else {
        HealthLabel::NeedsImprovement
    }
}
