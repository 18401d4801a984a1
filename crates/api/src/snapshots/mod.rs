//! Frozen metrics over HTTP.

pub(crate) mod list;
pub(crate) mod take;

use hone_domain::{SnapshotPeriod, format_rfc3339};
use hone_storage::snapshots::Snapshot;
use hone_storage::tasks::Task;
use uuid::Uuid;

/// A task's metrics, frozen for a period.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct SnapshotBody {
    id: Uuid,
    /// Name of the task.
    task: String,
    /// How long the period is.
    period: SnapshotPeriod,
    /// First moment of the period.
    from: String,
    /// The moment after it.
    to: String,
    /// What was frozen.
    #[schema(value_type = hone_engine::Frozen)]
    metrics: serde_json::Value,
    /// When it was taken.
    created_at: String,
}

impl SnapshotBody {
    pub fn of(row: Snapshot, tasks: &[Task]) -> Self {
        let task = tasks.iter().find(|task| task.id == row.task_id);
        Self {
            id: row.id,
            task: task.map_or_else(|| row.task_id.to_string(), |task| task.name.clone()),
            period: row.period,
            from: format_rfc3339(row.from_us),
            to: format_rfc3339(row.to_us),
            metrics: row.body,
            created_at: format_rfc3339(row.created_at_us),
        }
    }
}
