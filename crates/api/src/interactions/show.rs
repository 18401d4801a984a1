//! `GET /v1/interactions/{id}`: one interaction with its feedback, example and lineage.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{InteractionId, ModelVersionId, Scope, TaskId};
use hone_storage::{examples, feedback, interactions, versions};

use super::InteractionBody;
use crate::auth::Caller;
use crate::examples::ExampleBody;
use crate::feedback::FeedbackBody;
use crate::models::ModelBody;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// An interaction with all that belongs to it.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct InteractionDetail {
    #[serde(flatten)]
    interaction: InteractionBody,
    /// What was said of it, oldest first.
    feedback: Vec<FeedbackBody>,
    /// The example made from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<ExampleBody>,
    /// The version that answered, with its run and dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<ModelBody>,
}

/// Show one interaction with its feedback, example and lineage
#[utoipa::path(get, path = "/v1/interactions/{id}", tag = "record", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the interaction")),
    responses((status = 200, body = InteractionDetail), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<InteractionDetail>, Problem> {
    caller.require(Scope::Read)?;
    let id: InteractionId = path_id(&id)?;
    let mut conn = state.engine.db.read().await?;
    let found = interactions::find(&mut conn, caller.project, id).await?;
    let row = found.ok_or_else(|| Problem::not_found("interaction", id))?;
    let said = feedback::list_of_interaction(&mut conn, caller.project, id).await?;
    let example = examples::find_by_interaction(&mut conn, TaskId(row.task_id), id).await?;
    let model_version = match row.model_version_id {
        Some(version) => Some(versions::get(&mut conn, ModelVersionId(version)).await?),
        None => None,
    };
    Ok(Json(InteractionDetail {
        interaction: row.into(),
        feedback: said.into_iter().map(FeedbackBody::from).collect(),
        example: example.map(ExampleBody::from),
        model_version: model_version.map(ModelBody::from),
    }))
}
