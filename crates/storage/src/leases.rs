//! Leases: locks that one process holds for a while and that pass on when it is not heard of.

use hone_domain::ProjectId;
use sqlx::types::Uuid;

use crate::{Conn, StorageError};

statements! {
    ACQUIRE = "INSERT INTO leases (name, project_id, holder, until_us, token) VALUES ($1, $2, $3, $4, 1) \
               ON CONFLICT (name) DO UPDATE SET \
               token = CASE WHEN leases.holder = excluded.holder THEN leases.token ELSE leases.token + 1 END, \
               holder = excluded.holder, until_us = excluded.until_us \
               WHERE leases.holder = excluded.holder OR leases.until_us < $5 RETURNING token";
    RELEASE = "UPDATE leases SET until_us = 0 WHERE name = $1 AND holder = $2";
}

/// Takes or extends a lease; gives its fencing token, or `None` while another holds it.
pub async fn acquire(
    conn: &mut Conn,
    name: &str,
    holder: Uuid,
    now_us: i64,
    until_us: i64,
) -> Result<Option<i64>, StorageError> {
    let nobody = ProjectId(Uuid::nil());
    let held: Option<(i64,)> = rows!(
        fetch_optional,
        conn,
        (i64,),
        ACQUIRE,
        name,
        nobody.0,
        holder,
        until_us,
        now_us
    )?;
    Ok(held.map(|(token,)| token))
}

/// Gives a lease back before it runs out.
pub async fn release(conn: &mut Conn, name: &str, holder: Uuid) -> Result<(), StorageError> {
    execute!(conn, RELEASE, name, holder)?;
    Ok(())
}
