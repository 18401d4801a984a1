//! The bands of usable examples' signatures: texts that share one may be near-duplicates. A band knows the latest example that
//! has it, so that a sentence of which thousands are copies costs no more than another.

use sqlx::types::Uuid;

use crate::examples::{Example, columns};
use crate::{Conn, StorageError};

/// Bands of a signature.
pub const BANDS: usize = 21;

statements! {
    PUT = "INSERT INTO example_bands (band, project_id, example_id) VALUES ($3, $1, $2), ($4, $1, $2), ($5, $1, $2), ($6, $1, $2), ($7, $1, $2), ($8, $1, $2), ($9, $1, $2), ($10, $1, $2), ($11, $1, $2), ($12, $1, $2), ($13, $1, $2), ($14, $1, $2), ($15, $1, $2), ($16, $1, $2), ($17, $1, $2), ($18, $1, $2), ($19, $1, $2), ($20, $1, $2), ($21, $1, $2), ($22, $1, $2), ($23, $1, $2) \
           ON CONFLICT (band) DO UPDATE SET project_id = excluded.project_id, example_id = excluded.example_id";
    LIST_USABLE = concat!("SELECT ", columns!(), " FROM examples WHERE id IN (SELECT example_id FROM example_bands WHERE band IN \
           ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)) AND status IN ('approved', 'used')");
}

/// Notes that a usable example has these bands.
pub async fn put(
    conn: &mut Conn,
    project: Uuid,
    example: Uuid,
    b: &[i64; BANDS],
) -> Result<(), StorageError> {
    execute!(
        conn, PUT, project, example, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10],
        b[11], b[12], b[13], b[14], b[15], b[16], b[17], b[18], b[19], b[20]
    )?;
    Ok(())
}

/// The usable examples that were last seen with one of these bands.
pub async fn list_usable(conn: &mut Conn, b: &[i64; BANDS]) -> Result<Vec<Example>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        Example,
        LIST_USABLE,
        b[0],
        b[1],
        b[2],
        b[3],
        b[4],
        b[5],
        b[6],
        b[7],
        b[8],
        b[9],
        b[10],
        b[11],
        b[12],
        b[13],
        b[14],
        b[15],
        b[16],
        b[17],
        b[18],
        b[19],
        b[20]
    )?)
}
