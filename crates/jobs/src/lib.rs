//! A durable queue and cron on the same database as everything else.
//!
//! `engine` enqueues jobs in the transaction that makes them necessary and registers a [`Handler`] per kind; a
//! [`Worker`] takes them up under a lease, so that the job of a killed process is taken up again. Knows no product noun.

mod context;
mod error;
mod queue;
mod scheduler;
mod worker;

pub use context::JobContext;
pub use error::JobError;
pub use queue::{JobState, NewJobSpec, enqueue};
pub use scheduler::{InvalidCron, Scheduler, next_occurrence_us, run_now};
pub use worker::{GiveUpFuture, GivenUp, Handler, HandlerFuture, Worker};
