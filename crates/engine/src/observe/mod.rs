//! Observing: what is counted as interactions and feedback come in (`counts`), and what is read from it: metrics over a period,
//! their history, how far a task is from its next training, how healthy it is. Reads cost the same at any number of interactions.

mod counts;
mod health;
mod metrics;
mod readiness;
mod snapshot;

pub(crate) use counts::Counts;
pub use health::{Health, HealthReason, SystemHealth, TaskHealth};
pub(crate) use metrics::shown;
pub use metrics::{Indicators, MetricsRequest, ScoreMean, TaskMetrics, TrendPoint, ValueMetrics};
pub use readiness::Readiness;
pub use snapshot::Frozen;
