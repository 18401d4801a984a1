//! Feedback over HTTP.

pub(crate) mod list;
pub(crate) mod record;

use hone_domain::{FeedbackKind, FeedbackSource, format_rfc3339};
use hone_storage::feedback::Feedback;
use uuid::Uuid;

/// What someone said or did.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct FeedbackBody {
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<Uuid>,
    kind: FeedbackKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detected_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_mismatch: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<hone_domain::Preference>)]
    preference: Option<serde_json::Value>,
    source: FeedbackSource,
    occurred_at: String,
    created_at: String,
}

impl From<Feedback> for FeedbackBody {
    fn from(row: Feedback) -> Self {
        Self {
            id: row.id,
            interaction_id: row.interaction_id,
            conversation_id: row.conversation_id,
            kind: row.kind,
            value: row.value,
            name: row.name,
            label: row.label,
            detected_label: row.detected_label,
            is_mismatch: row.is_mismatch,
            text: row.text.0,
            preference: row.preference.0.and_then(|text| serde_json::from_str(&text).ok()),
            source: row.source,
            occurred_at: format_rfc3339(row.occurred_at_us),
            created_at: format_rfc3339(row.created_at_us),
        }
    }
}
