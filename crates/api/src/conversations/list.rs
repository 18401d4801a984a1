//! `GET /v1/conversations`: lists conversations, the last active first.

use axum::Json;
use axum::extract::State;
use hone_domain::Scope;
use hone_storage::conversations;
use uuid::Uuid;

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
    after: Option<String>,
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
    let before = params.after.as_deref().map(place).transpose()?;
    let rows = conversations::list(&mut conn, caller.project, before, limit + 1).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| format!("{}_{}", row.last_at_us, row.id),
        ConversationBody::from,
    )))
}

/// Reads where a page ended. The time is part of it: a conversation that goes on moves to the front of the list.
fn place(after: &str) -> Result<(i64, Uuid), Problem> {
    let parts = after.split_once('_');
    let place = parts.and_then(|(at_us, id)| Some((at_us.parse().ok()?, id.parse().ok()?)));
    place.ok_or_else(|| Problem::field("/query/after", "give the next of the page before"))
}
