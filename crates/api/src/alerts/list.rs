//! `GET /v1/alerts`.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use hone_domain::{AlertState, Scope, Severity, format_rfc3339};
use hone_storage::alerts::{self, Alert};
use hone_storage::tasks;
use uuid::Uuid;

use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertListParams {
    /// Only of this task.
    task: Option<String>,
    /// Only those that stand here, such as `firing`.
    state: Option<AlertState>,
    /// Items on a page, 1 to 500.
    limit: Option<i64>,
    /// `next` of the page before.
    after: Option<Uuid>,
}

/// A rule that held, or something that happened.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct AlertBody {
    id: Uuid,
    /// Name of the rule, or of what happened: `rollback`, `failed-run`.
    rule: String,
    /// Name of the task.
    task: Option<String>,
    /// Which version, action type, label or source it is about; empty for all.
    value: String,
    severity: Severity,
    state: AlertState,
    /// The metric's value when it was last looked at.
    measured: Option<f64>,
    /// What is wrong.
    message: String,
    /// What to do about it.
    advice: String,
    /// Since when the rule holds.
    since: String,
    /// When it began to fire.
    fired_at: Option<String>,
    /// When the rule ceased to hold.
    resolved_at: Option<String>,
}

impl AlertBody {
    fn of(row: Alert, names: &HashMap<Uuid, String>) -> Self {
        Self {
            id: row.id,
            rule: row.rule,
            task: row.task_id.and_then(|task| names.get(&task).cloned()),
            value: row.value,
            severity: row.severity,
            state: row.state,
            measured: row.measured,
            message: row.message,
            advice: row.advice,
            since: format_rfc3339(row.since_us),
            fired_at: row.fired_at_us.map(format_rfc3339),
            resolved_at: row.resolved_at_us.map(format_rfc3339),
        }
    }
}

/// List alerts, latest first
#[utoipa::path(get, path = "/v1/alerts", tag = "observe", security(("key" = [])), params(AlertListParams),
    responses((status = 200, body = Page<AlertBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<AlertListParams>,
) -> Result<Json<Page<AlertBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let task = match &params.task {
        Some(name) => Some(state.engine.get_task(caller.project, name).await?.task_id()),
        None => None,
    };
    let mut conn = state.engine.db.read().await?;
    let all = tasks::list(&mut conn, caller.project).await?;
    let names = all.into_iter().map(|task| (task.id, task.name)).collect();
    let rows = alerts::list(
        &mut conn,
        caller.project,
        task,
        params.state,
        params.after,
        limit + 1,
    )
    .await?;
    let key = |row: &Alert| row.id.to_string();
    Ok(Json(Page::new(rows, limit, key, |row| {
        AlertBody::of(row, &names)
    })))
}
