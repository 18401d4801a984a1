//! What can go wrong between us and the disk.

/// A failure of the database or the artifact store.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database cannot be opened as configured.
    #[error("cannot open the database {url}: {problem}")]
    Open {
        /// Where it should be, without password.
        url: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A statement failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the database schema could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Something that must be there is not.
    #[error("{noun} {id} does not exist")]
    Missing {
        /// The noun, such as `dataset`.
        noun: &'static str,
        /// Its id or name.
        id: String,
    },
    /// The disk is full or the folder cannot be written to.
    #[error("nothing can be written: {0}; free space on the disk, or make the folder writable")]
    Unwritable(String),
    /// The artifact store failed.
    #[error("the artifact store failed: {0}")]
    ArtifactStore(object_store::Error),
    /// An artifact is not what its name says.
    #[error(
        "artifact {hash} is damaged: its contents hash to {actual}; restore it from a backup, or train again"
    )]
    DamagedArtifact {
        /// The hash it is named by.
        hash: String,
        /// The hash of what is there.
        actual: String,
    },
}

impl StorageError {
    /// Whether the same call may succeed later: the database is locked, restarting or out of reach.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed) => {
                true
            }
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                // SQLite busy and locked; PostgreSQL serialization failure, deadlock, shutdown, connection loss.
                matches!(
                    &*code,
                    "5" | "6" | "261" | "517" | "40001" | "40P01" | "57P01" | "57P03" | "08006" | "08001"
                )
            }),
            _ => false,
        }
    }

    /// Whether the database ended the transaction because another one was in its way; run again, it succeeds.
    pub fn is_rolled_back(&self) -> bool {
        // PostgreSQL: serialization failure, deadlock.
        matches!(self, Self::Database(sqlx::Error::Database(error))
            if error.code().is_some_and(|code| matches!(&*code, "40001" | "40P01")))
    }

    /// Whether the disk is full or read-only.
    pub fn is_unwritable(&self) -> bool {
        match self {
            Self::Unwritable(_) => true,
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                // SQLite: full, read-only and its extended codes, I/O errors on write and sync; PostgreSQL: disk full.
                matches!(
                    &*code,
                    "13" | "8" | "264" | "520" | "776" | "1032" | "1288" | "1544" | "778" | "1034" | "53100"
                )
            }),
            _ => false,
        }
    }
}

/// A row with the same id is already there with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is new.
    New,
    /// The same row was there already; nothing changed.
    Duplicate,
    /// Another row with this id was there; nothing changed.
    Conflict,
}
