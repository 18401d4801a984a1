//! Interactions: one input and one output of a task. Written in bulk by the recorder, read by everything after it.

use hone_domain::{AnswerSource, ConversationId, InteractionId, InteractionStatus, ProjectId, TaskId};
use sqlx::types::Uuid;

use crate::codec::OptionalText;
use crate::{Conn, Inserted, StorageError, StoredText, dialect};

/// The columns in the order in which both bulk inserts bind them.
macro_rules! columns {
    () => {
        "id, project_id, task_id, conversation_id, turn, subject_id, input, output, label, confidence, source, \
         status, model, model_version_id, latency_us, tokens_input, tokens_output, cost_micro_usd, action_type, \
         target_tool, language, tags, is_reference, input_hash, content_hash, occurred_at_us, created_at_us, request, \
         reply, structured_prompt, first_token_us, error, flaws, personal_data, moderation, injection, near_bands"
    };
}
pub(crate) use columns;

statements! {
    FIND = concat!("SELECT ", columns!(), " FROM interactions WHERE project_id = $1 AND id = $2");
    FIND_FACETS = "SELECT label, source, model, model_version_id, action_type FROM interactions \
            WHERE project_id = $1 AND id = $2";
    LIST = concat!("SELECT ", columns!(), " FROM interactions WHERE project_id = $1 \
            AND (task_id = $2 OR $2 IS NULL) AND (created_at_us, id) < ($3, $4) AND (label = $5 OR $5 IS NULL) \
            AND (status = $6 OR $6 IS NULL) AND (conversation_id = $7 OR $7 IS NULL) \
            AND (confidence < $8 OR $8 IS NULL) ORDER BY created_at_us DESC, id DESC LIMIT $9");
    LIST_OF_TASK = concat!("SELECT ", columns!(), " FROM interactions WHERE task_id = $1 \
            AND (created_at_us, id) < ($2, $3) AND (label = $4 OR $4 IS NULL) AND (status = $5 OR $5 IS NULL) \
            AND (confidence < $6 OR $6 IS NULL) ORDER BY created_at_us DESC, id DESC LIMIT $7");
    LIST_AFTER = concat!("SELECT ", columns!(), " FROM interactions WHERE task_id = $1 AND (created_at_us, id) > ($2, $3) \
            ORDER BY created_at_us, id LIMIT $4");
    LIST_OF_CONVERSATION = concat!("SELECT ", columns!(), " FROM interactions WHERE conversation_id = $1 \
            AND project_id = $2 ORDER BY turn NULLS LAST, created_at_us, id LIMIT $3");
    LIST_REPEATED = "SELECT conversation_id, input_hash FROM interactions WHERE conversation_id IS NOT NULL \
            AND (conversation_id, input_hash) > ($2, $3) AND CASE WHEN task_id = $1 THEN 1 ELSE 0 END = 1 \
            GROUP BY conversation_id, input_hash HAVING COUNT(*) > 1 ORDER BY conversation_id, input_hash LIMIT $4";
    LIST_SAME = concat!("SELECT ", columns!(), " FROM interactions WHERE conversation_id = $1 AND input_hash = $2 LIMIT 100");
    PLACE = "SELECT created_at_us, id FROM interactions WHERE project_id = $1 AND id = $2";
    CONTENT_HASH = "SELECT content_hash FROM interactions WHERE project_id = $1 AND id = $2";
    COUNT = "SELECT COUNT(*) FROM interactions WHERE project_id = $1 AND task_id = $2";
}

