//! SQLite and PostgreSQL behind one [`Db`], one module per noun, and the artifact store.
//!
//! `engine` and `jobs` call the functions of the noun modules with a [`Conn`]; everything between `Db::begin` and
//! `Conn::commit` is one transaction. The only crate that names sqlx; it decides nothing about the product.

pub mod artifacts;
mod codec;
mod db;
mod dialect;
mod error;
#[macro_use]
mod query;

pub mod alert_routes;
pub mod alert_rules;
pub mod alerts;
pub mod cascades;
pub mod conversations;
pub mod datasets;
pub mod deployments;
pub mod discoveries;
pub mod drift_checks;
pub mod examples;
pub mod experiments;
pub mod feedback;
pub mod interactions;
pub mod jobs;
pub mod keys;
pub mod leases;
pub mod profiles;
pub mod progress;
pub mod projects;
pub mod providers;
pub mod reports;
pub mod reviews;
pub mod rollups;
pub mod runs;
pub mod schedules;
pub mod snapshots;
pub mod tasks;
pub mod usage;
pub mod versions;

pub use codec::{OptionalText, StoredText};
pub use db::{Conn, Db};
pub use error::{Inserted, StorageError};
pub use sqlx::types::Json;

/// A place in a list by time and id that everything comes before.
pub(crate) const AFTER_ALL: (i64, sqlx::types::Uuid) = (i64::MAX, sqlx::types::Uuid::max());

/// The statements that are put together when the program starts, for the test that prepares them.
pub fn bulk_statements(db: &Db) -> Vec<&'static str> {
    dialect::bulk_statements(db)
}

/// Every statement with its name, in the text that both databases run; a test prepares each on both.
pub fn statements() -> Vec<(&'static str, &'static str)> {
    [
        alert_routes::STATEMENTS,
        alert_rules::STATEMENTS,
        alerts::STATEMENTS,
        cascades::STATEMENTS,
        conversations::STATEMENTS,
        datasets::STATEMENTS,
        deployments::STATEMENTS,
        discoveries::STATEMENTS,
        drift_checks::STATEMENTS,
        examples::STATEMENTS,
        experiments::STATEMENTS,
        feedback::STATEMENTS,
        interactions::STATEMENTS,
        jobs::STATEMENTS,
        keys::STATEMENTS,
        leases::STATEMENTS,
        profiles::STATEMENTS,
        progress::STATEMENTS,
        projects::STATEMENTS,
        providers::STATEMENTS,
        reports::STATEMENTS,
        reviews::STATEMENTS,
        rollups::STATEMENTS,
        runs::STATEMENTS,
        schedules::STATEMENTS,
        snapshots::STATEMENTS,
        tasks::STATEMENTS,
        usage::STATEMENTS,
        versions::STATEMENTS,
    ]
    .concat()
}
