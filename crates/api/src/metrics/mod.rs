//! Metrics and health over HTTP.

pub(crate) mod health;
pub(crate) mod show;