/// One input and one output of a task.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Interaction {
    /// Its id.
    pub id: Uuid,
    /// Its project.
    pub project_id: Uuid,
    /// Its task.
    pub task_id: Uuid,
    /// The conversation it belongs to.
    pub conversation_id: Option<Uuid>,
    /// Its position there.
    pub turn: Option<i64>,
    /// The pseudonym of the person it is about.
    pub subject_id: Option<Uuid>,
    /// What was asked.
    #[sqlx(try_from = "Vec<u8>")]
    pub input: StoredText,
    /// What was answered.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub output: OptionalText,
    /// The label that was detected.
    pub label: Option<String>,
    /// Probability of the answer.
    pub confidence: Option<f64>,
    /// Who answered.
    #[sqlx(try_from = "String")]
    pub source: AnswerSource,
    /// How it ended.
    #[sqlx(try_from = "String")]
    pub status: InteractionStatus,
    /// Name of the model that answered.
    pub model: Option<String>,
    /// The registered version that answered.
    pub model_version_id: Option<Uuid>,
    /// Time to answer.
    pub latency_us: Option<i64>,
    /// Tokens of the input.
    pub tokens_input: Option<i64>,
    /// Tokens of the output.
    pub tokens_output: Option<i64>,
    /// Cost in millionths of a USD.
    pub cost_micro_usd: Option<i64>,
    /// Kind of action the answer led to.
    pub action_type: Option<String>,
    /// Tool the answer is meant for.
    pub target_tool: Option<String>,
    /// Language of the input.
    pub language: Option<String>,
    /// Free marks as a JSON array.
    pub tags: Option<String>,
    /// Whether it is a gold standard from elsewhere.
    pub is_reference: bool,
    /// Hash of the normalised input.
    pub input_hash: Vec<u8>,
    /// Hash of the whole, where the client gave the id.
    pub content_hash: Option<Vec<u8>>,
    /// When it happened.
    pub occurred_at_us: i64,
    /// When it was recorded.
    pub created_at_us: i64,
    /// The JSON that went to the model.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub request: OptionalText,
    /// The JSON of an answer that is more than text, such as calls of tools.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub reply: OptionalText,
    /// The prompt that was built from the input.
    #[sqlx(try_from = "Option<Vec<u8>>")]
    pub structured_prompt: OptionalText,
    /// Time to the first token of a streamed answer.
    pub first_token_us: Option<i64>,
    /// What went wrong, in one word.
    pub error: Option<String>,
    /// Names of the texts' flaws, those of the answer after `answer:`, with blanks between.
    pub flaws: Option<String>,
    /// Kinds of personal data that were found, with blanks between; whether it is still there the project decides.
    pub personal_data: Option<String>,
    /// How much the words of the input hurt, 0 to 1.
    pub moderation: Option<f64>,
    /// Signs of an injected instruction in the input, 0 to 1.
    pub injection: Option<f64>,
    /// Bands of the input's signatures, 8 bytes each, by which near-duplicates are found.
    pub near_bands: Option<Vec<u8>>,
}

/// Adds many at once; says of each whether it was new.
pub async fn insert_many(
    conn: &mut Conn,
    interactions: &[Interaction],
) -> Result<Vec<Inserted>, StorageError> {
    let new = dialect::insert_interactions(conn, interactions).await?;
    let mut outcomes = Vec::with_capacity(interactions.len());
    let mut seen = rustc_hash::FxHashSet::default();
    for interaction in interactions {
        // The same id twice in one call: the first is the new one.
        let key = (interaction.project_id, interaction.id);
        if new.contains(&key) && seen.insert(key) {
            outcomes.push(Inserted::New);
            continue;
        }
        let (project, id) = (interaction.project_id, interaction.id);
        let (stored,): (Option<Vec<u8>>,) =
            rows!(fetch_one, conn, (Option<Vec<u8>>,), CONTENT_HASH, project, id)?;
        let same = stored == interaction.content_hash;
        outcomes.push(if same {
            Inserted::Duplicate
        } else {
            Inserted::Conflict
        });
    }
    Ok(outcomes)
}

/// The interaction with this id.
pub async fn find(
    conn: &mut Conn,
    project: ProjectId,
    id: InteractionId,
) -> Result<Option<Interaction>, StorageError> {
    Ok(rows!(fetch_optional, conn, Interaction, FIND, project.0, id.0)?)
}

/// What an interaction is counted by.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Facets {
    /// The label that was detected.
    pub label: Option<String>,
    /// Who answered.
    #[sqlx(try_from = "String")]
    pub source: AnswerSource,
    /// Name of the model that answered.
    pub model: Option<String>,
    /// The registered version that answered.
    pub model_version_id: Option<Uuid>,
    /// The kind of action.
    pub action_type: Option<String>,
}

/// What the interaction with this id is counted by.
pub async fn find_facets(
    conn: &mut Conn,
    project: ProjectId,
    id: InteractionId,
) -> Result<Option<Facets>, StorageError> {
    Ok(rows!(fetch_optional, conn, Facets, FIND_FACETS, project.0, id.0)?)
}

/// What to list; absent fields do not restrict.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this task.
    pub task: Option<Uuid>,
    /// Only with this detected label.
    pub label: Option<String>,
    /// Only with this status.
    pub status: Option<InteractionStatus>,
    /// Only of this conversation.
    pub conversation: Option<ConversationId>,
    /// Only with a lower confidence.
    pub confidence_below: Option<f64>,
}

