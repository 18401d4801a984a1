//! How the gateway answers a task's requests: which models, in which order, how often and how long.

use super::refuse;
use crate::InvalidInput;

/// Most models of a task.
const MAX_ROUTES: usize = 20;
/// Longest time that a request may take, in milliseconds.
const MAX_TIMEOUT_MS: u64 = 3_600_000;

/// One model that may answer.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelRoute {
    /// `provider/model`.
    pub model: String,
    /// Models of a lower order are tried first.
    #[serde(default)]
    pub order: u32,
    /// Share of the requests among models of the same order; the others are its fallbacks.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// How the gateway answers.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayPolicy {
    /// The models behind `task:<name>`.
    #[serde(deserialize_with = "crate::objects")]
    pub models: Vec<ModelRoute>,
    /// How often one model is asked again after 429, 5xx, a broken connection or a timeout, before the next model is asked.
    pub retries: u32,
    /// Wait before the first repetition, in milliseconds; doubled each time, with jitter.
    pub backoff_ms: u64,
    /// How long the first byte of an answer may take, in milliseconds.
    pub first_token_timeout_ms: u64,
    /// How long a whole answer may take with all repetitions, in milliseconds.
    pub total_timeout_ms: u64,
}

impl Default for GatewayPolicy {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            retries: 2,
            backoff_ms: 250,
            first_token_timeout_ms: 120_000,
            total_timeout_ms: 600_000,
        }
    }
}

impl GatewayPolicy {
    pub(super) fn validate(&self) -> Result<(), InvalidInput> {
        if self.models.len() > MAX_ROUTES {
            return refuse("/policy/gateway/models", "give at most 20 models");
        }
        for (index, route) in self.models.iter().enumerate() {
            let pointer = |field: &str| format!("/policy/gateway/models/{index}/{field}");
            let is_named = route
                .model
                .split_once('/')
                .is_some_and(|(provider, model)| !provider.is_empty() && !model.is_empty());
            if !is_named || route.model.len() > 200 {
                return refuse(
                    &pointer("model"),
                    "give provider/model, such as openai/gpt-4o-mini",
                );
            }
            if !(route.weight >= 0.0 && route.weight <= 1e6) {
                return refuse(&pointer("weight"), "give a number from 0 to 1000000");
            }
        }
        if self.retries > 10 {
            return refuse("/policy/gateway/retries", "give 0 to 10");
        }
        for (pointer, milliseconds) in [
            ("/policy/gateway/backoff_ms", self.backoff_ms),
            (
                "/policy/gateway/first_token_timeout_ms",
                self.first_token_timeout_ms,
            ),
            ("/policy/gateway/total_timeout_ms", self.total_timeout_ms),
        ] {
            if !(1..=MAX_TIMEOUT_MS).contains(&milliseconds) {
                return refuse(pointer, "give 1 to 3600000 milliseconds");
            }
        }
        Ok(())
    }
}
