//! Experiments: what the versions that share a task's traffic did, what that shows, and what follows from it.
//!
//! The recorder notes outcomes as they come ([`outcomes`]); a job looks at their sums ([`watch`]), compares each new version with
//! the live one ([`compare`]) and does what the plan says ([`judge`]). Calls that fail one after the other are seen at once, without
//! the database ([`failures`]). Every rule holds its error rate however often it is looked at.

mod arms;
mod compare;
mod failures;
mod forecast;
mod judge;
mod outcomes;
mod watch;

pub use compare::{ArmCount, Comparison, TestRule, Verdict};
pub use forecast::Forecast;
pub use judge::{Look, Recommendation};
pub use outcomes::{Exposed, LiveAnswer, ShadowAnswer};
pub use watch::WatchDeployment;

pub(crate) use failures::Failures;
pub(crate) use outcomes::Outcomes;
