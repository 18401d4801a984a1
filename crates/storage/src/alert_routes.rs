//! How people are told of alerts, and the log of what they were told.

use hone_domain::{ProjectId, RouteKind, Severity};
use sqlx::types::Uuid;

use crate::{Conn, StorageError, StoredText};

macro_rules! delivery_columns {
    () => {
        "id, project_id, alert_id, route, event, state, attempts, error, created_at_us, delivered_at_us"
    };
}

statements! {
    UPSERT = "INSERT INTO alert_routes (id, project_id, name, kind, target, min_severity, enabled, created_at_us) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (project_id, name) DO UPDATE SET kind = excluded.kind, \
              target = excluded.target, min_severity = excluded.min_severity, enabled = excluded.enabled";
    FIND = "SELECT id, project_id, name, kind, target, min_severity, enabled, created_at_us FROM alert_routes \
            WHERE project_id = $1 AND name = $2";
    LIST = "SELECT id, project_id, name, kind, target, min_severity, enabled, created_at_us FROM alert_routes \
            WHERE project_id = $1 ORDER BY name";
    DELETE = "DELETE FROM alert_routes WHERE project_id = $1 AND name = $2";
    INSERT_DELIVERY = concat!("INSERT INTO alert_deliveries (", delivery_columns!(), ") \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    FIND_DELIVERY = concat!("SELECT ", delivery_columns!(), " FROM alert_deliveries WHERE project_id = $1 AND id = $2");
    END_DELIVERY = "UPDATE alert_deliveries SET state = $2, attempts = attempts + 1, error = $3, delivered_at_us = $4 \
                    WHERE id = $1";
    FAIL_DELIVERY = "UPDATE alert_deliveries SET state = 'failed', error = $2 WHERE id = $1";
    LIST_DELIVERIES = concat!("SELECT ", delivery_columns!(), " FROM alert_deliveries WHERE project_id = $1 \
                      AND (alert_id = $2 OR $2 IS NULL) AND (created_at_us, id) < ($3, $4) \
                      ORDER BY created_at_us DESC, id DESC LIMIT $5");
    DELIVERY_PLACE = "SELECT created_at_us, id FROM alert_deliveries WHERE project_id = $1 AND id = $2";
}

/// A way to tell people.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct AlertRoute {
    /// Its id; what is signed for it is signed with a key that is derived from it.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its name, unique in the project.
    pub name: String,
    /// How.
    #[sqlx(try_from = "String")]
    pub kind: RouteKind,
    /// An address or a URL. URLs of chats are secrets.
    #[sqlx(try_from = "Vec<u8>")]
    pub target: StoredText,
    /// Only of alerts that are at least so bad.
    #[sqlx(try_from = "String")]
    pub min_severity: Severity,
    /// Whether it is used.
    pub enabled: bool,
    /// When it was made.
    pub created_at_us: i64,
}

/// What somebody was told, or is to be told.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Delivery {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// The alert; none for a message that tries the route.
    pub alert_id: Option<Uuid>,
    /// Name of the route.
    pub route: String,
    /// `firing`, `resolved`, `noted` or `test`.
    pub event: String,
    /// `queued`, `delivered`, `failed` or `silenced`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it was queued.
    pub created_at_us: i64,
    /// When it arrived.
    pub delivered_at_us: Option<i64>,
}

/// Sets a route; one of the same name keeps its id.
pub async fn upsert(conn: &mut Conn, route: &AlertRoute) -> Result<(), StorageError> {
    let target = StoredText::encode(&route.target.0);
    execute!(
        conn,
        UPSERT,
        route.id,
        route.project_id,
        &route.name,
        route.kind.as_str(),
        target.clone(),
        route.min_severity.as_str(),
        route.enabled,
        route.created_at_us
    )?;
    Ok(())
}

/// The route with this name.
pub async fn find(
    conn: &mut Conn,
    project: ProjectId,
    name: &str,
) -> Result<Option<AlertRoute>, StorageError> {
    Ok(rows!(fetch_optional, conn, AlertRoute, FIND, project.0, name)?)
}

/// The routes of a project, by name.
pub async fn list(conn: &mut Conn, project: ProjectId) -> Result<Vec<AlertRoute>, StorageError> {
    Ok(rows!(fetch_all, conn, AlertRoute, LIST, project.0)?)
}

/// Removes a route; false when there is none of this name.
pub async fn delete(conn: &mut Conn, project: ProjectId, name: &str) -> Result<bool, StorageError> {
    Ok(execute!(conn, DELETE, project.0, name)? > 0)
}

/// Adds to the log.
pub async fn insert_delivery(conn: &mut Conn, delivery: &Delivery) -> Result<(), StorageError> {
    execute!(
        conn,
        INSERT_DELIVERY,
        delivery.id,
        delivery.project_id,
        delivery.alert_id,
        &delivery.route,
        &delivery.event,
        &delivery.state,
        delivery.attempts,
        delivery.error.clone(),
        delivery.created_at_us,
        delivery.delivered_at_us
    )?;
    Ok(())
}

/// The delivery with this id.
pub async fn find_delivery(
    conn: &mut Conn,
    project: ProjectId,
    id: Uuid,
) -> Result<Option<Delivery>, StorageError> {
    Ok(rows!(
        fetch_optional,
        conn,
        Delivery,
        FIND_DELIVERY,
        project.0,
        id
    )?)
}

/// Notes an attempt and how it ended.
pub async fn end_delivery(
    conn: &mut Conn,
    id: Uuid,
    state: &str,
    error: Option<&str>,
    delivered_at_us: Option<i64>,
) -> Result<(), StorageError> {
    execute!(conn, END_DELIVERY, id, state, error, delivered_at_us)?;
    Ok(())
}

/// Notes that a delivery is not tried any more.
pub async fn fail_delivery(conn: &mut Conn, id: Uuid, error: &str) -> Result<(), StorageError> {
    execute!(conn, FAIL_DELIVERY, id, error)?;
    Ok(())
}

/// Deliveries queued before `before`, latest first. An id that is not there gives an empty list.
pub async fn list_deliveries(
    conn: &mut Conn,
    project: ProjectId,
    alert: Option<Uuid>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Delivery>, StorageError> {
    let place = match before {
        None => Some(crate::AFTER_ALL),
        Some(id) => rows!(fetch_optional, conn, (i64, Uuid), DELIVERY_PLACE, project.0, id)?,
    };
    let Some((before_us, before_id)) = place else {
        return Ok(Vec::new());
    };
    Ok(rows!(
        fetch_all,
        conn,
        Delivery,
        LIST_DELIVERIES,
        project.0,
        alert,
        before_us,
        before_id,
        limit
    )?)
}