/// Those recorded before `before`, latest first. An id that is not there gives an empty list.
pub async fn list(
    conn: &mut Conn,
    project: ProjectId,
    filter: &Filter,
    before: Option<InteractionId>,
    limit: i64,
) -> Result<Vec<Interaction>, StorageError> {
    let (label, status) = (
        filter.label.as_deref(),
        filter.status.map(InteractionStatus::as_str),
    );
    let Some((before_us, before_id)) = place_of(conn, project, before).await? else {
        return Ok(Vec::new());
    };
    let confidence = filter.confidence_below;
    let conversation = filter.conversation.map(|id| id.0);
    // With a task its own index gives the order; a condition on an optional parameter would hide it.
    let found = match (filter.task, conversation) {
        (Some(task), None) => rows!(
            fetch_all,
            conn,
            Interaction,
            LIST_OF_TASK,
            task,
            before_us,
            before_id,
            label,
            status,
            confidence,
            limit
        )?,
        (task, conversation) => rows!(
            fetch_all,
            conn,
            Interaction,
            LIST,
            project.0,
            task,
            before_us,
            before_id,
            label,
            status,
            conversation,
            confidence,
            limit
        )?,
    };
    Ok(found)
}

/// Interactions of a task that were recorded before this place, latest first.
pub async fn list_before(
    conn: &mut Conn,
    task: TaskId,
    before: (i64, Uuid),
    limit: i64,
) -> Result<Vec<Interaction>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        Interaction,
        LIST_OF_TASK,
        task.0,
        before.0,
        before.1,
        None::<String>,
        None::<String>,
        None::<f64>,
        limit
    )?)
}

/// Interactions of a task that were recorded after this place, in the order of recording.
pub async fn list_after(
    conn: &mut Conn,
    task: TaskId,
    after: (i64, Uuid),
    limit: i64,
) -> Result<Vec<Interaction>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        Interaction,
        LIST_AFTER,
        task.0,
        after.0,
        after.1,
        limit
    )?)
}

/// Conversations in which the same was asked more than once, with the hash of what was asked, in order after `after`.
pub async fn list_repeated(
    conn: &mut Conn,
    task: TaskId,
    after: Option<&(Uuid, Vec<u8>)>,
    limit: i64,
) -> Result<Vec<(Uuid, Vec<u8>)>, StorageError> {
    // The condition on the task is written so that no index of tasks is taken for it.
    let (conversation, input_hash) = after.cloned().unwrap_or_default();
    Ok(rows!(
        fetch_all,
        conn,
        (Uuid, Vec<u8>),
        LIST_REPEATED,
        task.0,
        conversation,
        &input_hash,
        limit
    )?)
}

/// The times that the same was asked in a conversation, a hundred at most, in order. Sorted here: asked to do it, SQLite walks
/// through all interactions of the task in that order.
pub async fn list_same(
    conn: &mut Conn,
    task: TaskId,
    conversation: Uuid,
    input_hash: &[u8],
) -> Result<Vec<Interaction>, StorageError> {
    let mut same = rows!(fetch_all, conn, Interaction, LIST_SAME, conversation, input_hash)?;
    same.retain(|interaction| interaction.task_id == task.0);
    same.sort_by_key(|interaction| (interaction.created_at_us, interaction.id));
    Ok(same)
}

/// Where in the list an interaction stands; with none, after the last.
async fn place_of(
    conn: &mut Conn,
    project: ProjectId,
    id: Option<InteractionId>,
) -> Result<Option<(i64, Uuid)>, StorageError> {
    let Some(id) = id else {
        return Ok(Some(crate::AFTER_ALL));
    };
    Ok(rows!(fetch_optional, conn, (i64, Uuid), PLACE, project.0, id.0)?)
}

/// The turns of a conversation in order.
pub async fn list_of_conversation(
    conn: &mut Conn,
    project: ProjectId,
    conversation: ConversationId,
    limit: i64,
) -> Result<Vec<Interaction>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        Interaction,
        LIST_OF_CONVERSATION,
        conversation.0,
        project.0,
        limit
    )?)
}

/// How many a task has; walks the task's index.
pub async fn count(conn: &mut Conn, project: ProjectId, task: TaskId) -> Result<i64, StorageError> {
    let (count,): (i64,) = rows!(fetch_one, conn, (i64,), COUNT, project.0, task.0)?;
    Ok(count)
}
