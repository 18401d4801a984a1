//! The report of a month: what came in, what people said of it, which versions served and how they compare when all are measured on
//! the same examples. Written as Markdown and as a page that needs nothing else; kept for ever.

mod chart;

use hone_domain::{DAY_US, Indicator, Measure, ModelVersionId, ProjectId, Sums, TaskKind, format_rfc3339};
use hone_storage::reports::{self, Report};
use hone_storage::rollups::{self, Rollup, Stretch};
use hone_storage::tasks::Task;
use hone_storage::versions::{self, ModelVersion};
use hone_storage::{Conn, StoredText, datasets, deployments, tasks};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use uuid::Uuid;

use crate::{Engine, EngineError};
use chart::Chart;

/// Days of a report.
const DAYS: i64 = 30;
/// Versions that are measured: what serves and what served before.
const VERSIONS: usize = 3;
/// Deployments that are told of.
const DEPLOYMENTS: i64 = 20;

const MARKDOWN: &str = include_str!("report.md");
const HTML: &str = include_str!("report.html");

#[derive(Debug, serde::Serialize)]
struct Contents {
    title: String,
    from: String,
    to: String,
    tasks: Vec<TaskContents>,
}

#[derive(Debug, serde::Serialize)]
struct TaskContents {
    name: String,
    kind: TaskKind,
    now: Totals,
    before: Totals,
    serving: Option<String>,
    versions: Vec<VersionContents>,
    events: Vec<EventContents>,
    chart: Chart,
}

#[derive(Debug, serde::Serialize)]
struct Totals {
    interactions: i64,
    feedback: i64,
    right: String,
}

#[derive(Debug, serde::Serialize)]
struct VersionContents {
    version: String,
    stage: String,
    accuracy: String,
    macro_f1: String,
    ece: String,
    held_out: usize,
}

#[derive(Debug, serde::Serialize)]
struct EventContents {
    at: String,
    version: String,
    event: String,
    reason: String,
}

impl Engine {
    /// Writes a report of the last month about all tasks of a project now; gives its id.
    pub async fn write_report_now(&self, project: ProjectId) -> Result<Uuid, EngineError> {
        let all = tasks::list(&mut self.db.read().await?, project).await?;
        self.write_report(project, &all).await
    }

    /// Writes a report of the last month about these tasks; gives its id.
    pub(crate) async fn write_report(&self, project: ProjectId, tasks: &[Task]) -> Result<Uuid, EngineError> {
        let now_us = self.ids.now_us();
        let from_us = now_us - DAYS * DAY_US;
        let mut contents = Contents {
            title: format!("Evaluation of {}", day(now_us)),
            from: day(from_us),
            to: day(now_us),
            tasks: Vec::new(),
        };
        for task in tasks {
            contents
                .tasks
                .push(self.contents_of(task, from_us, now_us).await?);
        }
        let report = Report {
            id: self.ids.next(),
            project_id: project.0,
            title: contents.title.clone(),
            markdown: StoredText(rendered(MARKDOWN, false, &contents)?),
            html: StoredText(rendered(HTML, true, &contents)?),
            created_at_us: now_us,
        };
        let mut conn = self.db.begin().await?;
        reports::insert(&mut conn, &report).await?;
        conn.commit().await?;
        Ok(report.id)
    }

    async fn contents_of(&self, task: &Task, from_us: i64, now_us: i64) -> Result<TaskContents, EngineError> {
        let mut conn = self.db.read().await?;
        let both = Stretch::hours_since(task.task_id(), from_us - DAYS * DAY_US);
        let hours = rollups::list(&mut conn, &both).await?;
        let (before, now): (Vec<Rollup>, Vec<Rollup>) =
            hours.into_iter().partition(|hour| hour.at_us < from_us);
        let served = served_last(&mut conn, task).await?;
        let events = events_since(&mut conn, task, from_us).await?;
        drop(conn);
        let mut measured = Vec::new();
        for version in &served {
            measured.push(self.measured(task, version).await?);
        }
        Ok(TaskContents {
            name: task.name.clone(),
            kind: task.kind,
            serving: served.first().map(|version| version.version.clone()),
            versions: measured,
            events,
            chart: Chart::of(&now, from_us, now_us),
            now: totals(&now),
            before: totals(&before),
        })
    }

    /// A version on the held-out examples of the task's latest dataset; without numbers where there is nothing to measure it on.
    async fn measured(&self, task: &Task, version: &ModelVersion) -> Result<VersionContents, EngineError> {
        let mut conn = self.db.read().await?;
        let latest = datasets::list(&mut conn, task.project(), Some(task.task_id()), None, None, 1).await?;
        drop(conn);
        let evaluation = match latest.first() {
            Some(dataset) if task.kind == TaskKind::Classify => {
                Some(self.evaluate_version(version, dataset).await?)
            }
            _ => None,
        };
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
        Ok(VersionContents {
            version: version.version.clone(),
            stage: version.stage.to_string(),
            accuracy: number(evaluation.as_ref().map(|evaluation| evaluation.accuracy)),
            macro_f1: number(evaluation.as_ref().map(|evaluation| evaluation.macro_f1)),
            ece: number(evaluation.as_ref().map(|evaluation| evaluation.ece)),
            held_out: evaluation.map_or(0, |evaluation| evaluation.sample_count),
        })
    }
}

/// The versions that served last, each once, what serves first.
async fn served_last(conn: &mut Conn, task: &Task) -> Result<Vec<ModelVersion>, EngineError> {
    let mut served: Vec<ModelVersion> = Vec::new();
    for deployment in deployments::list_live(conn, task.task_id(), None, DEPLOYMENTS).await? {
        let is_known = served
            .iter()
            .any(|version| version.id == deployment.model_version_id);
        if !is_known && served.len() < VERSIONS {
            served.push(versions::get(conn, ModelVersionId(deployment.model_version_id)).await?);
        }
    }
    Ok(served)
}

async fn events_since(conn: &mut Conn, task: &Task, from_us: i64) -> Result<Vec<EventContents>, EngineError> {
    let latest = deployments::list(conn, task.project(), Some(task.task_id()), None, DEPLOYMENTS).await?;
    let mut told = Vec::new();
    for deployment in latest.iter().rev() {
        let version = versions::get(conn, ModelVersionId(deployment.model_version_id)).await?;
        for event in deployments::list_events(conn, deployment.id.into()).await? {
            if event.created_at_us >= from_us {
                told.push(EventContents {
                    at: day(event.created_at_us),
                    version: version.version.clone(),
                    event: event.event.to_string(),
                    reason: event.reason,
                });
            }
        }
    }
    Ok(told)
}

fn totals(hours: &[Rollup]) -> Totals {
    let mut sums = Sums::default();
    for hour in hours {
        sums += &hour.sums;
    }
    let judged = sums.get(Measure::Judged);
    Totals {
        interactions: sums.get(Measure::Interactions),
        feedback: sums.get(Measure::Feedback),
        right: Indicator::Correctness.of(&sums, 0.0).map_or_else(
            || "–".to_owned(),
            |share| format!("{:.1} % of {judged}", 100.0 * share),
        ),
    }
}

fn rendered(template: &str, is_html: bool, contents: &Contents) -> Result<String, EngineError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(move |_| {
        if is_html {
            AutoEscape::Html
        } else {
            AutoEscape::None
        }
    });
    environment
        .render_str(template, Serde(contents))
        .map_err(|error| EngineError::Dataset(format!("the report cannot be rendered: {error}")))
}

fn day(time_us: i64) -> String {
    format_rfc3339(time_us).chars().take(10).collect()
}
