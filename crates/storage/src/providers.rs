//! Providers that a project brings itself. Their keys come with each request and are never stored.

use hone_domain::{ProjectId, ProviderKind};
use sqlx::types::Uuid;

use crate::{Conn, StorageError};

statements! {
    UPSERT = "INSERT INTO providers (id, project_id, name, kind, base_url, created_at_us) VALUES ($1, $2, $3, $4, $5, $6) \
              ON CONFLICT (project_id, name) DO UPDATE SET kind = excluded.kind, base_url = excluded.base_url";
    FIND_BY_NAME = "SELECT id, project_id, name, kind, base_url, created_at_us FROM providers \
                    WHERE project_id = $1 AND name = $2";
    LIST = "SELECT id, project_id, name, kind, base_url, created_at_us FROM providers WHERE project_id = $1 ORDER BY name";
    DELETE = "DELETE FROM providers WHERE project_id = $1 AND name = $2";
}

/// A provider of a project.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ProjectProvider {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its name, unique in the project.
    pub name: String,
    /// How it is spoken to.
    #[sqlx(try_from = "String")]
    pub kind: ProviderKind,
    /// Where its API is.
    pub base_url: String,
    /// When it was first set.
    pub created_at_us: i64,
}

/// Sets a provider; one of the same name is replaced.
pub async fn upsert(conn: &mut Conn, provider: &ProjectProvider) -> Result<(), StorageError> {
    execute!(
        conn,
        UPSERT,
        provider.id,
        provider.project_id,
        &provider.name,
        provider.kind.as_str(),
        &provider.base_url,
        provider.created_at_us
    )?;
    Ok(())
}

/// The provider with this name.
pub async fn find_by_name(
    conn: &mut Conn,
    project: ProjectId,
    name: &str,
) -> Result<Option<ProjectProvider>, StorageError> {
    Ok(rows!(
        fetch_optional,
        conn,
        ProjectProvider,
        FIND_BY_NAME,
        project.0,
        name
    )?)
}

/// All providers of a project, by name.
pub async fn list(conn: &mut Conn, project: ProjectId) -> Result<Vec<ProjectProvider>, StorageError> {
    Ok(rows!(fetch_all, conn, ProjectProvider, LIST, project.0)?)
}

/// Removes a provider; false when there is none with this name.
pub async fn delete(conn: &mut Conn, project: ProjectId, name: &str) -> Result<bool, StorageError> {
    Ok(execute!(conn, DELETE, project.0, name)? > 0)
}
