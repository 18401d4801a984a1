//! Projects: the tenants.

use hone_domain::{Limits, ProjectId, ProjectPrivacy};
use sqlx::types::{Json, Uuid};

use crate::{Conn, StorageError};

statements! {
    INSERT = "INSERT INTO projects (id, name, pseudonym_key, created_at_us) VALUES ($1, $2, $3, $4) \
              ON CONFLICT (name) DO NOTHING";
    FIND_BY_NAME = "SELECT id, name, pseudonym_key, created_at_us, limits, privacy, shipped_schedules FROM projects WHERE name = $1";
    GET = "SELECT id, name, pseudonym_key, created_at_us, limits, privacy, shipped_schedules FROM projects WHERE id = $1";
    SET_LIMITS = "UPDATE projects SET limits = $2 WHERE id = $1";
    LOCK = "UPDATE projects SET shipped_schedules = shipped_schedules WHERE id = $1";
    SET_SHIPPED_SCHEDULES = "UPDATE projects SET shipped_schedules = $2 WHERE id = $1";
    SET_PRIVACY = "UPDATE projects SET privacy = $2 WHERE id = $1";
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
    /// Its budget and rate limits.
    #[sqlx(json(nullable))]
    pub limits: Option<Limits>,
    /// What it does for the privacy of those whose words it records.
    #[sqlx(json(nullable))]
    pub privacy: Option<ProjectPrivacy>,
    /// How many of the shipped schedules it has been given.
    pub shipped_schedules: i64,
}

impl Project {
    /// The key of its pseudonyms.
    pub fn pseudonym_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        for (byte, stored) in key.iter_mut().zip(&self.pseudonym_key) {
            *byte = *stored;
        }
        key
    }
}

/// Replaces a project's budget and rate limits.
pub async fn set_limits(conn: &mut Conn, id: ProjectId, limits: Option<&Limits>) -> Result<(), StorageError> {
    execute!(conn, SET_LIMITS, id.0, limits.map(Json))?;
    Ok(())
}

/// Lets no other transaction that asks for the same go on until the caller's one ends.
pub async fn lock(conn: &mut Conn, id: ProjectId) -> Result<(), StorageError> {
    execute!(conn, LOCK, id.0)?;
    Ok(())
}

/// Notes how many of the shipped schedules a project has been given.
pub async fn set_shipped_schedules(conn: &mut Conn, id: ProjectId, count: i64) -> Result<(), StorageError> {
    execute!(conn, SET_SHIPPED_SCHEDULES, id.0, count)?;
    Ok(())
}

/// Replaces what a project does for privacy.
pub async fn set_privacy(
    conn: &mut Conn,
    id: ProjectId,
    privacy: &ProjectPrivacy,
) -> Result<(), StorageError> {
    execute!(conn, SET_PRIVACY, id.0, Json(privacy))?;
    Ok(())
}

/// Adds a project; false when the name is taken.
pub async fn insert(conn: &mut Conn, project: &Project) -> Result<bool, StorageError> {
    let Project {
        id,
        name,
        pseudonym_key,
        created_at_us,
        ..
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
