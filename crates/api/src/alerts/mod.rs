//! Alerts over HTTP: what fires, the rules, how people are told, when they are not, and what they were told.

pub(crate) mod deliveries;
pub(crate) mod list;
pub(crate) mod routes;
pub(crate) mod rules;
pub(crate) mod silences;
