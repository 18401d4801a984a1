//! `GET /v1/reviews/statistics`: how far reviewers agree, and how fast they are.

use axum::Json;
use axum::extract::State;
use hone_domain::{HOUR_US, Scope};
use hone_engine::ReviewStatistics;

use crate::auth::Caller;
use crate::page::Params;
use crate::{AppState, Problem};

const MAX_DAYS: i64 = 3_650;

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatisticsParams {
    /// Name of the task.
    task: String,
    /// Of the last days, 1 to 3650; 30 when absent.
    days: Option<i64>,
}

/// Show how far reviewers agree, how fast they are, and how well they do on what is known
///
/// Of the latest 20,000 answers.
#[utoipa::path(get, path = "/v1/reviews/statistics", tag = "reviews", security(("key" = [])), params(StatisticsParams),
    responses((status = 200, body = ReviewStatistics)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<StatisticsParams>,
) -> Result<Json<ReviewStatistics>, Problem> {
    caller
        .require(Scope::Edit)
        .or_else(|_| caller.require(Scope::Read))?;
    let days = params.days.unwrap_or(30);
    if !(1..=MAX_DAYS).contains(&days) {
        let detail = format!("is {days}; give 1 to {MAX_DAYS}");
        return Err(Problem::field("/query/days", detail));
    }
    let task = state.engine.get_task(caller.project, &params.task).await?;
    let since_us = state.engine.ids.now_us() - days * 24 * HOUR_US;
    Ok(Json(state.engine.review_statistics(&task, since_us).await?))
}
