//! What is shown of a deployment: its versions by name, its last look, everything that happened to it.

use std::collections::BTreeMap;

use hone_domain::{DeploymentId, ModelVersionId, ProjectId, TaskId};
use hone_storage::deployments::{self, Deployment, EventRow};
use hone_storage::experiments::{self, Exposure};
use hone_storage::{tasks, versions};
use uuid::Uuid;

use super::arms_of;
use crate::experiment::Look;
use crate::{Engine, EngineError};

/// Disagreements of a shadow that are shown.
const DISAGREEMENTS: i64 = 20;

/// A deployment with everything that is shown of it.
#[derive(Debug)]
pub struct DeploymentView {
    /// The deployment.
    pub deployment: Deployment,
    /// The name of its task.
    pub task: String,
    /// The names of the versions that it is about.
    pub versions: BTreeMap<Uuid, String>,
    /// What its outcomes say: now, while it shares traffic; at its end afterwards.
    pub look: Option<Look>,
    /// What happened to it, in order.
    pub events: Vec<EventRow>,
    /// The latest requests where a shadow said something else.
    pub disagreements: Vec<Exposure>,
}

impl DeploymentView {
    /// The name of a version.
    pub fn name_of(&self, version: Uuid) -> &str {
        self.versions.get(&version).map_or("?", String::as_str)
    }
}

impl Engine {
    /// Shows a deployment.
    pub async fn show_deployment(
        &self,
        project: ProjectId,
        id: DeploymentId,
    ) -> Result<DeploymentView, EngineError> {
        let mut conn = self.db.read().await?;
        let found = deployments::find(&mut conn, project, id).await?;
        let deployment = found.ok_or_else(|| EngineError::NotFound {
            noun: "deployment",
            id: id.to_string(),
        })?;
        let task = tasks::get(&mut conn, TaskId(deployment.task_id)).await?.name;
        let look = if deployment.state.is_sharing() {
            self.look(&mut conn, &deployment).await?
        } else {
            let kept = deployment.look.as_ref();
            kept.and_then(|look| serde_json::from_value(look.0.clone()).ok())
        };
        let mut names = BTreeMap::new();
        let of_look = look.iter().flat_map(|look: &Look| &look.exposures);
        let involved = arms_of(&deployment)
            .into_iter()
            .chain(deployment.previous_version_id)
            .chain(of_look.map(|arm| arm.version_id));
        for version in involved {
            if let std::collections::btree_map::Entry::Vacant(entry) = names.entry(version) {
                entry.insert(versions::get(&mut conn, ModelVersionId(version)).await?.version);
            }
        }
        Ok(DeploymentView {
            task,
            versions: names,
            look,
            events: deployments::list_events(&mut conn, id).await?,
            disagreements: experiments::list_disagreements(&mut conn, id, DISAGREEMENTS).await?,
            deployment,
        })
    }
}
