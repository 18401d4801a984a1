//! Projects: the tenants.

use hone_domain::ProjectId;
use sqlx::types::Uuid;

use crate::{Conn, StorageError};

statements! {
    INSERT = "INSERT INTO projects (id, name, pseudonym_key, created_at_us) VALUES ($1, $2, $3, $4) \
              ON CONFLICT (name) DO NOTHING";
    FIND_BY_NAME = "SELECT id, name, pseudonym_key, created_at_us FROM projects WHERE name = $1";
    GET = "SELECT id, name, pseudonym_key, created_at_us FROM projects WHERE id = $1";
}

/// A tenant.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Project {
    /// Its id.
    pub id: Uuid,
    /// Its name, unique.
    pub name: String,
    /// Key of the pseudonyms of its subjects, 32 bytes.
    pub pseudonym_key: Vec<u8>,
    /// When it was made.
    pub created_at_us: i64,
}

/// Adds a project; false when the name is taken.
pub async fn insert(conn: &mut Conn, project: &Project) -> Result<bool, StorageError> {
    let Project {
        id,
        name,
        pseudonym_key,
        created_at_us,
    } = project;
    Ok(execute!(conn, INSERT, id, name, pseudonym_key, created_at_us)? > 0)
}

/// The project with this name.
pub async fn find_by_name(conn: &mut Conn, name: &str) -> Result<Option<Project>, StorageError> {
    Ok(rows!(fetch_optional, conn, Project, FIND_BY_NAME, name)?)
}

/// The project with this id.
pub async fn get(conn: &mut Conn, id: ProjectId) -> Result<Project, StorageError> {
    let found = rows!(fetch_optional, conn, Project, GET, id.0)?;
    found.ok_or_else(|| StorageError::Missing {
        noun: "project",
        id: id.to_string(),
    })
}
