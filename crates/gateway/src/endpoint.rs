//! The endpoints that the gateway speaks, and the protocol of each.

use hone_domain::ProviderKind;

/// The protocol of a client or a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// As OpenAI's SDKs speak.
    OpenAi,
    /// As Anthropic's SDKs speak.
    Anthropic,
}

impl Dialect {
    /// The name of the provider that a model without one belongs to.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// The header that its SDKs show as the id of a request.
    pub(crate) const fn request_id_header(self) -> &'static str {
        match self {
            Self::OpenAi => "x-request-id",
            Self::Anthropic => "request-id",
        }
    }
}

/// An endpoint whose calls are passed on to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /openai/v1/chat/completions`.
    ChatCompletions,
    /// `POST /openai/v1/responses`.
    Responses,
    /// `POST /openai/v1/embeddings`.
    Embeddings,
    /// `POST /anthropic/v1/messages`.
    Messages,
}

impl Endpoint {
    /// Its protocol.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Messages => Dialect::Anthropic,
            Self::ChatCompletions | Self::Responses | Self::Embeddings => Dialect::OpenAi,
        }
    }

    /// Its path under a provider's base URL.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat/completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
        }
    }

    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
        }
    }

    /// Whether a provider of this kind answers it. Anthropic answers chat completions beside its own protocol.
    pub(crate) const fn is_answered_by(self, kind: ProviderKind) -> bool {
        match kind {
            ProviderKind::OpenAi | ProviderKind::Azure => !matches!(self, Self::Messages),
            ProviderKind::Anthropic => matches!(self, Self::Messages | Self::ChatCompletions),
        }
    }

    /// Whether a model name without a provider means one of this kind here.
    pub(crate) const fn is_native_to(self, kind: ProviderKind) -> bool {
        matches!(
            (self.dialect(), kind),
            (Dialect::OpenAi, ProviderKind::OpenAi | ProviderKind::Azure)
                | (Dialect::Anthropic, ProviderKind::Anthropic)
        )
    }
}
