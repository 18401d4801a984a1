//! `GET /v1/reports`.

use axum::Json;
use axum::extract::State;
use hone_domain::{Scope, format_rfc3339};
use hone_storage::reports::{self, ReportTitle};
use uuid::Uuid;

use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportListParams {
    /// Items on a page, 1 to 500.
    limit: Option<i64>,
    /// `next` of the page before.
    after: Option<Uuid>,
}

#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ReportTitleBody {
    id: Uuid,
    title: String,
    created_at: String,
}

impl From<ReportTitle> for ReportTitleBody {
    fn from(row: ReportTitle) -> Self {
        Self {
            id: row.id,
            title: row.title,
            created_at: format_rfc3339(row.created_at_us),
        }
    }
}

/// List reports, latest first
#[utoipa::path(get, path = "/v1/reports", tag = "loop", security(("key" = [])), params(ReportListParams),
    responses((status = 200, body = Page<ReportTitleBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<ReportListParams>,
) -> Result<Json<Page<ReportTitleBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let mut conn = state.engine.db.read().await?;
    let rows = reports::list(&mut conn, caller.project, params.after, limit + 1).await?;
    let key = |row: &ReportTitle| row.id.to_string();
    Ok(Json(Page::new(rows, limit, key, ReportTitleBody::from)))
}
