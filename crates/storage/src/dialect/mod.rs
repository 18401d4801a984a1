//! The few true differences between the databases: inserting many rows, and claiming a job.

mod outcomes;
mod rollups;

use std::sync::LazyLock;

use rustc_hash::FxHashSet;
use sqlx::types::Uuid;
use sqlx::{Postgres, Sqlite};

use crate::codec::{OptionalText, StoredText};
use crate::db::Exec;
use crate::interactions::{Interaction, columns};
use crate::{Conn, Db, StorageError};

pub(crate) use outcomes::{add_to_units, insert_exposures};
pub(crate) use rollups::add_rollups;

/// Rows per statement on SQLite, largest first: enough to save round trips to its thread, few enough to plan fast. Any
/// number of rows takes few statements.
const SQLITE_ROWS: [usize; 6] = [32, 16, 8, 4, 2, 1];
const INTERACTION_COLUMNS: usize = 37;

static SQLITE_INSERTS: LazyLock<[&'static str; SQLITE_ROWS.len()]> = LazyLock::new(|| {
    let into = concat!("INSERT INTO interactions (", columns!(), ")");
    let conflict = "ON CONFLICT (project_id, id) DO NOTHING RETURNING project_id, id";
    sqlite_inserts(into, INTERACTION_COLUMNS, conflict)
});

/// One statement for each of `SQLITE_ROWS`, with anonymous parameters; sqlx looks numbered ones up one by one.
fn sqlite_inserts(into: &str, columns: usize, conflict: &str) -> [&'static str; SQLITE_ROWS.len()] {
    SQLITE_ROWS.map(|rows| {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let rows = vec![row; rows].join(", ");
        let text: &'static str = Box::leak(format!("{into} VALUES {rows} {conflict}").into_boxed_str());
        text
    })
}

const POSTGRES_INSERT: &str = concat!(
    "INSERT INTO interactions (",
    columns!(),
    ") SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::uuid[], $7::bytea[], \
     $8::bytea[], $9::text[], $10::float8[], $11::text[], $12::text[], $13::text[], $14::uuid[], $15::bigint[], \
     $16::bigint[], $17::bigint[], $18::bigint[], $19::text[], $20::text[], $21::text[], $22::text[], $23::bool[], \
     $24::bytea[], $25::bytea[], $26::bigint[], $27::bigint[], $28::bytea[], $29::bytea[], $30::bytea[], \
     $31::bigint[], $32::text[], $33::text[], $34::text[], $35::float8[], $36::float8[], $37::bytea[]) ON CONFLICT (project_id, id) DO NOTHING RETURNING project_id, id"
);

/// The statements that write many rows, and others that are put together.
pub(crate) fn bulk_statements(db: &Db) -> Vec<&'static str> {
    let interactions = match db {
        Db::Sqlite { .. } => SQLITE_INSERTS[0],
        Db::Postgres(_) => POSTGRES_INSERT,
    };
    let mut all = vec![interactions];
    all.extend(outcomes::bulk_outcomes(db));
    all.push(rollups::bulk_rollups(db));
    all.extend(crate::rollups::composed_statements());
    all
}

/// Binds the columns of one interaction in order.
macro_rules! bind_interaction {
    ($query:expr, $row:expr) => {
        $query
            .bind($row.id)
            .bind($row.project_id)
            .bind($row.task_id)
            .bind($row.conversation_id)
            .bind($row.turn)
            .bind($row.subject_id)
            .bind(StoredText::encode(&$row.input.0))
            .bind(encode_optional(&$row.output))
            .bind($row.label.clone())
            .bind($row.confidence)
            .bind($row.source.as_str())
            .bind($row.status.as_str())
            .bind($row.model.clone())
            .bind($row.model_version_id)
            .bind($row.latency_us)
            .bind($row.tokens_input)
            .bind($row.tokens_output)
            .bind($row.cost_micro_usd)
            .bind($row.action_type.clone())
            .bind($row.target_tool.clone())
            .bind($row.language.clone())
            .bind($row.tags.clone())
            .bind($row.is_reference)
            .bind($row.input_hash.clone())
            .bind($row.content_hash.clone())
            .bind($row.occurred_at_us)
            .bind($row.created_at_us)
            .bind(encode_optional(&$row.request))
            .bind(encode_optional(&$row.reply))
            .bind(encode_optional(&$row.structured_prompt))
            .bind($row.first_token_us)
            .bind($row.error.clone())
            .bind($row.flaws.clone())
            .bind($row.personal_data.clone())
            .bind($row.moderation)
            .bind($row.injection)
            .bind($row.near_bands.clone())
    };
}

