//! Examples: training items made from interactions, feedback, references and files.

use std::collections::BTreeMap;

use hone_domain::{
    CurationStep, DecidedBy, ExampleId, ExampleOrigin, ExampleStatus, FeedbackSource, InteractionId,
    ProjectId, TaskId,
};
use sqlx::types::{Json, Uuid};

use crate::codec::OptionalText;
use crate::{Conn, StorageError, StoredText};

macro_rules! columns {
    () => {
        "id, project_id, task_id, interaction_id, conversation_id, input, label, target, input_hash, weight, status, \
         origin, is_validated, split, reason, judged_at_us, created_at_us, updated_at_us, subject_id, step, source, \
         decided_by, quality, quality_reasons, language, topics, near_group, near_bands, near_seq"
    };
}

statements! {
    UPSERT = concat!("INSERT INTO examples (", columns!(), ") VALUES \
            ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
            $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29) ON CONFLICT (id) DO UPDATE SET \
            input = excluded.input, input_hash = excluded.input_hash, label = excluded.label, target = excluded.target, weight = excluded.weight, status = excluded.status, \
            is_validated = excluded.is_validated, split = excluded.split, reason = excluded.reason, \
            judged_at_us = excluded.judged_at_us, updated_at_us = excluded.updated_at_us, subject_id = excluded.subject_id, \
            step = excluded.step, source = excluded.source, decided_by = excluded.decided_by, quality = excluded.quality, \
            quality_reasons = excluded.quality_reasons, language = excluded.language, topics = excluded.topics, \
            near_group = excluded.near_group, near_bands = excluded.near_bands, near_seq = excluded.near_seq");
    LIST_NEAR_AFTER = "SELECT id, near_bands, near_seq FROM examples WHERE task_id = $1 AND near_seq > $2 \
            ORDER BY near_seq LIMIT $3";
    FIND = concat!("SELECT ", columns!(), " FROM examples WHERE id = $1");
    FIND_BY_INTERACTION = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 AND interaction_id = $2");
    FIND_USABLE_BY_HASH = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 AND input_hash = $2 \
            AND status IN ('approved', 'used') LIMIT 1");
    LIST = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 \
            AND ((created_at_us, id) < (SELECT created_at_us, id FROM examples WHERE id = $2) OR $2 IS NULL) \
            AND (status = $3 OR $3 IS NULL) AND (label = $4 OR $4 IS NULL) AND (step = $5 OR $5 IS NULL) \
            AND (source = $6 OR $6 IS NULL) AND (quality >= $7 OR $7 IS NULL) AND (created_at_us >= $8 OR $8 IS NULL) \
            AND (created_at_us < $9 OR $9 IS NULL) ORDER BY created_at_us DESC, id DESC LIMIT $10");
    LIST_REJECTED = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 AND status = 'rejected' AND step = $2 \
            AND ((created_at_us, id) < (SELECT created_at_us, id FROM examples WHERE id = $3) OR $3 IS NULL) \
            AND (label = $4 OR $4 IS NULL) AND (source = $5 OR $5 IS NULL) AND (quality >= $6 OR $6 IS NULL) \
            AND (created_at_us >= $7 OR $7 IS NULL) AND (created_at_us < $8 OR $8 IS NULL) \
            ORDER BY created_at_us DESC, id DESC LIMIT $9");
    LIST_AFTER = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    LIST_OPTED_OUT = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 \
            AND subject_id IN (SELECT id FROM subjects WHERE project_id = $2 AND opted_out_at_us IS NOT NULL) \
            AND status IN ('approved', 'used')");
    LIST_USABLE = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 AND id > $2 \
            AND status IN ('approved', 'used') ORDER BY id LIMIT $3");
    MERGE_NEAR_GROUPS = "UPDATE examples SET near_group = $2 WHERE near_group = $1 OR id = $1";
    LIST_TO_EXPORT = concat!("SELECT ", columns!(), " FROM examples WHERE task_id = $1 AND id > $2 \
            AND status IN ('approved', 'used') AND (split = $3 OR $3 IS NULL) AND (label = $4 OR $4 IS NULL) \
            AND (source = $5 OR $5 IS NULL) AND (quality >= $6 OR $6 IS NULL) AND (judged_at_us >= $7 OR $7 IS NULL) \
            AND (judged_at_us < $8 OR $8 IS NULL) AND (subject_id IS NULL OR NOT EXISTS (SELECT 1 FROM subjects \
            WHERE subjects.id = examples.subject_id AND opted_out_at_us IS NOT NULL)) ORDER BY id LIMIT $9");
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
    /// The person it is about.
    pub subject_id: Option<Uuid>,
    /// The step of curation that rejected it.
    pub step: Option<String>,
    /// Whose word its target rests on.
    pub source: Option<String>,
    /// Who decided last: `curation`, or a `person`, whom curation does not overrule.
    #[sqlx(try_from = "String")]
    pub decided_by: DecidedBy,
    /// How good it is, 0 to 1.
    pub quality: Option<f64>,
    /// Why it is as good: names with their factors, such as `thumb_up=0.80 answer:cut_off=0.60`.
    pub quality_reasons: Option<String>,
    /// Language of the input (BCP 47).
    pub language: Option<String>,
    /// What the task's classifiers say it is about, by their names.
    #[sqlx(json(nullable))]
    pub topics: Option<BTreeMap<String, String>>,
    /// Its group of near-duplicates, which never straddles the parts of a dataset.
    pub near_group: Option<Uuid>,
    /// Bands of the input's signatures, 8 bytes each, by which near-duplicates are found.
    pub near_bands: Option<Vec<u8>>,
    /// Its place in the order in which the task's examples became usable.
    pub near_seq: Option<i64>,
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
        example.updated_at_us,
        example.subject_id,
        &example.step,
        &example.source,
        example.decided_by.as_str(),
        example.quality,
        &example.quality_reasons,
        &example.language,
        example.topics.as_ref().map(Json),
        example.near_group,
        &example.near_bands,
        example.near_seq
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

/// What to list; absent fields do not restrict.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only with this status.
    pub status: Option<ExampleStatus>,
    /// Only with this label.
    pub label: Option<String>,
    /// Only those that this step of curation rejected.
    pub step: Option<CurationStep>,
    /// Only those that rest on this one's word.
    pub source: Option<FeedbackSource>,
    /// Only of this quality and better.
    pub min_quality: Option<f64>,
    /// Only made then or later.
    pub from_us: Option<i64>,
    /// Only made before.
    pub until_us: Option<i64>,
}

