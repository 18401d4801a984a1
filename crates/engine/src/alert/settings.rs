//! What people set of alerts: rules, routes and silences.

use hone_domain::{
    AlertRule, FieldError, InvalidInput, ProjectId, RouteKind, Severity, require_name, require_text,
};
use hone_outbound::shown_key;
use hone_storage::alert_routes::{self, AlertRoute};
use hone_storage::alerts::{self, Silence};
use hone_storage::{Conn, StoredText, alert_rules, tasks};
use uuid::Uuid;

use super::deliver::signing_key;
use crate::{Engine, EngineError};

/// Most rules of a project: each is looked at every minute.
const MAX_RULES: usize = 200;
/// Most routes of a project.
const MAX_ROUTES: usize = 50;
/// Longest silence.
const MAX_SILENCE_MINUTES: i64 = 60 * 24 * 366;

/// A rule, and where it comes from.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct ShownRule {
    /// Its name.
    pub name: String,
    /// Whether it is one that every project has.
    pub is_shipped: bool,
    /// Whether the project has set it.
    pub is_changed: bool,
    /// What it says.
    pub rule: AlertRule,
}

/// How a route is to be; what is absent stays as it is, or is as usual.
#[derive(Debug, Clone, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouteChange {
    /// How people are told.
    pub kind: Option<RouteKind>,
    /// An e-mail address, or the URL of a webhook or of a Slack channel.
    pub target: Option<String>,
    /// Only of alerts that are at least so bad; `warning` as usual.
    pub min_severity: Option<Severity>,
    /// Whether it is used.
    pub enabled: Option<bool>,
}

/// A route as it is shown: what could be used by others is hidden.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct ShownRoute {
    /// Its name.
    pub name: String,
    /// How people are told.
    pub kind: RouteKind,
    /// The address, or scheme and host of the URL.
    pub target: String,
    /// Only of alerts that are at least so bad.
    pub min_severity: Severity,
    /// Whether it is used.
    pub enabled: bool,
}

/// A silence as it is asked for.
#[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSilence {
    /// Only of this rule; of all when absent.
    #[serde(default)]
    pub rule: Option<String>,
    /// Only of this task; of all when absent.
    #[serde(default)]
    pub task: Option<String>,
    /// How long.
    pub minutes: i64,
    /// Why, for the record.
    pub reason: String,
}

impl Engine {
    /// The rules of a project: the shipped ones as it has changed them, and its own; by name.
    pub async fn alert_rules(&self, project: ProjectId) -> Result<Vec<ShownRule>, EngineError> {
        let set = alert_rules::list(&mut self.db.read().await?, project).await?;
        let mut rules: Vec<ShownRule> = AlertRule::shipped()
            .into_iter()
            .filter(|(name, _)| !set.iter().any(|(known, _)| known == name))
            .map(|(name, rule)| ShownRule {
                name: name.to_owned(),
                is_shipped: true,
                is_changed: false,
                rule,
            })
            .collect();
        rules.extend(set.into_iter().map(|(name, rule)| ShownRule {
            is_shipped: is_shipped(&name),
            is_changed: true,
            name,
            rule,
        }));
        rules.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(rules)
    }

    pub(crate) async fn enabled_rules(
        &self,
        project: ProjectId,
    ) -> Result<Vec<(String, AlertRule)>, EngineError> {
        let all = self.alert_rules(project).await?.into_iter();
        let enabled = all.filter(|shown| shown.rule.enabled);
        Ok(enabled.map(|shown| (shown.name, shown.rule)).collect())
    }

    /// Sets a rule; it is looked at from the next minute on.
    pub async fn set_alert_rule(
        &self,
        project: ProjectId,
        name: &str,
        rule: &AlertRule,
    ) -> Result<(), EngineError> {
        require_name("/name", name)?;
        rule.validate()?;
        let mut conn = self.db.begin().await?;
        for (number, task) in rule.tasks.iter().enumerate() {
            require_task(&mut conn, project, task, &format!("/tasks/{number}")).await?;
        }
        let set = alert_rules::list(&mut conn, project).await?;
        if set.len() >= MAX_RULES && !set.iter().any(|(known, _)| known == name) {
            let detail = format!("the project has {MAX_RULES} rules already; remove one");
            return Err(EngineError::field("/name", detail));
        }
        alert_rules::upsert(&mut conn, project, name, rule, self.ids.now_us()).await?;
        conn.commit().await?;
        Ok(())
    }

