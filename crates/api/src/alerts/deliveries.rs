//! `GET /v1/alerts/deliveries`.

use axum::Json;
use axum::extract::State;
use hone_domain::{Scope, format_rfc3339};
use hone_storage::alert_routes::{self, Delivery};
use uuid::Uuid;

use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveryListParams {
    /// Only of this alert.
    alert: Option<Uuid>,
    /// Items on a page, 1 to 500.
    limit: Option<i64>,
    /// `next` of the page before.
    after: Option<Uuid>,
}

/// What somebody was told, or is to be told.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct DeliveryBody {
    id: Uuid,
    /// The alert; absent for a message that tries the route.
    alert_id: Option<Uuid>,
    /// Name of the route.
    route: String,
    /// `firing`, `resolved`, `noted` or `test`.
    event: String,
    /// `queued`, `delivered`, `failed` or `silenced`.
    state: String,
    /// How often it was tried.
    attempts: i64,
    /// What went wrong last.
    error: Option<String>,
    created_at: String,
    delivered_at: Option<String>,
}

impl From<Delivery> for DeliveryBody {
    fn from(row: Delivery) -> Self {
        Self {
            id: row.id,
            alert_id: row.alert_id,
            route: row.route,
            event: row.event,
            state: row.state,
            attempts: row.attempts,
            error: row.error,
            created_at: format_rfc3339(row.created_at_us),
            delivered_at: row.delivered_at_us.map(format_rfc3339),
        }
    }
}

/// List what people were told, latest first
#[utoipa::path(get, path = "/v1/alerts/deliveries", tag = "observe", security(("key" = [])), params(DeliveryListParams),
    responses((status = 200, body = Page<DeliveryBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<DeliveryListParams>,
) -> Result<Json<Page<DeliveryBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let mut conn = state.engine.db.read().await?;
    let (alert, after) = (params.alert, params.after);
    let rows = alert_routes::list_deliveries(&mut conn, caller.project, alert, after, limit + 1).await?;
    let key = |row: &Delivery| row.id.to_string();
    Ok(Json(Page::new(rows, limit, key, DeliveryBody::from)))
}
