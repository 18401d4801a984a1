//! `GET /v1/conversations/{id}`: a conversation with its turns.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{ConversationId, Scope};
use hone_storage::{conversations, interactions};

use super::ConversationBody;
use crate::auth::Caller;
use crate::interactions::InteractionBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Turns shown; a longer conversation is listed through `/v1/interactions?conversation=`.
const MAX_TURNS: i64 = 1_000;

/// A conversation with its turns.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ConversationDetail {
    #[serde(flatten)]
    conversation: ConversationBody,
    /// Its first 1,000 interactions in order.
    interactions: Vec<InteractionBody>,
}

/// Show a conversation with its turns
#[utoipa::path(get, path = "/v1/conversations/{id}", tag = "record", security(("key" = [])),
    params(("id" = String, Path, description = "its id, or the client's name for it")),
    responses((status = 200, body = ConversationDetail), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<ConversationDetail>, Problem> {
    caller.require(Scope::Read)?;
    let mut conn = state.engine.db.read().await?;
    let by_name = ConversationId::derive(caller.project, &id);
    let mut found = conversations::find(&mut conn, caller.project, by_name).await?;
    if let (None, Ok(id)) = (&found, id.parse()) {
        found = conversations::find(&mut conn, caller.project, id).await?;
    }
    let row = found.ok_or_else(|| Problem::not_found("conversation", &id))?;
    let id = ConversationId(row.id);
    let turns = interactions::list_of_conversation(&mut conn, caller.project, id, MAX_TURNS).await?;
    Ok(Json(ConversationDetail {
        conversation: row.into(),
        interactions: turns.into_iter().map(InteractionBody::from).collect(),
    }))
}
