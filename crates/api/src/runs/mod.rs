//! Training runs over HTTP.

pub(crate) mod list;
pub(crate) mod show;

use hone_domain::{RunStatus, TrainingTrigger, format_rfc3339};
use hone_storage::runs::Run;
use uuid::Uuid;

use crate::page::headline;

/// One training run.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct RunBody {
    id: Uuid,
    task_id: Uuid,
    /// Why it was started.
    reason: TrainingTrigger,
    status: RunStatus,
    trainer: String,
    #[schema(value_type = Object)]
    settings: serde_json::Value,
    seed: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_version_id: Option<Uuid>,
    /// What a search for settings tried and what it chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    search: Option<serde_json::Value>,
    /// Evaluation on the held-out part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metrics: Option<serde_json::Value>,
    /// Evaluation of the version that served, on the same rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    baseline_metrics: Option<serde_json::Value>,
    /// The gate's decision with its numbers and reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    decision: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
}

impl RunBody {
    /// With the numbers of its evaluations only.
    fn in_a_list(self) -> Self {
        Self {
            search: None,
            metrics: self.metrics.map(headline),
            baseline_metrics: self.baseline_metrics.map(headline),
            ..self
        }
    }
}

impl From<Run> for RunBody {
    fn from(row: Run) -> Self {
        Self {
            id: row.id,
            task_id: row.task_id,
            reason: row.reason,
            status: row.status,
            trainer: row.trainer,
            settings: row.settings,
            seed: row.seed,
            dataset_id: row.dataset_id,
            model_version_id: row.model_version_id,
            baseline_version_id: row.baseline_version_id,
            search: row.search.map(|search| search.0),
            metrics: row.metrics.map(|metrics| metrics.0),
            baseline_metrics: row.baseline_metrics.map(|metrics| metrics.0),
            decision: row.decision.map(|decision| decision.0),
            error: row.error,
            created_at: format_rfc3339(row.created_at_us),
            started_at: row.started_at_us.map(format_rfc3339),
            finished_at: row.finished_at_us.map(format_rfc3339),
        }
    }
}
