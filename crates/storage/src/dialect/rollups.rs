//! Many counts and sums at once: each interaction moves fifteen of them.

use std::sync::LazyLock;

use hone_domain::{Measure, Sums};
use sqlx::{Postgres, Sqlite};

use super::{SQLITE_ROWS, sqlite_inserts};
use crate::db::{Db, Exec};
use crate::rollups::RollupKey;
use crate::{Conn, StorageError};

const KEYS: usize = 6;

static INTO: LazyLock<String> = LazyLock::new(|| {
    let columns = Measure::COLUMNS.join(", ");
    format!("INSERT INTO rollups (project_id, task_id, grain, dimension, at_us, value, {columns})")
});
static CONFLICT: LazyLock<String> = LazyLock::new(|| {
    let sums: Vec<String> = Measure::COLUMNS
        .iter()
        .map(|column| format!("{column} = rollups.{column} + excluded.{column}"))
        .collect();
    let sums = sums.join(", ");
    format!("ON CONFLICT (task_id, grain, dimension, at_us, value) DO UPDATE SET {sums}")
});
static SQLITE_ROLLUPS: LazyLock<[&'static str; SQLITE_ROWS.len()]> =
    LazyLock::new(|| sqlite_inserts(&INTO, KEYS + Measure::COUNT, &CONFLICT));
static POSTGRES_ROLLUPS: LazyLock<String> = LazyLock::new(|| {
    let measures: Vec<String> = (0..Measure::COUNT)
        .map(|number| format!("${}::bigint[]", number + KEYS + 1))
        .collect();
    format!(
        "{} SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], {}) {}",
        *INTO,
        measures.join(", "),
        *CONFLICT
    )
});

/// The statement for many rollups.
pub(crate) fn bulk_rollups(db: &Db) -> &'static str {
    match db {
        Db::Sqlite { .. } => SQLITE_ROLLUPS[0],
        Db::Postgres(_) => &POSTGRES_ROLLUPS,
    }
}

/// Adds counts and sums, each key once and in the order of keys.
pub(crate) async fn add_rollups(conn: &mut Conn, rows: &[(&RollupKey, &Sums)]) -> Result<(), StorageError> {
    if rows.is_empty() {
        return Ok(());
    }
    match conn.exec() {
        Exec::Sqlite(connection) => {
            let mut rest = rows;
            for (count, statement) in SQLITE_ROWS.into_iter().zip(*SQLITE_ROLLUPS) {
                let chunks = rest.chunks_exact(count);
                rest = chunks.remainder();
                for chunk in chunks {
                    let mut query = sqlx::query::<Sqlite>(statement);
                    for (key, sums) in chunk {
                        query = query
                            .bind(key.project_id)
                            .bind(key.task_id)
                            .bind(key.grain.as_str())
                            .bind(key.dimension.as_str())
                            .bind(key.at_us)
                            .bind(key.value.as_str());
                        for amount in sums.0 {
                            query = query.bind(amount);
                        }
                    }
                    query.execute(&mut *connection).await?;
                }
            }
        }
        Exec::Postgres(connection) => {
            macro_rules! column {
                ($key:ident => $value:expr) => {
                    rows.iter().map(|&($key, _)| $value).collect::<Vec<_>>()
                };
            }
            let mut query = sqlx::query::<Postgres>(POSTGRES_ROLLUPS.as_str())
                .bind(column!(key => key.project_id))
                .bind(column!(key => key.task_id))
                .bind(column!(key => key.grain.as_str()))
                .bind(column!(key => key.dimension.as_str()))
                .bind(column!(key => key.at_us))
                .bind(column!(key => key.value.as_str()));
            for number in 0..Measure::COUNT {
                query = query.bind(rows.iter().map(|(_, sums)| sums.0[number]).collect::<Vec<i64>>());
            }
            query.execute(connection).await?;
        }
    }
    Ok(())
}
