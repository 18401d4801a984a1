//! What Anthropic's SDKs speak.

pub(crate) mod messages;
