//! What a version of a `generate` task is: a provider's model with the prompt it is asked with.

use crate::{InvalidInput, spelled_enum};

/// Longest template.
const MAX_TEMPLATE_BYTES: usize = 100_000;
/// Most messages of a template.
const MAX_MESSAGES: usize = 50;
/// Most examples that are inserted into one request.
const MAX_EXAMPLES: usize = 20;

spelled_enum! {
    /// Who says a message of a prompt.
    PromptRole ("role") {
        /// Instructions.
        System = "system",
        /// The person.
        User = "user",
        /// The model.
        Assistant = "assistant",
    }
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptMessage {
    /// Who says it.
    pub role: PromptRole,
    /// A minijinja template of the text; its variables are the inputs.
    pub template: String,
}

/// Which rated examples of the task are inserted as earlier turns (dynamic in-context learning).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExampleRetrieval {
    /// How many at most; 0 inserts none.
    pub k: usize,
    /// The least likeness to the question (cosine, 0 to 1).
    pub min_similarity: f64,
}

impl Default for ExampleRetrieval {
    fn default() -> Self {
        Self {
            k: 0,
            min_similarity: 0.2,
        }
    }
}

/// A version of a `generate` task.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptSpec {
    /// The model that is asked, as `provider/model`.
    pub model: String,
    /// What is said before the client's own messages.
    #[serde(default)]
    pub messages: Vec<PromptMessage>,
    /// JSON Schema of the inputs; without one any object will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub inputs: Option<serde_json::Value>,
    /// Fields of the request, such as `temperature`, where the client gives none itself.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// Examples that are inserted as earlier turns.
    #[serde(default)]
    pub examples: ExampleRetrieval,
}

impl PromptSpec {
    /// Checks everything that can be checked without compiling templates.
    pub fn validate(&self) -> Result<(), InvalidInput> {
        let is_named = self
            .model
            .split_once('/')
            .is_some_and(|(provider, model)| !provider.is_empty() && !model.is_empty());
        if !is_named || self.model.len() > 200 {
            return Err(InvalidInput::field(
                "/model",
                "give provider/model, such as openai/gpt-4o-mini",
            ));
        }
        if self.messages.len() > MAX_MESSAGES {
            return Err(InvalidInput::field("/messages", "give at most 50 messages"));
        }
        for (index, message) in self.messages.iter().enumerate() {
            if message.template.len() > MAX_TEMPLATE_BYTES {
                let pointer = format!("/messages/{index}/template");
                return Err(InvalidInput::field(pointer, "has more than 100000 bytes"));
            }
        }
        for reserved in [
            "model",
            "messages",
            "input",
            "stream",
            "system",
            "instructions",
            "hone",
        ] {
            if self.parameters.contains_key(reserved) {
                let pointer = format!("/parameters/{reserved}");
                return Err(InvalidInput::field(
                    pointer,
                    "is no parameter of a version; leave it out",
                ));
            }
        }
        if self.examples.k > MAX_EXAMPLES {
            return Err(InvalidInput::field("/examples/k", "give 0 to 20"));
        }
        if !(0.0..=1.0).contains(&self.examples.min_similarity) {
            return Err(InvalidInput::field(
                "/examples/min_similarity",
                "give a number from 0 to 1",
            ));
        }
        Ok(())
    }
}
