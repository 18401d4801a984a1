//! What OpenAI's SDKs speak.

pub(crate) mod chat_completions;
pub(crate) mod embeddings;
pub(crate) mod models;
pub(crate) mod responses;
