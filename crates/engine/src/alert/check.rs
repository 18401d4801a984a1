//! Looking at the rules of a project: what each rule measures of each task, and which alerts begin, go on and end.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use hone_domain::{
    AlertMetric, AlertRule, AlertState, Dimension, Grain, HOUR_US, MINUTE_US, ModelVersionId, ProjectId, Sums,
};
use hone_jobs::{Handler, HandlerFuture, JobContext, JobError};
use hone_storage::alerts::{self, Alert, Silence};
use hone_storage::rollups::{self, Stretch};
use hone_storage::tasks::Task;
use hone_storage::{Conn, deployments, jobs, projects, tasks, versions};
use uuid::Uuid;

use crate::observe::shown;
use crate::{Engine, EngineError};

pub(crate) const CHECK_ALERTS: &str = "CheckAlerts";

/// Values of a dimension that a rule looks at, those with the most interactions.
const MAX_VALUES: i64 = 200;
/// Longest window that is added up from minutes, as those are not kept for long.
const MINUTES_UNTIL_US: i64 = 24 * HOUR_US;

/// What a rule measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    /// The metric's value.
    pub value: f64,
    /// Of how many outcomes.
    pub outcomes: i64,
}

/// What became of the alerts of a project.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct AlertReport {
    /// Alerts that began to fire.
    pub fired: usize,
    /// Alerts that ended.
    pub resolved: usize,
    /// Alerts that fire now.
    pub firing: usize,
}

/// What a rule found of one value of one task.
struct Finding<'a> {
    rule_name: &'a str,
    rule: &'a AlertRule,
    task: &'a Task,
    value: String,
    measured: Measured,
}

impl Engine {
    /// Looks at all rules of a project now.
    pub async fn check_alerts(&self, project: ProjectId) -> Result<AlertReport, EngineError> {
        let rules: Vec<(String, AlertRule)> = self.enabled_rules(project).await?;
        let mut conn = self.db.read().await?;
        let all = tasks::list(&mut conn, project).await?;
        let mut findings = Vec::new();
        for task in &all {
            let mut known = HashMap::new();
            for (rule_name, rule) in rules.iter().filter(|(_, rule)| rule.is_about(&task.name)) {
                for (value, measured) in self.measure_rule(&mut conn, task, rule, &mut known).await? {
                    findings.push(Finding {
                        rule_name,
                        rule,
                        task,
                        value,
                        measured,
                    });
                }
            }
        }
        drop(conn);
        self.settle_alerts(project, &all, &findings).await
    }

