//! Providers that a project brings itself.

pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod set;

use hone_domain::{ProviderKind, format_rfc3339};
use hone_storage::providers::ProjectProvider;

/// A provider of the project. Its key comes with each request as `x-hone-provider-key` and is never stored.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ProviderBody {
    name: String,
    kind: ProviderKind,
    base_url: String,
    created_at: String,
}

impl From<ProjectProvider> for ProviderBody {
    fn from(row: ProjectProvider) -> Self {
        Self {
            name: row.name,
            kind: row.kind,
            base_url: row.base_url,
            created_at: format_rfc3339(row.created_at_us),
        }
    }
}
