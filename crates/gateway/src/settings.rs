//! What an installation sets: its providers with their keys, prices and bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use hone_domain::ProviderKind;
use reqwest::Client;

use crate::gateway::GatewayError;
use crate::prices::{Price, PriceTable};
use crate::provider::Provider;
use crate::secret::Secret;

/// A provider with its key.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// How it is spoken to.
    pub kind: ProviderKind,
    /// Where its API is, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Its key; none where it wants none.
    pub api_key: Option<Secret>,
    /// Azure's API version.
    pub api_version: Option<String>,
    /// Whether streams are asked for their count of tokens; off for servers that refuse `stream_options`.
    pub counts_streamed_tokens: bool,
}

/// Everything an installation sets of the gateway.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Providers by name. A model without a provider's name goes to the one named like its protocol, else to the first
    /// that speaks it.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Prices that go before the shipped ones.
    pub prices: Vec<Price>,
    /// Task of requests that name none; made when it is missing.
    pub default_task: String,
    /// How long a connection to a provider may take.
    pub connect_timeout: Duration,
    /// The largest reply that is taken, in bytes.
    pub max_reply_bytes: usize,
    /// Whether providers that projects bring themselves may have private addresses.
    pub allow_private_providers: bool,
}

impl GatewaySettings {
    /// Refuses what cannot work, as starting the gateway does.
    pub fn check(&self) -> Result<(), GatewayError> {
        let client = Client::new();
        for (name, provider) in &self.providers {
            Provider::new(name, provider, client.clone(), self.connect_timeout, false)?;
        }
        PriceTable::with_overrides(&self.prices)?;
        Ok(())
    }
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            providers: BTreeMap::new(),
            prices: Vec::new(),
            default_task: "gateway".to_owned(),
            connect_timeout: Duration::from_secs(10),
            max_reply_bytes: 64 << 20,
            allow_private_providers: false,
        }
    }
}
