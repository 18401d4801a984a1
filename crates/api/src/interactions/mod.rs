//! Interactions over HTTP.

pub(crate) mod list;
pub(crate) mod record;
pub(crate) mod show;

use hone_domain::{AnswerSource, InteractionStatus, JsonText, format_rfc3339};
use hone_storage::interactions::Interaction;
use uuid::Uuid;

use crate::page::words;

/// One input and one output of a task.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct InteractionBody {
    id: Uuid,
    task_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    turn: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_id: Option<Uuid>,
    input: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
    source: AnswerSource,
    status: InteractionStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_input: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_output: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    tags: Vec<String>,
    is_reference: bool,
    /// The JSON that went to the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    request: Option<JsonText>,
    /// The JSON of an answer that is more than text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    reply: Option<JsonText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Flaws of the texts, those of the answer after `answer:`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flaws: Vec<String>,
    /// Kinds of personal data that were found in the texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    personal_data: Vec<String>,
    /// How much the words of the input hurt, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    moderation: Option<f64>,
    /// Signs of an injected instruction in the input, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    injection: Option<f64>,
    occurred_at: String,
    created_at: String,
}

impl From<Interaction> for InteractionBody {
    fn from(row: Interaction) -> Self {
        Self {
            id: row.id,
            task_id: row.task_id,
            conversation_id: row.conversation_id,
            turn: row.turn,
            subject_id: row.subject_id,
            input: row.input.0,
            output: row.output.0,
            label: row.label,
            confidence: row.confidence,
            source: row.source,
            status: row.status,
            model: row.model,
            model_version_id: row.model_version_id,
            latency_ms: row.latency_us.map(|us| us as f64 / 1_000.0),
            tokens_input: row.tokens_input,
            tokens_output: row.tokens_output,
            cost_usd: row.cost_micro_usd.map(|micro| micro as f64 / 1e6),
            action_type: row.action_type,
            target_tool: row.target_tool,
            language: row.language,
            tags: row
                .tags
                .and_then(|tags| serde_json::from_str(&tags).ok())
                .unwrap_or_default(),
            is_reference: row.is_reference,
            request: row.request.0.and_then(JsonText::parse),
            reply: row.reply.0.and_then(JsonText::parse),
            structured_prompt: row.structured_prompt.0,
            first_token_ms: row.first_token_us.map(|us| us as f64 / 1_000.0),
            error: row.error,
            flaws: words(row.flaws.as_deref()),
            personal_data: words(row.personal_data.as_deref()),
            moderation: row.moderation,
            injection: row.injection,
            occurred_at: format_rfc3339(row.occurred_at_us),
            created_at: format_rfc3339(row.created_at_us),
        }
    }
}
