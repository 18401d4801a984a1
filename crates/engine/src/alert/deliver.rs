//! The job that carries one notice to one route, with retries; the log says how each attempt ended.

use hone_domain::{ProjectId, RouteKind, SECOND_US, TaskId, derive_signing_key, format_rfc3339};
use hone_jobs::{GiveUpFuture, GivenUp, Handler, HandlerFuture, JobContext, JobError};
use hone_outbound::{Notice, SendError, Target};
use hone_storage::alert_routes::{self, AlertRoute, Delivery};
use hone_storage::alerts::{self, Alert};
use hone_storage::jobs::JobRow;
use hone_storage::{Conn, projects, tasks};
use serde_json::json;
use uuid::Uuid;

use crate::{Engine, EngineError};

pub(crate) const DELIVER_ALERT: &str = "DeliverAlert";

impl Engine {
    /// Where a route leads.
    pub(super) async fn target_of(&self, conn: &mut Conn, route: &AlertRoute) -> Result<Target, EngineError> {
        Ok(match route.kind {
            RouteKind::Email => Target::Email(route.target.0.clone()),
            RouteKind::Slack => Target::Slack(route.target.0.clone()),
            RouteKind::Webhook => Target::Webhook {
                url: route.target.0.clone(),
                key: signing_key(conn, route).await?,
            },
        })
    }

    async fn deliver(&self, context: &JobContext, id: Uuid) -> Result<serde_json::Value, JobError> {
        let mut conn = self.db.read().await?;
        let found = alert_routes::find_delivery(&mut conn, context.project(), id).await?;
        let delivery = found.ok_or_else(|| JobError::Permanent(format!("there is no delivery {id}")))?;
        if delivery.state == "delivered" {
            return Ok(json!({ "delivery_id": id }));
        }
        let route = alert_routes::find(&mut conn, context.project(), &delivery.route).await?;
        let route =
            route.ok_or_else(|| JobError::Permanent(format!("route \"{}\" was removed", delivery.route)))?;
        let target = self.target_of(&mut conn, &route).await?;
        let notice = notice_of(&mut conn, context.project(), &delivery).await?;
        drop(conn);
        let outbound = self.outbound().ok_or_else(|| {
            JobError::Transient(
                "this process does not call out; let `hone serve` or `hone worker` run".to_owned(),
            )
        })?;
        let sent = outbound.send(&target, &notice).await;
        let now_us = self.ids.now_us();
        let mut conn = self.db.begin().await?;
        let ended = match &sent {
            Ok(()) => ("delivered", None, Some(now_us)),
            Err(SendError::Transient(error) | SendError::Permanent(error)) => {
                ("queued", Some(error.as_str()), None)
            }
        };
        alert_routes::end_delivery(&mut conn, id, ended.0, ended.1, ended.2).await?;
        conn.commit().await?;
        metrics::counter!("hone_alert_deliveries_total", "kind" => route.kind.as_str(),
            "outcome" => if sent.is_ok() { "delivered" } else { "failed" })
        .increment(1);
        match sent {
            Ok(()) => Ok(json!({ "delivery_id": id })),
            Err(SendError::Transient(error)) => Err(JobError::Transient(error)),
            Err(SendError::Permanent(error)) => Err(JobError::Permanent(error)),
        }
    }
}

/// The key that what goes to a route is signed with: derived, so that it is stored nowhere.
pub(super) async fn signing_key(conn: &mut Conn, route: &AlertRoute) -> Result<[u8; 32], EngineError> {
    let project = projects::get(conn, ProjectId(route.project_id)).await?;
    Ok(derive_signing_key(&project.pseudonym_key(), route.id))
}

async fn notice_of(conn: &mut Conn, project: ProjectId, delivery: &Delivery) -> Result<Notice, JobError> {
    let at_us = delivery.created_at_us;
    let mut notice = Notice {
        id: delivery.id,
        kind: format!("alert.{}", delivery.event),
        at_s: at_us / SECOND_US,
        timestamp: format_rfc3339(at_us),
        title: "Hone: this is a test".to_owned(),
        lines: vec![("route".to_owned(), delivery.route.clone())],
        data: json!({ "event": delivery.event, "route": delivery.route }),
    };
    let Some(id) = delivery.alert_id else {
        return Ok(notice);
    };
    let found = alerts::find(conn, project, id).await?;
    let alert = found.ok_or_else(|| JobError::Permanent(format!("there is no alert {id}")))?;
    let task = match alert.task_id {
        Some(task) => Some(tasks::get(conn, TaskId(task)).await?.name),
        None => None,
    };
    let project_name = projects::get(conn, project).await?.name;
    notice.title = title_of(&alert, task.as_deref(), &delivery.event);
    notice.lines = lines_of(&alert, task.as_deref(), &project_name);
    notice.data = json!({
        "alert_id": alert.id, "event": delivery.event, "project": project_name, "task": task, "rule": alert.rule,
        "value": alert.value, "severity": alert.severity, "state": alert.state, "measured": alert.measured,
        "message": alert.message, "advice": alert.advice, "since": format_rfc3339(alert.since_us),
        "resolved_at": alert.resolved_at_us.map(format_rfc3339),
    });
    Ok(notice)
}

fn title_of(alert: &Alert, task: Option<&str>, event: &str) -> String {
    let about = task.map_or_else(String::new, |task| format!(" of {task}"));
    match event {
        "resolved" => format!("Hone: resolved: {}{about}", alert.rule),
        _ => format!("Hone: {}: {}{about}", alert.severity, alert.rule),
    }
}

fn lines_of(alert: &Alert, task: Option<&str>, project: &str) -> Vec<(String, String)> {
    let mut lines = vec![("what".to_owned(), alert.message.clone())];
    let mut line = |name: &str, said: &str| {
        if !said.is_empty() {
            lines.push((name.to_owned(), said.to_owned()));
        }
    };
    line("what to do", &alert.advice);
    line("task", task.unwrap_or_default());
    line("project", project);
    line("since", &format_rfc3339(alert.since_us));
    lines
}

/// Carries one notice to one route.
pub struct DeliverAlert {
    engine: Engine,
}

impl DeliverAlert {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Handler for DeliverAlert {
    fn kind(&self) -> &'static str {
        DELIVER_ALERT
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(async move {
            let id = delivery_id(&context.job)
                .ok_or_else(|| JobError::Permanent("the payload names no delivery".to_owned()))?;
            self.engine.deliver(context, id).await
        })
    }

    fn give_up<'a>(&'a self, conn: &'a mut Conn, job: &'a JobRow, why: &'a GivenUp) -> GiveUpFuture<'a> {
        Box::pin(async move {
            let Some(id) = delivery_id(job) else {
                return Ok(());
            };
            let error = match why {
                GivenUp::Cancelled => "cancelled",
                GivenUp::Failed(error) => error,
            };
            alert_routes::fail_delivery(conn, id, error).await
        })
    }
}

fn delivery_id(job: &JobRow) -> Option<Uuid> {
    job.payload.get("delivery_id")?.as_str()?.parse().ok()
}