/// Examples of a task made before `before`, latest first.
pub async fn list(
    conn: &mut Conn,
    task: TaskId,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Example>, StorageError> {
    let (status, step, source) = (
        filter.status.map(ExampleStatus::as_str),
        filter.step.map(CurationStep::as_str),
        filter.source.map(FeedbackSource::as_str),
    );
    let is_of_rejected = filter
        .status
        .is_none_or(|status| status == ExampleStatus::Rejected);
    if let Some(step) = step.filter(|_| is_of_rejected) {
        return Ok(rows!(
            fetch_all,
            conn,
            Example,
            LIST_REJECTED,
            task.0,
            step,
            before,
            filter.label.as_deref(),
            source,
            filter.min_quality,
            filter.from_us,
            filter.until_us,
            limit
        )?);
    }
    let label = filter.label.as_deref();
    Ok(rows!(
        fetch_all,
        conn,
        Example,
        LIST,
        task.0,
        before,
        status,
        label,
        step,
        source,
        filter.min_quality,
        filter.from_us,
        filter.until_us,
        limit
    )?)
}

/// Examples of any status with a larger id than `after`, in order.
pub async fn list_after(
    conn: &mut Conn,
    task: TaskId,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Example>, StorageError> {
    Ok(rows!(fetch_all, conn, Example, LIST_AFTER, task.0, after, limit)?)
}

/// Usable examples in the order of their ids after `after`, of a part or all, without those of subjects who have opted out; the
/// filter's times are those of the judgement.
pub async fn list_to_export(
    conn: &mut Conn,
    task: TaskId,
    filter: &Filter,
    split: Option<&str>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Example>, StorageError> {
    let source = filter.source.map(FeedbackSource::as_str);
    let label = filter.label.as_deref();
    Ok(rows!(
        fetch_all,
        conn,
        Example,
        LIST_TO_EXPORT,
        task.0,
        after,
        split,
        label,
        source,
        filter.min_quality,
        filter.from_us,
        filter.until_us,
        limit
    )?)
}

/// Usable examples of subjects who have opted out.
pub async fn list_opted_out(
    conn: &mut Conn,
    project: ProjectId,
    task: TaskId,
) -> Result<Vec<Example>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        Example,
        LIST_OPTED_OUT,
        task.0,
        project.0
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

/// The bands of examples that became usable after a place in the order of that, with their places.
pub async fn list_near_after(
    conn: &mut Conn,
    task: TaskId,
    after: i64,
    limit: i64,
) -> Result<Vec<(Uuid, Option<Vec<u8>>, i64)>, StorageError> {
    Ok(rows!(
        fetch_all,
        conn,
        (Uuid, Option<Vec<u8>>, i64),
        LIST_NEAR_AFTER,
        task.0,
        after,
        limit
    )?)
}

/// Makes two groups of near-duplicates one.
pub async fn merge_near_groups(conn: &mut Conn, group: Uuid, into: Uuid) -> Result<(), StorageError> {
    execute!(conn, MERGE_NEAR_GROUPS, group, into)?;
    Ok(())
}

/// Marks an example as part of a dataset, in this part of it from now on; false when it is not usable any more.
pub async fn freeze(conn: &mut Conn, id: ExampleId, split: &str) -> Result<bool, StorageError> {
    Ok(execute!(conn, FREEZE, id.0, split)? > 0)
}
