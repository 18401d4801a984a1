//! Conversations over HTTP.

pub(crate) mod list;
pub(crate) mod show;

use hone_domain::format_rfc3339;
use hone_storage::conversations::Conversation;
use uuid::Uuid;

/// A sequence of interactions.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ConversationBody {
    id: Uuid,
    /// The client's name for it.
    conversation: String,
    /// Interactions recorded in it.
    turns: i64,
    started_at: String,
    last_at: String,
}

impl From<Conversation> for ConversationBody {
    fn from(row: Conversation) -> Self {
        Self {
            id: row.id,
            conversation: row.external_id,
            turns: row.turns,
            started_at: format_rfc3339(row.started_at_us),
            last_at: format_rfc3339(row.last_at_us),
        }
    }
}
