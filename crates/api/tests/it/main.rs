//! The API through the whole app: what is recorded, how the loop turns, what may be repeated and how things go wrong.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod alerting;
mod curation;
mod deploying;
mod desk;
mod discovering;
mod exporting;
mod gateway;
mod jobs;
mod living;
mod observing;
mod recording;
mod repeating;
mod reviewing;
mod scheduling;
mod turning;
mod walking;
