//! `GET /v1/datasets/{id}/lineage`: where a dataset came from and what was made of it.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::Scope;
use hone_storage::datasets;

use crate::auth::Caller;
use crate::models::ModelBody;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// Where a dataset came from and what was made of it.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct LineageBody {
    /// Examples that came from recorded interactions; each row of its export names its own.
    from_interactions: usize,
    /// The conversations that these belong to.
    conversations: usize,
    /// Examples that came from files and calls.
    imported: usize,
    tags: Vec<String>,
    /// Versions that learned from it.
    versions: Vec<ModelBody>,
}

/// Trace a dataset to interactions and to models
#[utoipa::path(get, path = "/v1/datasets/{id}/lineage", tag = "examples", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the dataset")),
    responses((status = 200, body = LineageBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<LineageBody>, Problem> {
    caller.require(Scope::Read)?;
    let dataset = state.engine.get_dataset(caller.project, path_id(&id)?).await?;
    let lineage = state.engine.dataset_lineage(&dataset).await?;
    let tags = datasets::list_tags(&mut state.engine.db.read().await?, dataset.id).await?;
    Ok(Json(LineageBody {
        from_interactions: lineage.from_interactions,
        conversations: lineage.conversations,
        imported: lineage.imported,
        tags,
        versions: lineage.versions.into_iter().map(ModelBody::from).collect(),
    }))
}
