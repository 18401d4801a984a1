//! Telling people: which routes an alert goes to, and what is noted when something happens once.

use hone_domain::{AlertState, ProjectId, Severity, TaskId};
use hone_jobs::{NewJobSpec, enqueue};
use hone_storage::alert_routes::{self, AlertRoute, Delivery};
use hone_storage::alerts::{self, Alert, Silence};
use hone_storage::{Conn, StorageError};
use uuid::Uuid;

use super::DELIVER_ALERT;
use crate::Engine;

/// Something that happened once.
pub(crate) struct Happening<'a> {
    /// Its project.
    pub project: ProjectId,
    /// The task it is about.
    pub task: Option<TaskId>,
    /// What it is, as the name of a rule would be: silences can name it.
    pub name: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub advice: &'a str,
}

impl Engine {
    /// Notes that something happened and lets people know, in the caller's transaction.
    pub(crate) async fn note(&self, conn: &mut Conn, what: Happening<'_>) -> Result<(), StorageError> {
        let now_us = self.ids.now_us();
        let alert = Alert {
            id: self.ids.next(),
            project_id: what.project.0,
            task_id: what.task.map(|task| task.0),
            rule: what.name.to_owned(),
            value: String::new(),
            severity: what.severity,
            state: AlertState::Noted,
            measured: None,
            message: what.message,
            advice: what.advice.to_owned(),
            is_told: true,
            since_us: now_us,
            fired_at_us: Some(now_us),
            resolved_at_us: None,
            updated_at_us: now_us,
        };
        alerts::insert(conn, &alert).await?;
        let silences = alerts::list_silences(conn, what.project, now_us).await?;
        self.tell_of(conn, &alert, "", &silences).await
    }

    /// Lets people know of an alert that fires, once, unless a silence lasts.
    pub(super) async fn tell_unless_silenced(
        &self,
        conn: &mut Conn,
        alert: &mut Alert,
        task: &str,
        silences: &[Silence],
    ) -> Result<(), StorageError> {
        let is_new = alert.fired_at_us == Some(self.ids.now_us());
        if alert.is_told || (is_silenced(alert, silences) && !is_new) {
            return Ok(());
        }
        alert.is_told = !is_silenced(alert, silences);
        self.tell_of(conn, alert, task, silences).await
    }

    /// Queues a delivery to each route that takes the alert; in a silence the log says that nobody was told.
    pub(super) async fn tell_of(
        &self,
        conn: &mut Conn,
        alert: &Alert,
        task: &str,
        silences: &[Silence],
    ) -> Result<(), StorageError> {
        tracing::warn!(alert = %alert.id, rule = alert.rule, task, state = alert.state.as_str(),
            severity = alert.severity.as_str(), "alert");
        metrics::counter!("hone_alerts_total", "severity" => alert.severity.as_str(), "state" => alert.state.as_str())
            .increment(1);
        let silenced = is_silenced(alert, silences);
        let project = ProjectId(alert.project_id);
        for route in alert_routes::list(conn, project).await? {
            if route.enabled && alert.severity >= route.min_severity {
                let (id, event) = (self.ids.next(), alert.state.as_str());
                self.queue_delivery(conn, &route, id, Some(alert.id), event, silenced)
                    .await?;
            }
        }
        Ok(())
    }

    /// Queues what goes to one route.
    pub(super) async fn queue_delivery(
        &self,
        conn: &mut Conn,
        route: &AlertRoute,
        id: Uuid,
        alert: Option<Uuid>,
        event: &str,
        is_silenced: bool,
    ) -> Result<(), StorageError> {
        let delivery = Delivery {
            id,
            project_id: route.project_id,
            alert_id: alert,
            route: route.name.clone(),
            event: event.to_owned(),
            state: if is_silenced { "silenced" } else { "queued" }.to_owned(),
            attempts: 0,
            error: None,
            created_at_us: self.ids.now_us(),
            delivered_at_us: None,
        };
        alert_routes::insert_delivery(conn, &delivery).await?;
        if !is_silenced {
            let spec = NewJobSpec {
                id: None,
                project: ProjectId(route.project_id),
                task: None,
                kind: DELIVER_ALERT,
                payload: serde_json::json!({ "delivery_id": delivery.id }),
                unique_key: None,
                delay_us: 0,
            };
            enqueue(conn, &self.ids, spec).await?;
        }
        Ok(())
    }
}

fn is_silenced(alert: &Alert, silences: &[Silence]) -> bool {
    silences.iter().any(|silence| {
        silence.rule.as_ref().is_none_or(|rule| *rule == alert.rule)
            && silence.task_id.is_none_or(|task| Some(task) == alert.task_id)
    })
}
