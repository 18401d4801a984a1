//! Opening a database and handing out connections.
//!
//! SQLite: write-ahead log with full synchronisation, one connection that writes and a few that read. PostgreSQL: one
//! pool. Both run pending migrations when opened.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};

use crate::StorageError;

static SQLITE_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");

/// Connections that read from SQLite beside the one that writes.
const SQLITE_READERS: u32 = 4;
/// Connections to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 16;
/// How long to wait for a free connection, and for SQLite's lock when another process holds it.
const WAIT: Duration = Duration::from_secs(15);

/// A database of either kind.
#[derive(Debug, Clone)]
pub enum Db {
    /// A file.
    Sqlite {
        /// Connections that read.
        readers: SqlitePool,
        /// The one connection that writes.
        writer: SqlitePool,
    },
    /// A server.
    Postgres(PgPool),
}

/// A connection, or a transaction that is rolled back unless it is committed.
#[derive(Debug)]
pub enum Conn {
    /// Reads from SQLite.
    SqliteReader(PoolConnection<Sqlite>),
    /// Reads and writes PostgreSQL outside a transaction.
    PostgresReader(PoolConnection<Postgres>),
    /// A transaction on SQLite.
    Sqlite(Transaction<'static, Sqlite>),
    /// A transaction on PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
}

/// What a statement runs on.
pub(crate) enum Exec<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Db {
    /// Opens `sqlite:PATH`, a bare path, or `postgres://…`, and brings the schema up to date.
    pub async fn open(url: &str) -> Result<Self, StorageError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(url).await
        } else {
            Self::open_sqlite(Path::new(url.strip_prefix("sqlite:").unwrap_or(url))).await
        }
    }

    async fn open_sqlite(path: &Path) -> Result<Self, StorageError> {
        let refuse = |problem: String| StorageError::Open {
            url: path.display().to_string(),
            problem,
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| {
                refuse(format!(
                    "the folder cannot be made ({error}); choose another with --data"
                ))
            })?;
        }
        make_private(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(WAIT)
            .statement_cache_capacity(256)
            .pragma("cache_size", "-16000")
            .pragma("temp_store", "memory");
        let hint = "is the folder writable and the disk not full?";
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(WAIT)
            .after_release(|connection, _| {
                Box::pin(async move {
                    // On a full disk SQLite ends the transaction itself, and rolling it back again fails: such a connection
                    // would refuse every later transaction.
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            })
            .connect_with(options.clone())
            .await
            .map_err(|error| refuse(format!("{error}; {hint}")))?;
        SQLITE_MIGRATIONS.run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .acquire_timeout(WAIT)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        Ok(Self::Sqlite { readers, writer })
    }

    async fn open_postgres(url: &str) -> Result<Self, StorageError> {
        let shown = url.rsplit_once('@').map_or(url, |(_, host)| host).to_owned();
        let refuse = |problem: String| StorageError::Open {
            url: shown.clone(),
            problem,
        };
        let options = PgConnectOptions::from_str(url).map_err(|error| refuse(error.to_string()))?;
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(WAIT)
            .connect_with(options.statement_cache_capacity(256))
            .await
            .map_err(|error| refuse(format!("{error}; is the server running and the password right?")))?;
        POSTGRES_MIGRATIONS.run(&pool).await?;
        Ok(Self::Postgres(pool))
    }

    /// A connection to read with.
    pub async fn read(&self) -> Result<Conn, StorageError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Conn::SqliteReader(readers.acquire().await?),
            Self::Postgres(pool) => Conn::PostgresReader(pool.acquire().await?),
        })
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Conn, StorageError> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Conn::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Conn::Postgres(pool.begin().await?),
        })
    }

    /// Which kind it is, for logs and `doctor`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }

    /// Closes all connections after what runs has ended.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Conn {
    /// Makes everything since `begin` durable.
    pub async fn commit(self) -> Result<(), StorageError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
            Self::SqliteReader(_) | Self::PostgresReader(_) => {}
        }
        Ok(())
    }

    /// Undoes everything since `begin`.
    pub async fn rollback(self) -> Result<(), StorageError> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await?,
            Self::Postgres(transaction) => transaction.rollback().await?,
            Self::SqliteReader(_) | Self::PostgresReader(_) => {}
        }
        Ok(())
    }

    pub(crate) fn exec(&mut self) -> Exec<'_> {
        match self {
            Self::SqliteReader(connection) => Exec::Sqlite(connection),
            Self::PostgresReader(connection) => Exec::Postgres(connection),
            Self::Sqlite(transaction) => Exec::Sqlite(transaction),
            Self::Postgres(transaction) => Exec::Postgres(transaction),
        }
    }

    /// Asks the database to plan a statement without running it.
    pub async fn prepare(&mut self, statement: &'static str) -> Result<(), StorageError> {
        use sqlx::{Executor as _, SqlSafeStr as _};
        match self.exec() {
            Exec::Sqlite(connection) => drop(connection.prepare(statement.into_sql_str()).await?),
            Exec::Postgres(connection) => drop(connection.prepare(statement.into_sql_str()).await?),
        }
        Ok(())
    }
}

/// Makes the file of a database when it is missing, for its owner alone: people's words are in it. SQLite gives the files
/// beside it the same mode. What is wrong with the place is said when SQLite opens it.
fn make_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.create_new(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(path);
}
