//! Reports that compare versions.

use hone_domain::ProjectId;
use sqlx::types::Uuid;

use crate::{Conn, StorageError, StoredText};

statements! {
    INSERT = "INSERT INTO reports (id, project_id, title, markdown, html, created_at_us) VALUES ($1, $2, $3, $4, $5, $6)";
    FIND = "SELECT id, project_id, title, markdown, html, created_at_us FROM reports WHERE project_id = $1 AND id = $2";
    FIND_LATEST = "SELECT id, project_id, title, markdown, html, created_at_us FROM reports WHERE project_id = $1 \
                   ORDER BY created_at_us DESC, id DESC LIMIT 1";
    LIST = "SELECT id, title, created_at_us FROM reports WHERE project_id = $1 \
            AND ((created_at_us, id) < (SELECT created_at_us, id FROM reports WHERE id = $2) OR $2 IS NULL) \
            ORDER BY created_at_us DESC, id DESC LIMIT $3";
}

/// A report.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Report {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// What it is called.
    pub title: String,
    /// The whole as Markdown.
    #[sqlx(try_from = "Vec<u8>")]
    pub markdown: StoredText,
    /// The whole as a page that needs nothing else.
    #[sqlx(try_from = "Vec<u8>")]
    pub html: StoredText,
    /// When it was written.
    pub created_at_us: i64,
}

/// What lists show of a report.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ReportTitle {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub title: String,
    /// When it was written.
    pub created_at_us: i64,
}

/// Keeps a report.
pub async fn insert(conn: &mut Conn, report: &Report) -> Result<(), StorageError> {
    let (markdown, html) = (
        StoredText::encode(&report.markdown.0),
        StoredText::encode(&report.html.0),
    );
    execute!(
        conn,
        INSERT,
        report.id,
        report.project_id,
        &report.title,
        markdown.clone(),
        html.clone(),
        report.created_at_us
    )?;
    Ok(())
}

/// The report with this id.
pub async fn find(conn: &mut Conn, project: ProjectId, id: Uuid) -> Result<Option<Report>, StorageError> {
    Ok(rows!(fetch_optional, conn, Report, FIND, project.0, id)?)
}

/// The report that was written last.
pub async fn find_latest(conn: &mut Conn, project: ProjectId) -> Result<Option<Report>, StorageError> {
    Ok(rows!(fetch_optional, conn, Report, FIND_LATEST, project.0)?)
}

/// Reports written before `before`, latest first.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ReportTitle>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        ReportTitle,
        LIST,
        project.0,
        before,
        limit
    )?)
}