    /// Brings the alerts of a project to where the findings say.
    async fn settle_alerts(
        &self,
        project: ProjectId,
        tasks: &[Task],
        findings: &[Finding<'_>],
    ) -> Result<AlertReport, EngineError> {
        let now_us = self.ids.now_us();
        let mut report = AlertReport::default();
        let mut conn = self.db.begin().await?;
        // Two servers that look at once would tell people twice.
        projects::lock(&mut conn, project).await?;
        let silences = alerts::list_silences(&mut conn, project, now_us).await?;
        let mut open: BTreeMap<(String, Option<Uuid>, String), Alert> = BTreeMap::new();
        for alert in alerts::list_open(&mut conn, project).await? {
            open.insert((alert.rule.clone(), alert.task_id, alert.value.clone()), alert);
        }
        for finding in findings {
            let key = (
                finding.rule_name.to_owned(),
                Some(finding.task.id),
                finding.value.clone(),
            );
            let known = open.remove(&key);
            let is_firing = known
                .as_ref()
                .is_some_and(|alert| alert.state == AlertState::Firing);
            let holds = if finding.measured.outcomes < finding.rule.min_outcomes {
                // Too few to say anything: what is open stays so.
                known.is_some()
            } else {
                finding.rule.holds(finding.measured.value, is_firing)
            };
            match (known, holds) {
                (None, false) => {}
                (None, true) => {
                    let mut alert = self.opened(&mut conn, finding).await?;
                    if alert.state == AlertState::Firing {
                        report.fired += 1;
                        self.tell_unless_silenced(&mut conn, &mut alert, &finding.task.name, &silences)
                            .await?;
                    }
                    alerts::insert(&mut conn, &alert).await?;
                    report.firing += usize::from(alert.state == AlertState::Firing);
                }
                (Some(mut alert), true) => {
                    let lasted_us = now_us - alert.since_us;
                    if alert.state == AlertState::Pending && lasted_us >= finding.rule.for_minutes * MINUTE_US
                    {
                        alert.state = AlertState::Firing;
                        alert.fired_at_us = Some(now_us);
                        report.fired += 1;
                    }
                    alert.measured = Some(finding.measured.value);
                    alert.message = self.message_of(&mut conn, finding).await?;
                    alert.severity = finding.rule.severity;
                    alert.updated_at_us = now_us;
                    if alert.state == AlertState::Firing {
                        report.firing += 1;
                        // One that began in a silence is told of when that is over.
                        self.tell_unless_silenced(&mut conn, &mut alert, &finding.task.name, &silences)
                            .await?;
                    }
                    alerts::update(&mut conn, &alert).await?;
                }
                (Some(alert), false) => {
                    let message = self.message_of(&mut conn, finding).await?;
                    report.resolved += usize::from(
                        self.close(&mut conn, alert, &finding.task.name, &message, &silences)
                            .await?,
                    );
                }
            }
        }
        // Nothing is counted of these any more, or their rule is gone.
        for (_, alert) in open {
            let task = tasks.iter().find(|task| Some(task.id) == alert.task_id);
            let name = task.map_or("", |task| task.name.as_str());
            let message = "nothing is counted of it any more, or its rule was changed";
            report.resolved += usize::from(self.close(&mut conn, alert, name, message, &silences).await?);
        }
        conn.commit().await?;
        metrics::gauge!("hone_alerts_firing", "project" => project.to_string()).set(report.firing as f64);
        Ok(report)
    }

    async fn opened(&self, conn: &mut Conn, finding: &Finding<'_>) -> Result<Alert, EngineError> {
        let now_us = self.ids.now_us();
        let is_firing = finding.rule.for_minutes == 0;
        Ok(Alert {
            id: self.ids.next(),
            project_id: finding.task.project_id,
            task_id: Some(finding.task.id),
            rule: finding.rule_name.to_owned(),
            value: finding.value.clone(),
            severity: finding.rule.severity,
            state: if is_firing {
                AlertState::Firing
            } else {
                AlertState::Pending
            },
            measured: Some(finding.measured.value),
            message: self.message_of(conn, finding).await?,
            advice: finding.rule.advice.clone(),
            is_told: false,
            since_us: now_us,
            fired_at_us: is_firing.then_some(now_us),
            resolved_at_us: None,
            updated_at_us: now_us,
        })
    }

    /// Ends an alert; gives whether it had fired.
    async fn close(
        &self,
        conn: &mut Conn,
        mut alert: Alert,
        task: &str,
        message: &str,
        silences: &[Silence],
    ) -> Result<bool, EngineError> {
        if alert.state == AlertState::Pending {
            alerts::delete(conn, alert.id).await?;
            return Ok(false);
        }
        let now_us = self.ids.now_us();
        alert.state = AlertState::Resolved;
        message.clone_into(&mut alert.message);
        alert.resolved_at_us = Some(now_us);
        alert.updated_at_us = now_us;
        // Who was never told that it began need not be told that it is over.
        if alert.is_told {
            self.tell_of(conn, &alert, task, silences).await?;
        }
        alerts::update(conn, &alert).await?;
        Ok(true)
    }

    async fn message_of(&self, conn: &mut Conn, finding: &Finding<'_>) -> Result<String, EngineError> {
        let Finding {
            rule,
            task,
            measured,
            value,
            ..
        } = finding;
        self.message_of_rule(conn, task, rule, value, *measured).await
    }

    /// What a rule found, in words.
    pub(crate) async fn message_of_rule(
        &self,
        conn: &mut Conn,
        task: &Task,
        rule: &AlertRule,
        value: &str,
        measured: Measured,
    ) -> Result<String, EngineError> {
        let of_what = if rule.by == Dimension::All {
            String::new()
        } else {
            let name = shown(conn, rule.by, value.to_owned()).await?;
            format!(" of {} \"{name}\"", rule.by.as_str().replace('_', " "))
        };
        let window = if rule.metric == AlertMetric::MacroF1 {
            format!("{} held-out examples", measured.outcomes)
        } else {
            format!(
                "{} outcomes in the last {}",
                measured.outcomes,
                length(rule.window_minutes)
            )
        };
        Ok(format!(
            "{} of task \"{}\"{of_what} is {:.4} ({window}); alerts {}",
            rule.metric,
            task.name,
            measured.value,
            rule.threshold()
        ))
    }

    /// What a rule measures of a task, by value; values of which nothing was counted are left out. `known` keeps what rules with the
    /// same window have read already.
    pub(crate) async fn measure_rule(
        &self,
        conn: &mut Conn,
        task: &Task,
        rule: &AlertRule,
        known: &mut HashMap<(i64, Dimension), BTreeMap<String, Sums>>,
    ) -> Result<BTreeMap<String, Measured>, EngineError> {
        if rule.of_serving
            && let Some(serving) = deployments::find_serving(conn, task.task_id()).await?
        {
            let by_version = AlertRule {
                by: Dimension::Version,
                of_serving: false,
                ..rule.clone()
            };
            let mut measured = Box::pin(self.measure_rule(conn, task, &by_version, known)).await?;
            let own = measured.remove(&serving.model_version_id.to_string());
            return Ok(own.map(|own| (String::new(), own)).into_iter().collect());
        }
        let stretch = self.window_of(task, rule);
        match &rule.metric {
            AlertMetric::MacroF1 => macro_f1_of(conn, task).await,
            AlertMetric::Score(name) => {
                let found = rollups::list_scores(conn, &stretch).await?;
                let of_name = found.into_iter().filter(|row| row.name == *name);
                Ok(of_name
                    .map(|row| {
                        let value = row.total / row.scores.max(1) as f64;
                        let measured = Measured {
                            value,
                            outcomes: row.scores,
                        };
                        (row.value, measured)
                    })
                    .collect())
            }
            AlertMetric::Indicator(indicator) => {
                let key = (rule.window_minutes, rule.by);
                let by_value = match known.entry(key) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => {
                        let rows = rollups::list_totals(conn, &stretch, MAX_VALUES).await?;
                        place.insert(rows.into_iter().map(|row| (row.value, row.sums)).collect())
                    }
                };
                let minutes = rule.window_minutes as f64;
                Ok(by_value
                    .iter()
                    .filter_map(|(value, sums)| {
                        let outcomes = indicator.outcomes(sums);
                        let measured = indicator.of(sums, minutes)?;
                        Some((
                            value.clone(),
                            Measured {
                                value: measured,
                                outcomes,
                            },
                        ))
                    })
                    .collect())
            }
        }
    }

