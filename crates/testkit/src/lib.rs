//! For tests: databases of both kinds, a clock to move, and the whole app on a port of its own.
//!
//! PostgreSQL: tests that want it ask for [`postgres_url`], which is a fresh database on the server that `scripts/test`
//! starts and names in `HONE_TEST_POSTGRES`; without it those tests say that they skip.
#![expect(clippy::missing_panics_doc, reason = "a test fails by panicking")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "for tests only"
)]

mod app;
mod disk;
mod standin;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hone_domain::{Ids, ManualClock, SeededEntropy};
use hone_storage::Db;
use tempfile::TempDir;

pub use app::TestApp;
pub use disk::SmallDisk;
pub use standin::{Asked, StandIn};

/// Where test clocks start: 2026-01-18T07:00:00Z.
pub const START_US: i64 = 1_768_719_600_000_000;

/// A database that goes away with this value.
#[derive(Debug)]
pub struct TestDb {
    /// The database.
    pub db: Db,
    /// How it was opened.
    pub url: String,
    /// Folder of its files and of artifacts.
    pub folder: TempDir,
}

/// A fresh SQLite database.
pub async fn sqlite() -> TestDb {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("hone.sqlite").display().to_string();
    TestDb {
        db: Db::open(&url).await.unwrap(),
        url,
        folder,
    }
}

/// A fresh PostgreSQL database, where a server is named in `HONE_TEST_POSTGRES`.
pub async fn postgres() -> Option<TestDb> {
    let url = postgres_url()?;
    Some(TestDb {
        db: Db::open(&url).await.unwrap(),
        url,
        folder: tempfile::tempdir().unwrap(),
    })
}

/// A fresh database of a kind, `sqlite` or `postgres`; `None` when there is no PostgreSQL to test with.
pub async fn database_of_kind(kind: &str) -> Option<TestDb> {
    match kind {
        "sqlite" => Some(sqlite().await),
        _ => postgres().await,
    }
}

/// The URL of a fresh database on the PostgreSQL server for tests.
pub fn postgres_url() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    #[expect(
        clippy::disallowed_methods,
        reason = "scripts/test names the server in the environment"
    )]
    let Ok(server) = std::env::var("HONE_TEST_POSTGRES") else {
        println!("skipped: HONE_TEST_POSTGRES names no server; scripts/test starts one");
        return None;
    };
    let name = format!(
        "hone_test_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let made = std::process::Command::new("psql")
        .args([
            &format!("{server}/postgres"),
            "-qc",
            &format!("CREATE DATABASE {name}"),
        ])
        .status()
        .expect("psql is there where the server is");
    assert!(made.success(), "the test database {name} cannot be made");
    Some(format!("{server}/{name}"))
}

/// Repeatable ids on a clock that stands still until it is moved.
pub fn ids() -> (Ids, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START_US));
    (Ids::new(clock.clone(), Arc::new(SeededEntropy::new(1))), clock)
}
