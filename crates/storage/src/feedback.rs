//! Feedback of every kind, joined to its interaction when it is written, or later when the interaction comes later.

use hone_domain::{FeedbackKind, FeedbackSource, InteractionId, ProjectId, TaskId};
use sqlx::types::Uuid;

use crate::codec::OptionalText;
use crate::{Conn, Inserted, StorageError, StoredText};

macro_rules! columns {
    () => {
        "id, project_id, task_id, interaction_id, conversation_id, kind, value, name, label, detected_label, \
         is_mismatch, text, preference, source, content_hash, occurred_at_us, created_at_us"
    };
}

statements! {
    INSERT = concat!("INSERT INTO feedback (", columns!(), ") SELECT $1, $2, i.task_id, $3, $4, $5, $6, $7, $8, \
            i.label, CASE WHEN i.label <> $8 THEN TRUE WHEN i.label = $8 THEN FALSE END, $9, $10, $11, $12, $13, $14 \
            FROM (SELECT 1 AS one) AS o LEFT JOIN interactions AS i ON i.project_id = $2 AND i.id = $3 WHERE o.one = 1 \
            ON CONFLICT (project_id, id) DO NOTHING RETURNING task_id, is_mismatch");
    CONTENT_HASH = "SELECT content_hash FROM feedback WHERE project_id = $1 AND id = $2";
    LIST_OF_INTERACTION = concat!("SELECT ", columns!(), " FROM feedback WHERE project_id = $1 AND interaction_id = $2 \
            ORDER BY created_at_us, id");
    LIST = concat!("SELECT ", columns!(), " FROM feedback WHERE project_id = $1 AND (task_id = $2 OR $2 IS NULL) \
            AND (kind = $3 OR $3 IS NULL) AND (created_at_us, id) < ($4, $5) ORDER BY created_at_us DESC, id DESC \
            LIMIT $6");
    LIST_AFTER = concat!("SELECT ", columns!(), " FROM feedback WHERE task_id = $1 AND (created_at_us, id) > ($2, $3) \
            ORDER BY created_at_us, id LIMIT $4");
    PLACE = "SELECT created_at_us, id FROM feedback WHERE project_id = $1 AND id = $2";
    LIST_EARLY = "SELECT f.id, f.interaction_id, i.task_id, i.label FROM feedback AS f JOIN interactions AS i \
                  ON i.project_id = f.project_id AND i.id = f.interaction_id \
                  WHERE f.project_id = $1 AND f.task_id IS NULL AND f.interaction_id IS NOT NULL \
                  AND (f.interaction_id = $2 OR $2 IS NULL) ORDER BY f.interaction_id, f.id LIMIT 1000";
    COUNT_EARLY = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM feedback WHERE project_id = $1 AND task_id IS NULL \
                   AND interaction_id IS NOT NULL LIMIT 1) AS first_row";
    JOIN_EARLY = concat!("UPDATE feedback SET task_id = $3, detected_label = $4, \
                  is_mismatch = CASE WHEN label <> $4 THEN TRUE WHEN label = $4 THEN FALSE END \
                  WHERE project_id = $1 AND id = $2 AND task_id IS NULL RETURNING ", columns!());
}

/// One piece of feedback.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Feedback {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// The task of its interaction; absent while the interaction has not arrived.
    pub task_id: Option<Uuid>,
    /// The interaction that is spoken of.
    pub interaction_id: Option<Uuid>,
    /// The conversation that is spoken of.
    pub conversation_id: Option<Uuid>,
    /// What was said or done.
    #[sqlx(try_from = "String")]
    pub kind: FeedbackKind,
    /// The value as a number.
    pub value: Option<f64>,
    /// Name of a score.
    pub name: Option<String>,
    /// The right label.
    pub label: Option<String>,
    /// The label that had been detected.
    pub detected_label: Option<String>,
    /// Whether the right label differs from the detected one.
    pub is_mismatch: Option<bool>,
    /// The right text, or the words.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub text: OptionalText,
    /// The chosen and the rejected answer, as JSON.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub preference: OptionalText,
    /// Who said it.
    #[sqlx(try_from = "String")]
    pub source: FeedbackSource,
    /// Hash of the whole, where the client gave the id.
    pub content_hash: Option<Vec<u8>>,
    /// When it was said.
    pub occurred_at_us: i64,
    /// When it was recorded.
    pub created_at_us: i64,
}

/// What became of inserted feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedbackOutcome {
    /// Whether it was new.
    pub inserted: Inserted,
    /// The task of its interaction, when that is there.
    pub task: Option<TaskId>,
    /// Whether the right label differs from the detected one.
    pub is_mismatch: Option<bool>,
}