    fn window_of(&self, task: &Task, rule: &AlertRule) -> Stretch {
        let window_us = rule.window_minutes * MINUTE_US;
        let grain = if window_us <= MINUTES_UNTIL_US {
            Grain::Minute
        } else {
            Grain::Hour
        };
        Stretch {
            task: task.task_id(),
            grain,
            dimension: rule.by,
            from_us: grain.start_us(self.ids.now_us() - window_us),
            to_us: i64::MAX,
        }
    }
}

/// macro-F1 of the version that serves, on what was held out when it was evaluated.
async fn macro_f1_of(conn: &mut Conn, task: &Task) -> Result<BTreeMap<String, Measured>, EngineError> {
    let Some(serving) = deployments::find_serving(conn, task.task_id()).await? else {
        return Ok(BTreeMap::new());
    };
    let version = versions::get(conn, ModelVersionId(serving.model_version_id)).await?;
    let number = |name: &str| version.metrics.get(name).and_then(serde_json::Value::as_f64);
    let measured = number("macro_f1").map(|value| Measured {
        value,
        outcomes: number("sample_count").unwrap_or_default() as i64,
    });
    Ok(measured
        .map(|measured| (String::new(), measured))
        .into_iter()
        .collect())
}

/// A length of time in the largest unit that it is a whole number of.
fn length(minutes: i64) -> String {
    match minutes {
        minutes if minutes % 1_440 == 0 => format!("{} d", minutes / 1_440),
        minutes if minutes % 60 == 0 => format!("{} h", minutes / 60),
        minutes => format!("{minutes} min"),
    }
}

/// Looks at all rules of a project, because a minute has passed.
pub struct CheckAlerts {
    engine: Engine,
}

impl CheckAlerts {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn check(&self, context: &JobContext) -> Result<serde_json::Value, JobError> {
        let project = context.project();
        let result = serde_json::json!(self.engine.check_alerts(project).await?);
        // Of what comes each minute only the last is kept.
        let mut conn = self.engine.db.begin().await?;
        jobs::forget_succeeded(&mut conn, project, CHECK_ALERTS).await?;
        context.finish_in(&mut conn, &result).await?;
        conn.commit().await?;
        Ok(result)
    }
}

impl Handler for CheckAlerts {
    fn kind(&self) -> &'static str {
        CHECK_ALERTS
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(self.check(context))
    }
}
