//! Datasets over HTTP.

pub(crate) mod compare;
pub(crate) mod export;
pub(crate) mod freeze;
pub(crate) mod lineage;
pub(crate) mod list;
pub(crate) mod show;
pub(crate) mod tags;

use hone_domain::format_rfc3339;
use hone_storage::datasets::Dataset;
use uuid::Uuid;

/// A frozen set of examples.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct DatasetBody {
    id: Uuid,
    task_id: Uuid,
    /// BLAKE3 of its stored rows.
    content_hash: String,
    size_bytes: i64,
    example_count: i64,
    /// Counts by part and by label.
    #[schema(value_type = Object)]
    statistics: serde_json::Value,
    created_at: String,
}

impl From<Dataset> for DatasetBody {
    fn from(row: Dataset) -> Self {
        Self {
            id: row.id,
            task_id: row.task_id,
            content_hash: row.content_hash,
            size_bytes: row.size_bytes,
            example_count: row.example_count,
            statistics: row.statistics,
            created_at: format_rfc3339(row.created_at_us),
        }
    }
}
