//! Examples: training items made from interactions, feedback, references and files.

use hone_domain::{ExampleId, ExampleOrigin, ExampleStatus, InteractionId, TaskId};
use sqlx::types::Uuid;

use crate::codec::OptionalText;
use crate::{Conn, StorageError, StoredText};

macro_rules! columns {
    () => {
        "id, project_id, task_id, interaction_id, conversation_id, input, label, target, input_hash, weight, status, \
         origin, is_validated, split, reason, judged_at_us, created_at_us, updated_at_us"
    };
}

statements! {
    UPSERT = concat!("INSERT INTO examples (", columns!(), ") VALUES \
            ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) ON CONFLICT (id) DO UPDATE SET \
            label = excluded.label, target = excluded.target, weight = excluded.weight, status = excluded.status, \
            is_validated = excluded.is_validated, split = excluded.split, reason = excluded.reason, \
            judged_at_us = excluded.judged_at_us, updated_at_us = excluded.updated_at_us");
    FIND = concat!("SELECT ", columns!(), " FROM examples WHERE id = $1");
    FIND_BY_INTERACTION = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 AND interaction_id = $2");
    FIND_USABLE_BY_HASH = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 AND input_hash = $2 \
            AND status IN ('approved', 'used') LIMIT 1");
    LIST = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 \
            AND ((created_at_us, id) < (SELECT created_at_us, id FROM examples WHERE id = $2) OR $2 IS NULL) \
            AND (status = $3 OR $3 IS NULL) AND (label = $4 OR $4 IS NULL) ORDER BY created_at_us DESC, id DESC LIMIT $5");
    LIST_USABLE = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 AND id > $2 \
            AND status IN ('approved', 'used') ORDER BY id LIMIT $3");
    FREEZE = "UPDATE examples SET status = 'used', split = $2 WHERE id = $1 AND status IN ('approved', 'used')";
}

/// A training item.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Example {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// The interaction it was made from.
    pub interaction_id: Option<Uuid>,
    /// The conversation of that interaction; never divided between the parts of a dataset.
    pub conversation_id: Option<Uuid>,
    /// What is asked.
    #[sqlx(try_from = "Vec<u8>")]
    pub input: StoredText,
    /// The right label, for a `classify` task.
    pub label: Option<String>,
    /// The right answer, for a `generate` task.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub target: OptionalText,
    /// Hash of the normalised input.
    pub input_hash: Vec<u8>,
    /// How much it counts in training.
    pub weight: f64,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub status: ExampleStatus,
    /// Where it came from.
    #[sqlx(try_from = "String")]
    pub origin: ExampleOrigin,
    /// Whether a person said that the target is right.
    pub is_validated: bool,
    /// The part of datasets it belongs to, from its first dataset on: `train`, `validation` or `test`.
    pub split: Option<String>,
    /// Why it was taken or rejected.
    pub reason: String,
    /// When what it says was said; of two judgements of a text the later one wins.
    pub judged_at_us: i64,
    /// When it was made.
    pub created_at_us: i64,
    /// When it last changed.
    pub updated_at_us: i64,
}

impl Example {
    /// Whether training may use it.
    pub fn is_usable(&self) -> bool {
        matches!(self.status, ExampleStatus::Approved | ExampleStatus::Used)
    }
}

/// Adds an example, or replaces what curation may change of the one with its id.
pub async fn upsert(conn: &mut Conn, example: &Example) -> Result<(), StorageError> {
    let Example {
        id,
        project_id,
        task_id,
        interaction_id,
        conversation_id,
        label,
        input_hash,
        weight,
        ..
    } = example;
    execute!(
        conn,
        UPSERT,
        id,
        project_id,
        task_id,
        interaction_id,
        conversation_id,
        StoredText::encode(&example.input.0),
        label,
        StoredText::encode_option(example.target.0.as_deref()),
        input_hash,
        weight,
        example.status.as_str(),
        example.origin.as_str(),
        example.is_validated,
        &example.split,
        &example.reason,
        example.judged_at_us,
        example.created_at_us,
        example.updated_at_us
    )?;
    Ok(())
}

/// The example with this id.
pub async fn find(conn: &mut Conn, id: ExampleId) -> Result<Option<Example>, StorageError> {
    Ok(rows!(fetch_optional, conn, Example, FIND, id.0)?)
}

/// The example made from this interaction.
pub async fn find_by_interaction(
    conn: &mut Conn,
    task: TaskId,
    interaction: InteractionId,
) -> Result<Option<Example>, StorageError> {
    Ok(rows!(
        fetch_optional,
        conn,
        Example,
        FIND_BY_INTERACTION,
        task.0,
        interaction.0
    )?)
}

/// The usable example whose normalised input has this hash.
pub async fn find_usable_by_hash(
    conn: &mut Conn,
    task: TaskId,
    hash: &[u8],
) -> Result<Option<Example>, StorageError> {
    Ok(rows!(
        fetch_optional,
        conn,
        Example,
        FIND_USABLE_BY_HASH,
        task.0,
        hash
    )?)
}

/// Examples of a task made before `before`, latest first.
pub async fn list(
    conn: &mut Conn,
    task: TaskId,
    status: Option<ExampleStatus>,
    label: Option<&str>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Example>, StorageError> {
    let status = status.map(ExampleStatus::as_str);
    Ok(rows!(
        fetch_all, conn, Example, LIST, task.0, before, status, label, limit
    )?)
}

/// Usable examples with a larger id than `after`, in order.
pub async fn list_usable(
    conn: &mut Conn,
    task: TaskId,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Example>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        Example,
        LIST_USABLE,
        task.0,
        after,
        limit
    )?)
}

/// Marks an example as part of a dataset, in this part of it from now on; false when it is not usable any more.
pub async fn freeze(conn: &mut Conn, id: ExampleId, split: &str) -> Result<bool, StorageError> {
    Ok(execute!(conn, FREEZE, id.0, split)? > 0)
}
