//! What keys, tasks and projects with limits have used in a minute or a day, added up over all servers.

use hone_domain::ProjectId;
use sqlx::types::Uuid;

use crate::{Conn, StorageError};

statements! {
    ADD = "INSERT INTO usage_windows (owner_id, project_id, length_us, start_us, requests, tokens, cost_micro_usd) \
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (owner_id, length_us, start_us) DO UPDATE SET \
           requests = usage_windows.requests + excluded.requests, tokens = usage_windows.tokens + excluded.tokens, \
           cost_micro_usd = usage_windows.cost_micro_usd + excluded.cost_micro_usd \
           RETURNING requests, tokens, cost_micro_usd";
    FIND = "SELECT requests, tokens, cost_micro_usd FROM usage_windows \
            WHERE owner_id = $1 AND length_us = $2 AND start_us = $3";
    DELETE_BEFORE = "DELETE FROM usage_windows WHERE start_us < $1";
}

/// What was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, sqlx::FromRow)]
pub struct Usage {
    /// Requests.
    pub requests: i64,
    /// Tokens of inputs and outputs.
    pub tokens: i64,
    /// Cost in millionths of a USD.
    pub cost_micro_usd: i64,
}

/// A minute or a day of an owner: a key, a task or a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsageWindow {
    /// Whose.
    pub owner: Uuid,
    /// How long it is.
    pub length_us: i64,
    /// When it begins.
    pub start_us: i64,
}

/// Adds to a window; gives what was used in it by then, on all servers.
pub async fn add(
    conn: &mut Conn,
    project: ProjectId,
    window: &UsageWindow,
    used: &Usage,
) -> Result<Usage, StorageError> {
    Ok(rows!(
        fetch_one,
        conn,
        Usage,
        ADD,
        window.owner,
        project.0,
        window.length_us,
        window.start_us,
        used.requests,
        used.tokens,
        used.cost_micro_usd
    )?)
}

/// What was used in a window.
pub async fn get(conn: &mut Conn, window: &UsageWindow) -> Result<Usage, StorageError> {
    let found = rows!(
        fetch_optional,
        conn,
        Usage,
        FIND,
        window.owner,
        window.length_us,
        window.start_us
    )?;
    Ok(found.unwrap_or_default())
}

/// Forgets windows that began before a time.
pub async fn delete_before(conn: &mut Conn, start_us: i64) -> Result<u64, StorageError> {
    Ok(execute!(conn, DELETE_BEFORE, start_us)?)
}
