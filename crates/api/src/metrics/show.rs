//! `GET /v1/metrics`.

use axum::Json;
use axum::extract::State;
use hone_domain::{Dimension, Grain, Period, Scope, parse_rfc3339};
use hone_engine::{MetricsRequest, TaskMetrics};
use hone_storage::tasks;

use crate::auth::Caller;
use crate::page::Params;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsParams {
    /// Only of this task; all tasks of the project when absent.
    task: Option<String>,
    /// A period up to now; `day` when neither it nor `from` is there.
    period: Option<Period>,
    /// First moment (RFC 3339), in place of a period.
    from: Option<String>,
    /// The moment after the last (RFC 3339); now when absent.
    to: Option<String>,
    /// Length of the trend's points; what suits the period when absent.
    grain: Option<Grain>,
    /// What the whole is broken down by as well.
    by: Option<Dimension>,
}

impl MetricsParams {
    fn request(&self) -> Result<MetricsRequest, Problem> {
        Ok(MetricsRequest {
            period: self.period,
            from_us: time_us("/query/from", self.from.as_deref())?,
            to_us: time_us("/query/to", self.to.as_deref())?,
            grain: self.grain,
            by: self.by,
        })
    }
}

fn time_us(pointer: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let detail = || format!("\"{text}\" is no time; give one such as 2026-01-18T07:00:00Z");
    parse_rfc3339(text)
        .map(Some)
        .ok_or_else(|| Problem::field(pointer, detail()))
}

/// The metrics of tasks over a period.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct MetricsBody {
    /// One for each task, by name.
    items: Vec<TaskMetrics>,
}

/// Show metrics over a period, with their trend
#[utoipa::path(get, path = "/v1/metrics", tag = "observe", security(("key" = [])), params(MetricsParams),
    responses((status = 200, body = MetricsBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<MetricsParams>,
) -> Result<Json<MetricsBody>, Problem> {
    caller.require(Scope::Read)?;
    let request = params.request()?;
    let engine = &state.engine;
    let items = if let Some(name) = &params.task {
        let task = engine.get_task(caller.project, name).await?;
        vec![engine.metrics(&task, &request).await?]
    } else {
        let all = tasks::list(&mut engine.db.read().await?, caller.project).await?;
        let mut items = Vec::with_capacity(all.len());
        for task in &all {
            items.push(engine.metrics(task, &request).await?);
        }
        items
    };
    Ok(Json(MetricsBody { items }))
}