/// Inserts interactions; gives the project and id of those that were not there before.
pub(crate) async fn insert_interactions(
    conn: &mut Conn,
    interactions: &[Interaction],
) -> Result<FxHashSet<(Uuid, Uuid)>, StorageError> {
    match conn.exec() {
        Exec::Sqlite(connection) => {
            let mut new = FxHashSet::default();
            let mut rest = interactions;
            for (rows, statement) in SQLITE_ROWS.into_iter().zip(*SQLITE_INSERTS) {
                let chunks = rest.chunks_exact(rows);
                rest = chunks.remainder();
                for chunk in chunks {
                    let mut query = sqlx::query_as::<Sqlite, (Uuid, Uuid)>(statement);
                    for row in chunk {
                        query = bind_interaction!(query, row);
                    }
                    new.extend(query.fetch_all(&mut *connection).await?);
                }
            }
            Ok(new)
        }
        Exec::Postgres(connection) => {
            macro_rules! column {
                ($row:ident => $value:expr) => {
                    interactions.iter().map(|$row| $value).collect::<Vec<_>>()
                };
            }
            let query = sqlx::query_as::<Postgres, (Uuid, Uuid)>(POSTGRES_INSERT)
                .bind(column!(row => row.id))
                .bind(column!(row => row.project_id))
                .bind(column!(row => row.task_id))
                .bind(column!(row => row.conversation_id))
                .bind(column!(row => row.turn))
                .bind(column!(row => row.subject_id))
                .bind(column!(row => StoredText::encode(&row.input.0)))
                .bind(column!(row => encode_optional(&row.output)))
                .bind(column!(row => row.label.clone()))
                .bind(column!(row => row.confidence))
                .bind(column!(row => row.source.as_str()))
                .bind(column!(row => row.status.as_str()))
                .bind(column!(row => row.model.clone()))
                .bind(column!(row => row.model_version_id))
                .bind(column!(row => row.latency_us))
                .bind(column!(row => row.tokens_input))
                .bind(column!(row => row.tokens_output))
                .bind(column!(row => row.cost_micro_usd))
                .bind(column!(row => row.action_type.clone()))
                .bind(column!(row => row.target_tool.clone()))
                .bind(column!(row => row.language.clone()))
                .bind(column!(row => row.tags.clone()))
                .bind(column!(row => row.is_reference))
                .bind(column!(row => row.input_hash.clone()))
                .bind(column!(row => row.content_hash.clone()))
                .bind(column!(row => row.occurred_at_us))
                .bind(column!(row => row.created_at_us))
                .bind(column!(row => encode_optional(&row.request)))
                .bind(column!(row => encode_optional(&row.reply)))
                .bind(column!(row => encode_optional(&row.structured_prompt)))
                .bind(column!(row => row.first_token_us))
                .bind(column!(row => row.error.clone()))
                .bind(column!(row => row.flaws.clone()))
                .bind(column!(row => row.personal_data.clone()))
                .bind(column!(row => row.moderation))
                .bind(column!(row => row.injection))
                .bind(column!(row => row.near_bands.clone()));
            Ok(query.fetch_all(connection).await?.into_iter().collect())
        }
    }
}

fn encode_optional(text: &OptionalText) -> Option<Vec<u8>> {
    StoredText::encode_option(text.0.as_deref())
}

/// Picks the next job to run; only PostgreSQL has several writers, which must not wait for each other's pick.
pub(crate) const fn claim_statement(exec: &Exec<'_>) -> &'static str {
    macro_rules! claim {
        ($lock:literal) => {
            concat!(
                "UPDATE jobs SET state = 'running', attempt = attempt + 1, lease_until_us = $2, lease_token = $3 \
                 WHERE id = (SELECT id FROM jobs AS j WHERE state IN ('queued', 'running') AND run_at_us <= $1 \
                 AND (state = 'queued' OR lease_until_us < $1) AND NOT EXISTS (SELECT 1 FROM jobs AS r \
                 WHERE r.unique_key = j.unique_key AND r.state = 'running' AND r.lease_until_us >= $1 AND r.id <> j.id) \
                 ORDER BY run_at_us, id LIMIT 1 ",
                $lock,
                ") RETURNING id, project_id, task_id, kind, payload, state, run_at_us, attempt, max_attempts, \
                 lease_token, cancel_requested, progress, message, error, result, created_at_us, finished_at_us"
            )
        };
    }
    match exec {
        Exec::Sqlite(_) => claim!(""),
        Exec::Postgres(_) => claim!("FOR UPDATE SKIP LOCKED"),
    }
}
