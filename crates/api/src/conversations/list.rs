//! `GET /v1/conversations`: lists conversations, the last active first.

use axum::Json;
use axum::extract::State;
use hone_domain::{ConversationId, Scope};
use hone_storage::conversations;

use super::ConversationBody;
use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Items on a page, 1 to 500.
    limit: Option<i64>,
    /// `next` of the page before.
    #[param(value_type = Option<uuid::Uuid>)]
    after: Option<ConversationId>,
}

/// List conversations, the last active first
#[utoipa::path(get, path = "/v1/conversations", tag = "record", security(("key" = [])), params(ListParams),
    responses((status = 200, body = Page<ConversationBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<ConversationBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let mut conn = state.engine.db.read().await?;
    let before = match params.after {
        Some(id) => conversations::find(&mut conn, caller.project, id)
            .await?
            .map(|last| (last.last_at_us, last.id)),
        None => None,
    };
    let rows = conversations::list(&mut conn, caller.project, before, limit + 1).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        ConversationBody::from,
    )))
}
