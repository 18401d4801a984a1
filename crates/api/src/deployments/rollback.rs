//! `POST /v1/deployments/{id}/rollback`: takes a deployment that shares the traffic off its task, or goes back to what served
//! before one.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use hone_domain::{DeploymentId, DeploymentState, ModelVersionId, Scope, TaskId};
use hone_engine::{DeployRequest, DeploymentChange};
use hone_storage::{deployments, tasks, versions};

use super::DeploymentBody;
use crate::auth::Caller;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem, ProblemKind};

/// Take a running deployment off its task, or go back to the version that served before this one
#[utoipa::path(post, path = "/v1/deployments/{id}/rollback", tag = "models", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the deployment to undo")),
    responses((status = 200, description = "it shared the traffic and was taken off", body = DeploymentBody), (status = 201, body = DeploymentBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
    key: IdempotencyKey,
) -> Result<(StatusCode, Json<DeploymentBody>), Problem> {
    caller.require(Scope::Operate)?;
    let id: DeploymentId = path_id(&id)?;
    let mut conn = state.engine.db.read().await?;
    let undone = deployments::find(&mut conn, caller.project, id).await?;
    let undone = undone.ok_or_else(|| Problem::not_found("deployment", id))?;
    if undone.state.is_sharing() {
        drop(conn);
        let reason = "asked for by hand";
        let taken_off = state
            .engine
            .change_deployment(caller.project, id, &DeploymentChange::RollBack, reason)
            .await?;
        return Ok((StatusCode::OK, Json(taken_off.into())));
    }
    if key.is_given() && undone.state == DeploymentState::RolledBack && undone.live_at_us.is_none() {
        // Sent again, it has done its work already.
        return Ok((StatusCode::OK, Json(undone.into())));
    }
    let Some(previous) = undone.previous_version_id else {
        let detail = "nothing served the task before this deployment; deploy another version instead";
        return Err(Problem::new(ProblemKind::Conflict, detail));
    };
    let version = versions::get(&mut conn, ModelVersionId(previous)).await?;
    let task = tasks::get(&mut conn, TaskId(undone.task_id)).await?;
    drop(conn);
    let wanted = DeployRequest::Rollback(Some(version.version));
    let reason = format!("rollback of deployment {id}");
    let deployment = state
        .engine
        .deploy(
            caller.project,
            &task.name,
            &wanted,
            &reason,
            key.id(caller.project, "deployment"),
        )
        .await?;
    Ok((StatusCode::CREATED, Json(deployment.into())))
}
