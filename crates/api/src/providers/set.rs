//! `PUT /v1/providers/{name}`.

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{ProviderKind, Scope, require_name};
use hone_storage::providers::{self, ProjectProvider};

use super::ProviderBody;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetProvider {
    /// How it is spoken to.
    kind: ProviderKind,
    /// Where its API is, with https.
    base_url: String,
}

/// Set a provider of the project
///
/// Private addresses are refused unless the operator allows them. Each request to it brings its key as
/// `x-hone-provider-key`; no key is stored.
#[utoipa::path(put, path = "/v1/providers/{name}", tag = "gateway", security(("key" = [])),
    params(("name" = String, Path, description = "what stands before the slash in `model`")),
    request_body = SetProvider,
    responses((status = 200, body = ProviderBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<SetProvider>,
) -> Result<Json<ProviderBody>, Problem> {
    caller.require(Scope::Admin)?;
    require_name("/name", &name)?;
    if name.contains('/') || name.contains(':') {
        return Err(Problem::field("/name", "contains / or :; choose another name"));
    }
    if let Some(problem) = state.gateway.problem_of_base_url(&request.base_url, request.kind) {
        return Err(Problem::field("/base_url", problem));
    }
    let row = ProjectProvider {
        id: state.engine.ids.next(),
        project_id: caller.project.0,
        name,
        kind: request.kind,
        base_url: request.base_url,
        created_at_us: state.engine.ids.now_us(),
    };
    let mut conn = state.engine.db.begin().await?;
    providers::upsert(&mut conn, &row).await?;
    conn.commit().await?;
    state.gateway.forget_provider(caller.project, &row.name);
    Ok(Json(row.into()))
}