/// Adds one piece and joins it to its interaction, when that is there.
pub async fn insert(conn: &mut Conn, feedback: &Feedback) -> Result<FeedbackOutcome, StorageError> {
    let Feedback {
        id,
        project_id,
        interaction_id,
        conversation_id,
        value,
        name,
        label,
        content_hash,
        ..
    } = feedback;
    let text = StoredText::encode_option(feedback.text.0.as_deref());
    let preference = StoredText::encode_option(feedback.preference.0.as_deref());
    let inserted: Option<(Option<Uuid>, Option<bool>)> = rows!(
        fetch_optional,
        conn,
        (Option<Uuid>, Option<bool>),
        INSERT,
        id,
        project_id,
        interaction_id,
        conversation_id,
        feedback.kind.as_str(),
        value,
        name,
        label,
        text.clone(),
        preference.clone(),
        feedback.source.as_str(),
        content_hash,
        feedback.occurred_at_us,
        feedback.created_at_us
    )?;
    if let Some((task, is_mismatch)) = inserted {
        return Ok(FeedbackOutcome {
            inserted: Inserted::New,
            task: task.map(TaskId),
            is_mismatch,
        });
    }
    let (stored,): (Option<Vec<u8>>,) =
        rows!(fetch_one, conn, (Option<Vec<u8>>,), CONTENT_HASH, project_id, id)?;
    let inserted = if stored == feedback.content_hash {
        Inserted::Duplicate
    } else {
        Inserted::Conflict
    };
    Ok(FeedbackOutcome {
        inserted,
        task: None,
        is_mismatch: None,
    })
}

/// All feedback on one interaction, oldest first.
pub async fn list_of_interaction(
    conn: &mut Conn,
    project: ProjectId,
    interaction: InteractionId,
) -> Result<Vec<Feedback>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        Feedback,
        LIST_OF_INTERACTION,
        project.0,
        interaction.0
    )?)
}

/// Feedback recorded before `before`, latest first. An id that is not there gives an empty list.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    task: Option<TaskId>,
    kind: Option<FeedbackKind>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Feedback>, StorageError> {
    let place = match before {
        None => Some(crate::AFTER_ALL),
        Some(id) => rows!(fetch_optional, conn, (i64, Uuid), PLACE, project.0, id)?,
    };
    let Some((before_us, before_id)) = place else {
        return Ok(Vec::new());
    };
    let (task, kind) = (task.map(|task| task.0), kind.map(FeedbackKind::as_str));
    Ok(rows!(
        fetch_all, conn, Feedback, LIST, project.0, task, kind, before_us, before_id, limit
    )?)
}

/// Feedback of a task that was recorded after this place, in the order of recording.
pub async fn list_after(
    conn: &mut Conn,
    task: TaskId,
    after: (i64, Uuid),
    limit: i64,
) -> Result<Vec<Feedback>, StorageError> {
    Ok(rows!(
        fetch_all, conn, Feedback, LIST_AFTER, task.0, after.0, after.1, limit
    )?)
}

/// Whether any feedback waits for its interaction.
pub async fn has_early(conn: &mut Conn, project: ProjectId) -> Result<bool, StorageError> {
    let (count,): (i64,) = rows!(fetch_one, conn, (i64,), COUNT_EARLY, project.0)?;
    Ok(count > 0)
}

/// Joins up to 1,000 pieces of feedback that came before their interactions; gives what was joined.
pub async fn join_early(conn: &mut Conn, project: ProjectId) -> Result<Vec<Feedback>, StorageError> {
    join(conn, project, None).await
}

/// Joins feedback that came before this interaction; gives what was joined.
pub async fn join_early_of(
    conn: &mut Conn,
    project: ProjectId,
    interaction: InteractionId,
) -> Result<Vec<Feedback>, StorageError> {
    join(conn, project, Some(interaction.0)).await
}

async fn join(
    conn: &mut Conn,
    project: ProjectId,
    interaction: Option<Uuid>,
) -> Result<Vec<Feedback>, StorageError> {
    let early = rows!(
        fetch_all,
        conn,
        (Uuid, Uuid, Uuid, Option<String>),
        LIST_EARLY,
        project.0,
        interaction
    )?;
    let mut joined = Vec::new();
    for (id, _, task, label) in early {
        joined.extend(rows!(
            fetch_optional,
            conn,
            Feedback,
            JOIN_EARLY,
            project.0,
            id,
            task,
            label.clone()
        )?);
    }
    Ok(joined)
}
