//! Many exposures and outcomes of experiments at once: one by one they would cost more than the interactions they are about.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use sqlx::types::Uuid;
use sqlx::{Postgres, Sqlite};

use super::{SQLITE_ROWS, encode_optional, sqlite_inserts};
use crate::db::{Db, Exec};
use crate::experiments::{ArmKey, Exposure, Gain};
use crate::{Conn, StorageError};

const EXPOSURE_INTO: &str = "INSERT INTO exposures (project_id, interaction_id, deployment_id, version_id, unit, step, \
    shadow_version_id, shadow_label, shadow_output, agrees, created_at_us)";
const EXPOSURE_CONFLICT: &str = "ON CONFLICT (project_id, interaction_id) DO UPDATE SET \
    shadow_version_id = COALESCE(excluded.shadow_version_id, exposures.shadow_version_id), \
    shadow_label = COALESCE(excluded.shadow_label, exposures.shadow_label), \
    shadow_output = COALESCE(excluded.shadow_output, exposures.shadow_output), \
    agrees = COALESCE(excluded.agrees, exposures.agrees)";
const UNIT_INTO: &str = "INSERT INTO experiment_units (deployment_id, metric, step, version_id, unit, project_id, outcomes, \
    total, first_at_us)";
const UNIT_CONFLICT: &str = "ON CONFLICT (deployment_id, metric, step, version_id, unit) DO UPDATE SET \
    outcomes = experiment_units.outcomes + excluded.outcomes, total = experiment_units.total + excluded.total \
    RETURNING deployment_id, metric, step, version_id, unit, outcomes, total";

static SQLITE_EXPOSURES: LazyLock<[&'static str; SQLITE_ROWS.len()]> =
    LazyLock::new(|| sqlite_inserts(EXPOSURE_INTO, 11, EXPOSURE_CONFLICT));
static SQLITE_UNITS: LazyLock<[&'static str; SQLITE_ROWS.len()]> =
    LazyLock::new(|| sqlite_inserts(UNIT_INTO, 9, UNIT_CONFLICT));
static POSTGRES_EXPOSURES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{EXPOSURE_INTO} SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[], \
         $7::uuid[], $8::text[], $9::bytea[], $10::bool[], $11::bigint[]) {EXPOSURE_CONFLICT}"
    )
});
static POSTGRES_UNITS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{UNIT_INTO} SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::bigint[], $4::uuid[], $5::uuid[], $6::uuid[], \
         $7::bigint[], $8::float8[], $9::bigint[]) {UNIT_CONFLICT}"
    )
});

/// The statements for many exposures and for many outcomes.
pub(crate) fn bulk_outcomes(db: &Db) -> [&'static str; 2] {
    match db {
        Db::Sqlite { .. } => [SQLITE_EXPOSURES[0], SQLITE_UNITS[0]],
        Db::Postgres(_) => [&POSTGRES_EXPOSURES, &POSTGRES_UNITS],
    }
}

/// Keeps which versions requests got, each interaction once.
pub(crate) async fn insert_exposures(conn: &mut Conn, exposures: &[Exposure]) -> Result<(), StorageError> {
    match conn.exec() {
        Exec::Sqlite(connection) => {
            let mut rest = exposures;
            for (rows, statement) in SQLITE_ROWS.into_iter().zip(*SQLITE_EXPOSURES) {
                let chunks = rest.chunks_exact(rows);
                rest = chunks.remainder();
                for chunk in chunks {
                    let mut query = sqlx::query::<Sqlite>(statement);
                    for row in chunk {
                        query = query
                            .bind(row.project_id)
                            .bind(row.interaction_id)
                            .bind(row.deployment_id)
                            .bind(row.version_id)
                            .bind(row.unit)
                            .bind(row.step)
                            .bind(row.shadow_version_id)
                            .bind(row.shadow_label.clone())
                            .bind(encode_optional(&row.shadow_output))
                            .bind(row.agrees)
                            .bind(row.created_at_us);
                    }
                    query.execute(&mut *connection).await?;
                }
            }
        }
        Exec::Postgres(connection) => {
            macro_rules! column {
                ($row:ident => $value:expr) => {
                    exposures.iter().map(|$row| $value).collect::<Vec<_>>()
                };
            }
            let query = sqlx::query::<Postgres>(POSTGRES_EXPOSURES.as_str())
                .bind(column!(row => row.project_id))
                .bind(column!(row => row.interaction_id))
                .bind(column!(row => row.deployment_id))
                .bind(column!(row => row.version_id))
                .bind(column!(row => row.unit))
                .bind(column!(row => row.step))
                .bind(column!(row => row.shadow_version_id))
                .bind(column!(row => row.shadow_label.clone()))
                .bind(column!(row => encode_optional(&row.shadow_output)))
                .bind(column!(row => row.agrees))
                .bind(column!(row => row.created_at_us));
            query.execute(connection).await?;
        }
    }
    Ok(())
}

/// What units have after their gains, by arm and unit: number and sum.
pub(crate) type UnitsAfter = FxHashMap<(Uuid, String, i64, Uuid, Uuid), (i64, f64)>;

type UnitRow = (Uuid, String, i64, Uuid, Uuid, i64, f64);

/// Adds to many units' outcomes, each unit of an arm once.
pub(crate) async fn add_to_units(
    conn: &mut Conn,
    gains: &[(&ArmKey, Uuid, Gain)],
) -> Result<UnitsAfter, StorageError> {
    let mut after = UnitsAfter::default();
    let mut keep = |rows: Vec<UnitRow>| {
        let keyed = rows
            .into_iter()
            .map(|row| ((row.0, row.1, row.2, row.3, row.4), (row.5, row.6)));
        after.extend(keyed);
    };
    match conn.exec() {
        Exec::Sqlite(connection) => {
            let mut rest = gains;
            for (rows, statement) in SQLITE_ROWS.into_iter().zip(*SQLITE_UNITS) {
                let chunks = rest.chunks_exact(rows);
                rest = chunks.remainder();
                for chunk in chunks {
                    let mut query = sqlx::query_as::<Sqlite, UnitRow>(statement);
                    for (arm, unit, gain) in chunk {
                        query = query
                            .bind(arm.deployment_id)
                            .bind(arm.metric.as_str())
                            .bind(arm.step)
                            .bind(arm.version_id)
                            .bind(unit)
                            .bind(arm.project_id)
                            .bind(gain.outcomes)
                            .bind(gain.total)
                            .bind(gain.at_us);
                    }
                    keep(query.fetch_all(&mut *connection).await?);
                }
            }
        }
        Exec::Postgres(connection) => {
            macro_rules! column {
                ($arm:ident, $unit:ident, $gain:ident => $value:expr) => {
                    gains
                        .iter()
                        .map(|&($arm, $unit, $gain)| $value)
                        .collect::<Vec<_>>()
                };
            }
            let query = sqlx::query_as::<Postgres, UnitRow>(POSTGRES_UNITS.as_str())
                .bind(column!(arm, _unit, _gain => arm.deployment_id))
                .bind(column!(arm, _unit, _gain => arm.metric.as_str()))
                .bind(column!(arm, _unit, _gain => arm.step))
                .bind(column!(arm, _unit, _gain => arm.version_id))
                .bind(column!(_arm, unit, _gain => unit))
                .bind(column!(arm, _unit, _gain => arm.project_id))
                .bind(column!(_arm, _unit, gain => gain.outcomes))
                .bind(column!(_arm, _unit, gain => gain.total))
                .bind(column!(_arm, _unit, gain => gain.at_us));
            keep(query.fetch_all(connection).await?);
        }
    }
    Ok(after)
}