    /// Removes a rule that the project has set; a shipped one is as it was shipped again.
    pub async fn remove_alert_rule(&self, project: ProjectId, name: &str) -> Result<(), EngineError> {
        let mut conn = self.db.begin().await?;
        if !alert_rules::delete(&mut conn, project, name).await? {
            if is_shipped(name) {
                return Err(EngineError::Conflict(format!(
                    "rule \"{name}\" is shipped and unchanged; set it with \"enabled\": false to switch it off"
                )));
            }
            return Err(missing("alert rule", name));
        }
        conn.commit().await?;
        Ok(())
    }

    /// Changes a route, or makes it when there is none of this name.
    pub async fn set_alert_route(
        &self,
        project: ProjectId,
        name: &str,
        change: RouteChange,
    ) -> Result<ShownRoute, EngineError> {
        require_name("/name", name)?;
        let mut conn = self.db.begin().await?;
        let found = alert_routes::find(&mut conn, project, name).await?;
        if found.is_none() && alert_routes::list(&mut conn, project).await?.len() >= MAX_ROUTES {
            let detail = format!("the project has {MAX_ROUTES} routes already; remove one");
            return Err(EngineError::field("/name", detail));
        }
        let required = |pointer: &str, detail: &str| EngineError::field(pointer, detail);
        let kind = change.kind.or(found.as_ref().map(|found| found.kind));
        let kind = kind.ok_or_else(|| required("/kind", "is missing; give email, webhook or slack"))?;
        let target = change
            .target
            .or(found.as_ref().map(|found| found.target.0.clone()));
        let target = target.ok_or_else(|| required("/target", "is missing; give an address or a URL"))?;
        require_text("/target", &target)?;
        let route = AlertRoute {
            id: found.as_ref().map_or_else(|| self.ids.next(), |found| found.id),
            project_id: project.0,
            name: name.to_owned(),
            kind,
            target: StoredText(target),
            min_severity: change
                .min_severity
                .or(found.as_ref().map(|found| found.min_severity))
                .unwrap_or(Severity::Warning),
            enabled: change
                .enabled
                .or(found.as_ref().map(|found| found.enabled))
                .unwrap_or(true),
            created_at_us: found
                .as_ref()
                .map_or_else(|| self.ids.now_us(), |found| found.created_at_us),
        };
        let target = self.target_of(&mut conn, &route).await?;
        if let Some(problem) = self.outbound().and_then(|outbound| outbound.problem_of(&target)) {
            return Err(EngineError::Invalid(InvalidInput(vec![FieldError {
                pointer: "/target".to_owned(),
                detail: problem,
            }])));
        }
        alert_routes::upsert(&mut conn, &route).await?;
        conn.commit().await?;
        Ok(shown_route(&route))
    }

    /// The routes of a project, by name.
    pub async fn alert_routes(&self, project: ProjectId) -> Result<Vec<ShownRoute>, EngineError> {
        let found = alert_routes::list(&mut self.db.read().await?, project).await?;
        Ok(found.iter().map(shown_route).collect())
    }

    /// The key that signatures of a webhook are checked with.
    pub async fn alert_route_key(&self, project: ProjectId, name: &str) -> Result<String, EngineError> {
        let mut conn = self.db.read().await?;
        let route = alert_routes::find(&mut conn, project, name).await?;
        let route = route
            .filter(|route| route.kind == RouteKind::Webhook)
            .ok_or_else(|| missing("webhook route", name))?;
        Ok(shown_key(&signing_key(&mut conn, &route).await?))
    }

