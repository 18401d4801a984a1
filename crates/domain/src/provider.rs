//! Providers of models: which protocol they speak.

use crate::spelled_enum;

spelled_enum! {
    /// How a provider is spoken to.
    ProviderKind ("provider kind") {
        /// The OpenAI API, by OpenAI or anything compatible.
        OpenAi = "openai",
        /// Azure `OpenAI`: the same bodies, deployments in the path and an API version.
        Azure = "azure",
        /// The Anthropic API.
        Anthropic = "anthropic",
    }
}
