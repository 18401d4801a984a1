//! API keys: only the hash of a key is stored.

use hone_domain::{Limits, ProjectId, ScopeSet};
use sqlx::types::{Json, Uuid};

use crate::{Conn, StorageError};

statements! {
    INSERT = "INSERT INTO api_keys (id, project_id, name, key_hash, scopes, expires_at_us, revoked_at_us, created_at_us, limits) \
              VALUES ($1, $2, $3, $4, $5, $6, NULL, $7, $8)";
    FIND_BY_HASH = "SELECT id, project_id, name, scopes, expires_at_us, revoked_at_us, created_at_us, limits \
                    FROM api_keys WHERE key_hash = $1";
    LIST = "SELECT id, project_id, name, scopes, expires_at_us, revoked_at_us, created_at_us, limits \
            FROM api_keys WHERE project_id = $1 ORDER BY id";
    SET_LIMITS = "UPDATE api_keys SET limits = $3 WHERE project_id = $1 AND id = $2";
    REVOKE = "UPDATE api_keys SET revoked_at_us = $3 WHERE project_id = $1 AND id = $2 AND revoked_at_us IS NULL";
}

/// A key without its secret.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ApiKey {
    /// Its id.
    pub id: Uuid,
    /// The project it opens.
    pub project_id: Uuid,
    /// What it is called.
    pub name: String,
    /// What it may do.
    #[sqlx(try_from = "String")]
    pub scopes: ScopeSet,
    /// When it stops working.
    pub expires_at_us: Option<i64>,
    /// When it was revoked.
    pub revoked_at_us: Option<i64>,
    /// When it was made.
    pub created_at_us: i64,
    /// Its budget and rate limits.
    #[sqlx(json(nullable))]
    pub limits: Option<Limits>,
}

/// Adds a key; `key_hash` is the hash of its secret.
pub async fn insert(conn: &mut Conn, key: &ApiKey, key_hash: &[u8]) -> Result<(), StorageError> {
    let ApiKey {
        id,
        project_id,
        name,
        expires_at_us,
        created_at_us,
        limits,
        ..
    } = key;
    execute!(
        conn,
        INSERT,
        id,
        project_id,
        name,
        key_hash,
        key.scopes.to_string(),
        expires_at_us,
        created_at_us,
        limits.map(Json)
    )?;
    Ok(())
}

/// The key whose secret has this hash, whether it still works or not.
pub async fn find_by_hash(conn: &mut Conn, key_hash: &[u8]) -> Result<Option<ApiKey>, StorageError> {
    Ok(rows!(fetch_optional, conn, ApiKey, FIND_BY_HASH, key_hash)?)
}

/// All keys of a project.
pub async fn list(conn: &mut Conn, project: ProjectId) -> Result<Vec<ApiKey>, StorageError> {
    Ok(rows!(fetch_all, conn, ApiKey, LIST, project.0)?)
}

/// Replaces a key's budget and rate limits; false when there is no such key.
pub async fn set_limits(
    conn: &mut Conn,
    project: ProjectId,
    id: Uuid,
    limits: Option<&Limits>,
) -> Result<bool, StorageError> {
    Ok(execute!(conn, SET_LIMITS, project.0, id, limits.map(Json))? > 0)
}

/// Revokes a key; false when there is none that still works.
pub async fn revoke(
    conn: &mut Conn,
    project: ProjectId,
    id: Uuid,
    now_us: i64,
) -> Result<bool, StorageError> {
    Ok(execute!(conn, REVOKE, project.0, id, now_us)? > 0)
}
