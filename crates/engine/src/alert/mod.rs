//! Alerts: rules on metrics that are looked at each minute (`check`), things that happened once (`tell`), and how people are told
//! of both (`tell`, `deliver`). Rules and routes are changed in `settings`. An alert is stored in the transaction that finds it, and
//! so are the jobs that deliver it.

mod check;
mod deliver;
mod settings;
mod tell;

pub use check::{AlertReport, CheckAlerts};
pub use deliver::DeliverAlert;
pub use settings::{NewSilence, RouteChange, ShownRoute, ShownRule};

pub(crate) use check::CHECK_ALERTS;
pub(crate) use deliver::DELIVER_ALERT;
pub(crate) use tell::Happening;
