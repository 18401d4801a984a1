//! `GET /v1/reports/{id}`: a report as a page or as Markdown.

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use hone_domain::Scope;
use hone_storage::reports;

use crate::auth::Caller;
use crate::page::{Params, path_id};
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, Clone, Copy, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReportFormat {
    /// A page that needs nothing else.
    Html,
    /// Text.
    Markdown,
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportParams {
    /// `html` when absent.
    format: Option<ReportFormat>,
}

/// Show a report
#[utoipa::path(get, path = "/v1/reports/{id}", tag = "loop", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the report"), ReportParams),
    responses((status = 200, description = "the report"), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Params(params): Params<ReportParams>,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let id = path_id(&id)?;
    let found = reports::find(&mut state.engine.db.read().await?, caller.project, id).await?;
    let report = found.ok_or_else(|| Problem::not_found("report", id))?;
    Ok(match params.format.unwrap_or(ReportFormat::Html) {
        ReportFormat::Html => ([(CONTENT_TYPE, "text/html; charset=utf-8")], report.html.0).into_response(),
        ReportFormat::Markdown => (
            [(CONTENT_TYPE, "text/markdown; charset=utf-8")],
            report.markdown.0,
        )
            .into_response(),
    })
}
