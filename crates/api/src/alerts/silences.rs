//! `GET` and `POST /v1/alerts/silences`, `DELETE /v1/alerts/silences/{id}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::{Scope, format_rfc3339};
use hone_engine::NewSilence;
use hone_storage::alerts::{self, Silence};
use hone_storage::tasks;
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::JsonBody;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

/// A time in which nobody is told of some alerts.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct SilenceBody {
    id: Uuid,
    /// Only of this rule.
    rule: Option<String>,
    /// Only of this task.
    task: Option<String>,
    /// Until when.
    until: String,
    /// Why.
    reason: String,
}

impl SilenceBody {
    fn of(row: Silence, task: Option<String>) -> Self {
        Self {
            id: row.id,
            rule: row.rule,
            task,
            until: format_rfc3339(row.until_us),
            reason: row.reason,
        }
    }
}

/// The silences of a project.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct SilencesBody {
    /// The one that ends next first.
    items: Vec<SilenceBody>,
}

/// List the silences that last
#[utoipa::path(get, path = "/v1/alerts/silences", tag = "observe", security(("key" = [])),
    responses((status = 200, body = SilencesBody)))]
pub(crate) async fn list(
    caller: Caller,
    State(state): State<AppState>,
) -> Result<Json<SilencesBody>, Problem> {
    caller.require(Scope::Read)?;
    let mut conn = state.engine.db.read().await?;
    let all = tasks::list(&mut conn, caller.project).await?;
    let name = |id: Uuid| {
        all.iter()
            .find(|task| task.id == id)
            .map(|task| task.name.clone())
    };
    let found = alerts::list_silences(&mut conn, caller.project, state.engine.ids.now_us()).await?;
    let items = found.into_iter().map(|row| {
        let task = row.task_id.and_then(name);
        SilenceBody::of(row, task)
    });
    Ok(Json(SilencesBody {
        items: items.collect(),
    }))
}

/// Let nobody be told of some alerts for a while; they are noted all the same
#[utoipa::path(post, path = "/v1/alerts/silences", tag = "observe", security(("key" = [])), request_body = NewSilence,
    responses((status = 201, body = SilenceBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn create(
    caller: Caller,
    State(state): State<AppState>,
    key: IdempotencyKey,
    JsonBody(new): JsonBody<NewSilence>,
) -> Result<(StatusCode, Json<SilenceBody>), Problem> {
    caller.require(Scope::Operate)?;
    let task = new.task.clone();
    let id = key.id(caller.project, "silence");
    let silence = state.engine.silence(caller.project, new, id).await?;
    Ok((StatusCode::CREATED, Json(SilenceBody::of(silence, task))))
}

/// End a silence
#[utoipa::path(delete, path = "/v1/alerts/silences/{id}", tag = "observe", security(("key" = [])),
    params(("id" = Uuid, Path, description = "the silence")),
    responses((status = 204, description = "ended"), (status = 404, body = ProblemBody)))]
pub(crate) async fn end(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Operate)?;
    state.engine.end_silence(caller.project, path_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
