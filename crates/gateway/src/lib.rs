//! Talking to models: the proxy that applications point their base URL at, with providers, streams, limits and prices.
//!
//! `api` hands it requests of the endpoints that OpenAI's and Anthropic's SDKs speak; it passes them on, listens to the
//! answers without changing them, and hands what it saw to `engine::record`. It decides nothing about examples or versions.

mod body;
mod breaker;
mod call;
mod cascade;
mod context;
mod endpoint;
mod events;
mod exchange;
mod gateway;
mod limits;
mod models;
mod placing;
mod prices;
mod prompting;
mod prompts;
mod provider;
mod proxy;
mod question;
mod refusal;
mod reply;
mod route;
mod secret;
mod settings;
mod shadow;
mod span;
mod stream;
mod traces;
mod transcript;
mod upstream;
mod usage;

/// Target of the spans that tell of requests, for those who collect traces.
pub const TRACES: &str = "hone::traces";

pub use cascade::CascadeStanding;
pub use endpoint::{Dialect, Endpoint};
pub use gateway::{Gateway, GatewayCaller, GatewayError};
pub use models::ListedModel;
pub use prices::Price;
pub use prompts::{GeneratedPrompt, PromptRequest};
pub use proxy::{refuse, refuse_asked};
pub use refusal::{Refusal, RefusalKind};
pub use secret::Secret;
pub use settings::{GatewaySettings, ProviderSettings};
pub use stream::ReplyBody;
pub use traces::TraceEncoding;
