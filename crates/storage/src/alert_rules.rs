//! Rules that alert people, as projects have changed them; the shipped ones are in `domain`.

use hone_domain::{AlertRule, ProjectId};
use sqlx::types::Json;

use crate::{Conn, StorageError};

statements! {
    UPSERT = "INSERT INTO alert_rules (project_id, name, rule, updated_at_us) VALUES ($1, $2, $3, $4) \
              ON CONFLICT (project_id, name) DO UPDATE SET rule = excluded.rule, updated_at_us = excluded.updated_at_us";
    LIST = "SELECT name, rule FROM alert_rules WHERE project_id = $1 ORDER BY name";
    DELETE = "DELETE FROM alert_rules WHERE project_id = $1 AND name = $2";
}

/// Sets a rule; one of the same name is replaced.
pub async fn upsert(
    conn: &mut Conn,
    project: ProjectId,
    name: &str,
    rule: &AlertRule,
    now_us: i64,
) -> Result<(), StorageError> {
    execute!(conn, UPSERT, project.0, name, Json(rule), now_us)?;
    Ok(())
}

/// The rules that a project has set, by name.
pub async fn list(conn: &mut Conn, project: ProjectId) -> Result<Vec<(String, AlertRule)>, StorageError> {
    let found = rows!(fetch_all, conn, (String, Json<AlertRule>), LIST, project.0)?;
    Ok(found.into_iter().map(|(name, rule)| (name, rule.0)).collect())
}

/// Removes a rule; false when the project has set none of this name.
pub async fn delete(conn: &mut Conn, project: ProjectId, name: &str) -> Result<bool, StorageError> {
    Ok(execute!(conn, DELETE, project.0, name)? > 0)
}
