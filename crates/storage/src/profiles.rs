//! What persons like: what was set by hand, and what they said of answers, from which the rest is learned.

use hone_domain::{FeedbackKind, Profile, ProjectId, SubjectId};
use sqlx::types::Json;

use crate::codec::OptionalText;
use crate::{Conn, StorageError};

statements! {
    FIND = "SELECT profile FROM profiles WHERE project_id = $1 AND subject_id = $2";
    UPSERT = "INSERT INTO profiles (project_id, subject_id, profile, updated_at_us) VALUES ($1, $2, $3, $4) \
              ON CONFLICT (project_id, subject_id) DO UPDATE SET profile = excluded.profile, \
              updated_at_us = excluded.updated_at_us";
    DELETE = "DELETE FROM profiles WHERE project_id = $1 AND subject_id = $2";
    LIST_SAID = "SELECT f.kind, f.value, f.text, i.output FROM interactions i \
                 JOIN feedback f ON f.project_id = i.project_id AND f.interaction_id = i.id \
                 WHERE i.project_id = $1 AND i.subject_id = $2 AND f.kind IN ('correction', 'rating', 'thumb') \
                 ORDER BY f.created_at_us DESC, f.id DESC LIMIT $3";
}

#[derive(sqlx::FromRow)]
struct ProfileRow {
    #[sqlx(json)]
    profile: Profile,
}

/// What a person said of an answer.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Said {
    /// A correction, rating or thumb.
    #[sqlx(try_from = "String")]
    pub kind: FeedbackKind,
    /// The rating, or 1 for a thumb up and 0 for one down.
    pub value: Option<f64>,
    /// The edited answer.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub text: OptionalText,
    /// The answer that was spoken of.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub output: OptionalText,
}

/// What was set by hand for a person.
pub async fn find(
    conn: &mut Conn,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Option<Profile>, StorageError> {
    let found = rows!(fetch_optional, conn, ProfileRow, FIND, project.0, subject.0)?;
    Ok(found.map(|row| row.profile))
}

/// Sets a person's profile by hand.
pub async fn upsert(
    conn: &mut Conn,
    project: ProjectId,
    subject: SubjectId,
    profile: &Profile,
    now_us: i64,
) -> Result<(), StorageError> {
    execute!(conn, UPSERT, project.0, subject.0, Json(profile), now_us)?;
    Ok(())
}

/// Forgets what was set by hand; false when nothing was.
pub async fn delete(conn: &mut Conn, project: ProjectId, subject: SubjectId) -> Result<bool, StorageError> {
    Ok(execute!(conn, DELETE, project.0, subject.0)? > 0)
}

/// What a person said of answers, latest first.
pub async fn list_said(
    conn: &mut Conn,
    project: ProjectId,
    subject: SubjectId,
    limit: i64,
) -> Result<Vec<Said>, StorageError> {
    Ok(rows!(
        fetch_all, conn, Said, LIST_SAID, project.0, subject.0, limit
    )?)
}
