//! `GET /v1/interactions`: lists with filters.

use axum::Json;
use axum::extract::State;
use hone_domain::{ConversationId, InteractionId, InteractionStatus, Scope};
use hone_storage::interactions::{self, Filter};

use super::InteractionBody;
use crate::auth::Caller;
use crate::page::{Page, Params, checked_limit};
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Only of this task.
    task: Option<String>,
    /// Only with this detected label.
    label: Option<String>,
    /// Only with this status.
    status: Option<InteractionStatus>,
    /// Only of the conversation that the client calls so.
    conversation: Option<String>,
    /// Only with a lower confidence.
    confidence_below: Option<f64>,
    /// Items on a page, 1 to 500.
    limit: Option<i64>,
    /// `next` of the page before.
    #[param(value_type = Option<uuid::Uuid>)]
    after: Option<InteractionId>,
}

/// List interactions, latest first
#[utoipa::path(get, path = "/v1/interactions", tag = "record", security(("key" = [])), params(ListParams),
    responses((status = 200, body = Page<InteractionBody>)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(params): Params<ListParams>,
) -> Result<Json<Page<InteractionBody>>, Problem> {
    caller.require(Scope::Read)?;
    let limit = checked_limit(params.limit)?;
    let task = match &params.task {
        Some(name) => Some(state.engine.get_task(caller.project, name).await?.id),
        None => None,
    };
    let filter = Filter {
        task,
        label: params.label,
        status: params.status,
        conversation: params
            .conversation
            .map(|name| ConversationId::derive(caller.project, &name)),
        confidence_below: params.confidence_below,
    };
    let mut conn = state.engine.db.read().await?;
    let rows = interactions::list(&mut conn, caller.project, &filter, params.after, limit + 1).await?;
    Ok(Json(Page::new(
        rows,
        limit,
        |row| row.id.to_string(),
        InteractionBody::from,
    )))
}
