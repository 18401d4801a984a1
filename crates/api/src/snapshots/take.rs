//! `POST /v1/snapshots`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hone_domain::{Scope, SnapshotPeriod};

use super::SnapshotBody;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakeSnapshotBody {
    /// Name of the task.
    task: String,
    /// Which period is frozen: the current hour, day, week or month, up to now.
    period: SnapshotPeriod,
}

/// Freeze the metrics of the current hour, day, week or month up to now
#[utoipa::path(post, path = "/v1/snapshots", tag = "observe", security(("key" = [])), request_body = TakeSnapshotBody,
    responses((status = 201, body = SnapshotBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<TakeSnapshotBody>,
) -> Result<(StatusCode, Json<SnapshotBody>), Problem> {
    caller.require(Scope::Operate)?;
    let task = state.engine.get_task(caller.project, &body.task).await?;
    let id = key.id(caller.project, "snapshot");
    let snapshot = state.engine.take_snapshot(&task, body.period, id).await?;
    let shown = SnapshotBody::of(snapshot, std::slice::from_ref(&task));
    Ok((StatusCode::CREATED, Json(shown)))
}