    /// Removes a route.
    pub async fn remove_alert_route(&self, project: ProjectId, name: &str) -> Result<(), EngineError> {
        let mut conn = self.db.begin().await?;
        if !alert_routes::delete(&mut conn, project, name).await? {
            return Err(missing("alert route", name));
        }
        conn.commit().await?;
        Ok(())
    }

    /// Sends a message that tries a route; gives its place in the log of deliveries. One with the id that is asked for is not sent twice.
    pub async fn try_alert_route(
        &self,
        project: ProjectId,
        name: &str,
        id: Option<Uuid>,
    ) -> Result<Uuid, EngineError> {
        let mut conn = self.db.begin().await?;
        if let Some(id) = id
            && alert_routes::find_delivery(&mut conn, project, id)
                .await?
                .is_some()
        {
            return Ok(id);
        }
        let route = alert_routes::find(&mut conn, project, name).await?;
        let route = route.ok_or_else(|| missing("alert route", name))?;
        let id = id.unwrap_or_else(|| self.ids.next());
        self.queue_delivery(&mut conn, &route, id, None, "test", false)
            .await?;
        conn.commit().await?;
        Ok(id)
    }

    /// Lets nobody be told of some alerts for a while. One with the id that is asked for is not made twice.
    pub async fn silence(
        &self,
        project: ProjectId,
        new: NewSilence,
        id: Option<Uuid>,
    ) -> Result<Silence, EngineError> {
        if !(1..=MAX_SILENCE_MINUTES).contains(&new.minutes) {
            let detail = format!("give 1 to {MAX_SILENCE_MINUTES}");
            return Err(EngineError::field("/minutes", detail));
        }
        require_text("/reason", &new.reason)?;
        if let Some(rule) = &new.rule {
            require_name("/rule", rule)?;
        }
        let mut conn = self.db.begin().await?;
        let task_id = match &new.task {
            Some(task) => Some(require_task(&mut conn, project, task, "/task").await?),
            None => None,
        };
        let now_us = self.ids.now_us();
        let silence = Silence {
            id: id.unwrap_or_else(|| self.ids.next()),
            project_id: project.0,
            rule: new.rule,
            task_id,
            until_us: now_us + new.minutes * hone_domain::MINUTE_US,
            reason: new.reason,
            created_at_us: now_us,
        };
        alerts::insert_silence(&mut conn, &silence).await?;
        conn.commit().await?;
        Ok(silence)
    }

    /// Ends a silence before its time.
    pub async fn end_silence(&self, project: ProjectId, id: Uuid) -> Result<(), EngineError> {
        let mut conn = self.db.begin().await?;
        if !alerts::delete_silence(&mut conn, project, id).await? {
            return Err(missing("silence", &id.to_string()));
        }
        conn.commit().await?;
        Ok(())
    }
}

fn is_shipped(name: &str) -> bool {
    AlertRule::shipped().iter().any(|(known, _)| *known == name)
}

/// A route without what others could use: the path of a chat's URL is its password.
fn shown_route(route: &AlertRoute) -> ShownRoute {
    let target = &route.target.0;
    let host = target
        .split_once("://")
        .map(|(scheme, rest)| format!("{scheme}://{}/…", rest.split('/').next().unwrap_or_default()));
    ShownRoute {
        name: route.name.clone(),
        kind: route.kind,
        target: host
            .filter(|_| route.kind != RouteKind::Email)
            .unwrap_or_else(|| target.clone()),
        min_severity: route.min_severity,
        enabled: route.enabled,
    }
}

async fn require_task(
    conn: &mut Conn,
    project: ProjectId,
    name: &str,
    pointer: &str,
) -> Result<Uuid, EngineError> {
    let found = tasks::find_by_name(conn, project, name).await?;
    let task = found.ok_or_else(|| EngineError::field(pointer, format!("task \"{name}\" does not exist")))?;
    Ok(task.id)
}

fn missing(noun: &'static str, id: &str) -> EngineError {
    EngineError::NotFound {
        noun,
        id: id.to_owned(),
    }
}
