//! `GET /v1/deployments/{id}`: one deployment with what its outcomes say and everything that happened to it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use hone_domain::{DeploymentEvent, DeploymentState, Scope, format_rfc3339};
use hone_engine::{DeploymentView, Look};
use hone_storage::deployments::EventRow;
use hone_storage::experiments::Exposure;
use uuid::Uuid;

use super::DeploymentBody;
use crate::auth::Caller;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// A deployment with everything that is known of it.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct DeploymentDetails {
    #[serde(flatten)]
    deployment: DeploymentBody,
    /// Name of its task.
    task: String,
    /// Names of the versions by their ids.
    #[schema(value_type = Object)]
    versions: BTreeMap<Uuid, String>,
    /// What its outcomes say, and what follows: now while it shares traffic, at its end afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    look: Option<Look>,
    /// What happened to it, in order.
    events: Vec<EventBody>,
    /// The latest requests where a shadow said something else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disagreements: Vec<DisagreementBody>,
}

#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct EventBody {
    event: DeploymentEvent,
    /// Where the deployment stood afterwards.
    state: DeploymentState,
    /// The step it was in, from 0.
    step: i64,
    reason: String,
    at: String,
}

#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct DisagreementBody {
    interaction_id: Uuid,
    /// The shadow's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow_label: Option<String>,
    /// The shadow's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow_output: Option<String>,
    at: String,
}

impl From<EventRow> for EventBody {
    fn from(row: EventRow) -> Self {
        Self {
            event: row.event,
            state: row.state,
            step: row.step,
            reason: row.reason,
            at: format_rfc3339(row.created_at_us),
        }
    }
}

impl From<Exposure> for DisagreementBody {
    fn from(row: Exposure) -> Self {
        Self {
            interaction_id: row.interaction_id,
            shadow_label: row.shadow_label,
            shadow_output: row.shadow_output.0,
            at: format_rfc3339(row.created_at_us),
        }
    }
}

impl From<DeploymentView> for DeploymentDetails {
    fn from(view: DeploymentView) -> Self {
        Self {
            deployment: view.deployment.into(),
            task: view.task,
            versions: view.versions,
            look: view.look,
            events: view.events.into_iter().map(EventBody::from).collect(),
            disagreements: view
                .disagreements
                .into_iter()
                .map(DisagreementBody::from)
                .collect(),
        }
    }
}

/// Show a deployment: how it shares the traffic, what its outcomes say, what happened to it
#[utoipa::path(get, path = "/v1/deployments/{id}", tag = "models", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the deployment")),
    responses((status = 200, body = DeploymentDetails), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<DeploymentDetails>, Problem> {
    caller.require(Scope::Read)?;
    let view = state
        .engine
        .show_deployment(caller.project, path_id(&id)?)
        .await?;
    Ok(Json(view.into()))
}
