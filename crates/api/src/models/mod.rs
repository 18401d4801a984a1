//! Model versions over HTTP.

pub(crate) mod compare;
pub(crate) mod list;
pub(crate) mod show;

use hone_domain::{Stage, TaskId, format_rfc3339};
use hone_storage::Conn;
use hone_storage::versions::{self, ModelVersion};
use uuid::Uuid;

use crate::Problem;
use crate::page::headline;

/// A registered model with its lineage.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ModelBody {
    id: Uuid,
    task_id: Uuid,
    version: String,
    stage: Stage,
    run_id: Uuid,
    /// The dataset it learned from; absent for a version that answers through a provider's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_hash: Option<String>,
    artifact_hash: String,
    artifact_bytes: i64,
    trainer: String,
    #[schema(value_type = Object)]
    settings: serde_json::Value,
    /// Its evaluation on the held-out part when it was registered.
    #[schema(value_type = Object)]
    metrics: serde_json::Value,
    code_version: String,
    created_at: String,
}

impl ModelBody {
    /// With the numbers of its evaluation only.
    fn in_a_list(self) -> Self {
        Self {
            metrics: headline(self.metrics),
            ..self
        }
    }
}

impl From<ModelVersion> for ModelBody {
    fn from(row: ModelVersion) -> Self {
        Self {
            id: row.id,
            task_id: row.task_id,
            version: row.version,
            stage: row.stage,
            run_id: row.run_id,
            dataset_id: row.dataset_id,
            dataset_hash: row.dataset_hash,
            artifact_hash: row.artifact_hash,
            artifact_bytes: row.artifact_bytes,
            trainer: row.trainer,
            settings: row.settings,
            metrics: row.metrics,
            code_version: row.code_version,
            created_at: format_rfc3339(row.created_at_us),
        }
    }
}

/// The version of a task with this name, or a problem.
pub(crate) async fn get_version(
    conn: &mut Conn,
    task: TaskId,
    version: &str,
) -> Result<ModelVersion, Problem> {
    let found = versions::find_by_version(conn, task, version.trim_start_matches('v')).await?;
    found.ok_or_else(|| Problem::not_found("model version", version))
}
