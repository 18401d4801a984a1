//! Conversations and subjects: what interactions belong to. Their ids are derived from the client's names, so both are
//! written without looking anything up.

use hone_domain::{ConversationId, Identity, ProjectId, SubjectId};
use sqlx::types::Uuid;

use crate::{Conn, StorageError, StoredText};

statements! {
    UPSERT = "INSERT INTO conversations (id, project_id, external_id, turns, started_at_us, last_at_us) \
              VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET \
              turns = conversations.turns + excluded.turns, \
              started_at_us = CASE WHEN excluded.started_at_us < conversations.started_at_us \
                              THEN excluded.started_at_us ELSE conversations.started_at_us END, \
              last_at_us = CASE WHEN excluded.last_at_us > conversations.last_at_us \
                           THEN excluded.last_at_us ELSE conversations.last_at_us END RETURNING turns";
    FIND = "SELECT id, project_id, external_id, turns, started_at_us, last_at_us \
            FROM conversations WHERE project_id = $1 AND id = $2";
    LIST = "SELECT id, project_id, external_id, turns, started_at_us, last_at_us FROM conversations \
            WHERE project_id = $1 AND (last_at_us < $2 OR (last_at_us = $2 AND id < $3) OR $2 IS NULL) \
            ORDER BY last_at_us DESC, id DESC LIMIT $4";
    UPSERT_SUBJECT = "INSERT INTO subjects (id, project_id, first_seen_us) VALUES ($1, $2, $3) \
                      ON CONFLICT (id) DO NOTHING";
    UPSERT_IDENTITY = "INSERT INTO identities (subject_id, project_id, user_id, ip_address, user_agent, updated_at_us) \
                       VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (subject_id) DO UPDATE SET \
                       ip_address = excluded.ip_address, user_agent = excluded.user_agent, \
                       updated_at_us = excluded.updated_at_us";
    SET_OPTED_OUT = "INSERT INTO subjects (id, project_id, first_seen_us, opted_out_at_us) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (id) DO UPDATE SET opted_out_at_us = excluded.opted_out_at_us";
    OPTED_OUT_AT = "SELECT opted_out_at_us FROM subjects WHERE id = $1";
}

/// A sequence of interactions.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Conversation {
    /// Its id, derived from `external_id`.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// The client's name for it.
    pub external_id: String,
    /// Interactions recorded in it.
    pub turns: i64,
    /// When its first interaction happened.
    pub started_at_us: i64,
    /// When its last interaction happened.
    pub last_at_us: i64,
}

/// Adds `turns` interactions to a conversation, which is made when it is new; gives whether it is.
pub async fn add_turns(
    conn: &mut Conn,
    project: ProjectId,
    id: ConversationId,
    external_id: &str,
    turns: i64,
    first_at_us: i64,
    last_at_us: i64,
) -> Result<bool, StorageError> {
    let (all_turns,) = rows!(
        fetch_one,
        conn,
        (i64,),
        UPSERT,
        id.0,
        project.0,
        external_id,
        turns,
        first_at_us,
        last_at_us
    )?;
    Ok(all_turns == turns)
}

/// The conversation with this id.
pub async fn find(
    conn: &mut Conn,
    project: ProjectId,
    id: ConversationId,
) -> Result<Option<Conversation>, StorageError> {
    Ok(rows!(fetch_optional, conn, Conversation, FIND, project.0, id.0)?)
}

/// The conversations that were active before the given one, latest first.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    before: Option<(i64, Uuid)>,
    limit: i64,
) -> Result<Vec<Conversation>, StorageError> {
    let (before_us, before_id) = before.unzip();
    Ok(rows!(
        fetch_all,
        conn,
        Conversation,
        LIST,
        project.0,
        before_us,
        before_id,
        limit
    )?)
}

/// Notes that nothing of a subject may be learned from any more, or that it may again.
pub async fn set_opted_out(
    conn: &mut Conn,
    project: ProjectId,
    id: SubjectId,
    opted_out: bool,
    now_us: i64,
) -> Result<(), StorageError> {
    let at_us = opted_out.then_some(now_us);
    execute!(conn, SET_OPTED_OUT, id.0, project.0, now_us, at_us)?;
    Ok(())
}

/// Whether nothing of a subject may be learned from.
pub async fn is_opted_out(conn: &mut Conn, id: SubjectId) -> Result<bool, StorageError> {
    let found: Option<(Option<i64>,)> = rows!(fetch_optional, conn, (Option<i64>,), OPTED_OUT_AT, id.0)?;
    Ok(found.is_some_and(|(at_us,)| at_us.is_some()))
}

/// Notes who a subject is, apart from all content.
pub async fn upsert_subject(
    conn: &mut Conn,
    project: ProjectId,
    id: SubjectId,
    identity: &Identity,
    now_us: i64,
) -> Result<(), StorageError> {
    execute!(conn, UPSERT_SUBJECT, id.0, project.0, now_us)?;
    let user_id = StoredText::encode(&identity.user_id);
    let ip_address = StoredText::encode_option(identity.ip_address.as_deref());
    let user_agent = StoredText::encode_option(identity.user_agent.as_deref());
    execute!(
        conn,
        UPSERT_IDENTITY,
        id.0,
        project.0,
        user_id,
        ip_address,
        user_agent,
        now_us
    )?;
    Ok(())
}
