//! Metrics over HTTP.

pub(crate) mod show;
