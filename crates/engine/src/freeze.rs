//! Freezing: the usable examples of a task become an immutable, content-hashed dataset with its parts.
//!
//! An example keeps the part it was first given, so that what one version learned from never becomes what a later
//! one is judged on; a conversation never straddles parts. Within a label the shares are kept as closely as counts
//! allow.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Take, Write as _};
use std::time::Duration;

use bytes::buf::Reader;
use bytes::{Buf as _, Bytes};
use hone_domain::{CurationStep, DatasetId, ExampleId, ExampleStatus, HOUR_US, SECOND_US, Split};
use hone_jobs::JobError;
use hone_storage::datasets::{self, Dataset};
use hone_storage::examples::{self, Example};
use hone_storage::progress::{self, Progress};
use hone_storage::tasks::Task;
use hone_storage::{Conn, leases, tasks};
use uuid::Uuid;

use crate::engine::run_blocking;
use crate::splits::assign_splits;
use crate::{Engine, EngineError};

/// Examples read at a time.
const PAGE: i64 = 1_000;
/// The lease of a process that freezes a task runs out so long after its last page.
const LEASE_US: i64 = 20 * SECOND_US;
/// How often, and how long apart, a process asks for the lease of another one.
const LEASE_ATTEMPTS: usize = 600;
const LEASE_POLL: Duration = Duration::from_millis(200);
/// No dataset may unpack to more.
const MAX_DATASET_BYTES: u64 = 64 << 30;

/// One row of a frozen dataset, one line of its JSONL.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct DatasetRow {
    /// The example.
    pub id: Uuid,
    /// The part; an example that is in no dataset yet has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// What is asked.
    pub input: String,
    /// The right label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The right answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How much it counts.
    pub weight: f64,
    /// The interaction it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interaction_id: Option<Uuid>,
    /// Its conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Uuid>,
    /// Whose word it rests on: `user`, `expert` or `automated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How good it is, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// Language of the input (BCP 47).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What the task's classifiers say it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<BTreeMap<String, String>>,
    /// When its target was said to be right (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_at: Option<String>,
}

/// Counts of a dataset.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct DatasetStatistics {
    /// Examples by part.
    pub by_split: BTreeMap<String, usize>,
    /// Examples by label.
    pub by_label: BTreeMap<String, usize>,
    /// Examples by whose word they rest on.
    pub by_source: BTreeMap<String, usize>,
    /// Examples by language of the input.
    pub by_language: BTreeMap<String, usize>,
    /// Characters of input, all together, of the shortest and of the longest.
    pub input_chars: usize,
    /// See `input_chars`.
    pub shortest_input_chars: usize,
    /// See `input_chars`.
    pub longest_input_chars: usize,
    /// Mean quality of the examples that have one, 0 to 1.
    pub mean_quality: Option<f64>,
    #[serde(skip)]
    qualities: (f64, usize),
}

impl DatasetStatistics {
    /// Counts a row.
    pub(crate) fn add(&mut self, row: &DatasetRow) {
        let count = |counts: &mut BTreeMap<String, usize>, name: Option<&str>| {
            if let Some(name) = name {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        };
        count(&mut self.by_split, row.split.map(Split::as_str));
        count(&mut self.by_label, row.label.as_deref());
        count(&mut self.by_source, row.source.as_deref());
        count(&mut self.by_language, row.language.as_deref());
        let (chars, is_first) = (row.input.chars().count(), self.longest_input_chars == 0);
        self.input_chars += chars;
        self.longest_input_chars = self.longest_input_chars.max(chars);
        self.shortest_input_chars = if is_first {
            chars
        } else {
            self.shortest_input_chars.min(chars)
        };
        if let Some(quality) = row.quality {
            self.qualities = (self.qualities.0 + quality, self.qualities.1 + 1);
        }
    }

    /// Computes what needs all rows.
    pub(crate) fn finish(&mut self) {
        let (sum, count) = self.qualities;
        self.mean_quality = (count > 0).then(|| sum / count as f64);
    }
}

impl Engine {
    /// Freezes the usable examples of a task; gives the same dataset again when nothing has changed, or when there is one
    /// with the id that is asked for.
    pub async fn freeze(&self, task: &Task, id: Option<DatasetId>) -> Result<Dataset, EngineError> {
        if let Some(id) = id
            && let Some(earlier) = datasets::find(&mut self.db.read().await?, task.project(), id).await?
        {
            return if earlier.task_id == task.id {
                Ok(earlier)
            } else {
                Err(EngineError::id_is_taken("dataset", id))
            };
        }
        let rows = self.assign_parts(task).await?;
        let (bytes, rows) = run_blocking(move || (encode_rows(&rows), rows)).await?;
        let bytes = bytes?;
        let size_bytes = bytes.len() as i64;
        let content_hash = self.artifacts.put(bytes).await?;
        let dataset = Dataset {
            id: id.map_or_else(|| self.ids.next(), Uuid::from),
            project_id: task.project_id,
            task_id: task.id,
            content_hash,
            size_bytes,
            example_count: rows.len() as i64,
            statistics: serde_json::to_value(statistics_of(&rows)).map_err(|error| unwritable(&error))?,
            created_at_us: self.ids.now_us(),
        };
        let mut conn = self.db.begin().await?;
        let stored = datasets::insert(&mut conn, &dataset).await?;
        conn.commit().await?;
        Ok(stored)
    }

    /// Gives every usable example its part for good, page by page: a transaction over all of them would hold up recording.
    /// Only one process at a time does so for a task.
    async fn assign_parts(&self, task: &Task) -> Result<Vec<DatasetRow>, EngineError> {
        let (lease, holder) = (format!("freeze:{}", task.id), self.ids.next());
        self.wait_for_lease(&lease, holder, task).await?;
        self.reject_opted_out(task).await?;
        let usable = load_usable(&mut self.db.read().await?, task).await?;
        let training = task.policy.training.clone();
        let (usable, splits) = run_blocking(move || {
            let splits = assign_splits(&usable, &training);
            (usable, splits)
        })
        .await?;
        let ageing = Ageing {
            half_life_days: task.policy.curation.half_life_days,
            now_us: self.ids.now_us(),
        };
        let mut rows = Vec::with_capacity(usable.len());
        let mut examples = usable.into_iter().zip(splits).peekable();
        while examples.peek().is_some() {
            let mut conn = self.db.begin().await?;
            // Curation and import of the task wait for the page, so that they see the parts that it gives.
            tasks::lock(&mut conn, task.task_id()).await?;
            if !self.hold_lease(&mut conn, &lease, holder).await? {
                return Err(frozen_elsewhere(task));
            }
            for (example, split) in examples.by_ref().take(PAGE as usize) {
                // One that was superseded or rejected meanwhile stays out: its successor gets a part of its own.
                if examples::freeze(&mut conn, ExampleId(example.id), split.as_str()).await? {
                    let weight = example.weight * ageing.factor(example.judged_at_us);
                    rows.push(DatasetRow::of(example, Some(split), weight));
                }
            }
            conn.commit().await?;
        }
        let mut conn = self.db.begin().await?;
        leases::release(&mut conn, &lease, holder).await?;
        conn.commit().await?;
        Ok(rows)
    }

    /// Rejects the usable examples of subjects who have opted out since curation took them.
    async fn reject_opted_out(&self, task: &Task) -> Result<(), EngineError> {
        let mut conn = self.db.begin().await?;
        tasks::lock(&mut conn, task.task_id()).await?;
        let mut change = Progress::default();
        for mut example in examples::list_opted_out(&mut conn, task.project(), task.task_id()).await? {
            example.status = example.status.transition(ExampleStatus::Rejected)?;
            example.step = Some(CurationStep::Consent.as_str().to_owned());
            "the subject has opted out".clone_into(&mut example.reason);
            example.updated_at_us = self.ids.now_us();
            examples::upsert(&mut conn, &example).await?;
            change.usable_examples -= 1;
        }
        progress::add(&mut conn, task.task_id(), &change).await?;
        conn.commit().await?;
        Ok(())
    }

    /// Takes the lease when whoever freezes the task now has done so.
    async fn wait_for_lease(&self, lease: &str, holder: Uuid, task: &Task) -> Result<(), EngineError> {
        for _attempt in 0..LEASE_ATTEMPTS {
            let mut conn = self.db.begin().await?;
            let held = self.hold_lease(&mut conn, lease, holder).await?;
            conn.commit().await?;
            if held {
                return Ok(());
            }
            tokio::time::sleep(LEASE_POLL).await;
        }
        Err(frozen_elsewhere(task))
    }

    /// Takes or extends the lease; false while another process holds it.
    async fn hold_lease(&self, conn: &mut Conn, lease: &str, holder: Uuid) -> Result<bool, EngineError> {
        let now_us = self.ids.now_us();
        let held = leases::acquire(conn, lease, holder, now_us, now_us + LEASE_US).await?;
        Ok(held.is_some())
    }

    /// The rows of a frozen dataset, checked against its hash.
    pub async fn load_rows(&self, dataset: &Dataset) -> Result<Vec<DatasetRow>, EngineError> {
        let bytes = self.artifacts.get(&dataset.content_hash).await?;
        run_blocking(move || decode_rows(&bytes)).await?
    }

    /// The dataset with this id.
    pub async fn get_dataset(
        &self,
        project: hone_domain::ProjectId,
        id: DatasetId,
    ) -> Result<Dataset, EngineError> {
        let found = datasets::find(&mut self.db.read().await?, project, id).await?;
        found.ok_or_else(|| EngineError::NotFound {
            noun: "dataset",
            id: id.to_string(),
        })
    }
}

fn frozen_elsewhere(task: &Task) -> EngineError {
    EngineError::Job(JobError::Transient(format!(
        "task \"{}\" is being frozen by another process; try again in a minute",
        task.name
    )))
}

async fn load_usable(conn: &mut Conn, task: &Task) -> Result<Vec<Example>, EngineError> {
    let (mut usable, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let page = examples::list_usable(conn, task.task_id(), after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(usable);
        };
        after = last.id;
        usable.extend(page);
    }
}

/// How examples lose weight.
struct Ageing {
    half_life_days: f64,
    now_us: i64,
}

impl Ageing {
    /// What is left of the weight of an example that was judged then; by whole days, so that what is frozen twice a day is
    /// the same.
    fn factor(&self, judged_at_us: i64) -> f64 {
        if self.half_life_days <= 0.0 {
            return 1.0;
        }
        let days = (self.now_us - judged_at_us).max(0) / (24 * HOUR_US);
        0.5f64.powf(days as f64 / self.half_life_days)
    }
}

fn statistics_of(rows: &[DatasetRow]) -> DatasetStatistics {
    let mut statistics = DatasetStatistics::default();
    for row in rows {
        statistics.add(row);
    }
    statistics.finish();
    statistics
}

fn unwritable(error: &dyn std::fmt::Display) -> EngineError {
    EngineError::Dataset(error.to_string())
}

/// JSONL, zstd-compressed; the same rows give the same bytes.
fn encode_rows(rows: &[DatasetRow]) -> Result<Vec<u8>, EngineError> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row).map_err(|error| unwritable(&error))?;
        lines.write_all(b"\n").map_err(|error| unwritable(&error))?;
    }
    zstd::bulk::compress(&lines, 3).map_err(|error| unwritable(&error))
}

fn decode_rows(bytes: &[u8]) -> Result<Vec<DatasetRow>, EngineError> {
    let mut reader = DatasetReader::new(bytes.to_vec().into())?;
    reader.next_page(usize::MAX)
}

/// The rows of a dataset, page by page.
pub(crate) struct DatasetReader {
    lines: BufReader<Take<zstd::Decoder<'static, BufReader<Reader<Bytes>>>>>,
}

impl DatasetReader {
    pub fn new(bytes: Bytes) -> Result<Self, EngineError> {
        let decoder = zstd::Decoder::new(bytes.reader()).map_err(|error| unwritable(&error))?;
        Ok(Self {
            lines: BufReader::new(decoder.take(MAX_DATASET_BYTES)),
        })
    }

    /// The next rows, at most this many; none at the end.
    pub fn next_page(&mut self, limit: usize) -> Result<Vec<DatasetRow>, EngineError> {
        let (mut rows, mut line) = (Vec::new(), Vec::new());
        while rows.len() < limit {
            line.clear();
            let read = self.lines.read_until(b'\n', &mut line);
            if read.map_err(|error| unwritable(&error))? == 0 {
                break;
            }
            rows.push(serde_json::from_slice(&line).map_err(|error| unwritable(&error))?);
        }
        Ok(rows)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hone_domain::ExampleOrigin;
    use hone_storage::{OptionalText, StoredText};

    pub(crate) fn example(
        number: u128,
        label: &str,
        conversation: Option<u128>,
        split: Option<&str>,
    ) -> Example {
        Example {
            id: Uuid::from_u128(number),
            project_id: Uuid::nil(),
            task_id: Uuid::nil(),
            interaction_id: None,
            conversation_id: conversation.map(Uuid::from_u128),
            input: StoredText(format!("text {number}")),
            label: Some(label.to_owned()),
            target: OptionalText(None),
            input_hash: vec![],
            weight: 1.0,
            status: ExampleStatus::Approved,
            origin: ExampleOrigin::Live,
            is_validated: true,
            split: split.map(str::to_owned),
            reason: String::new(),
            judged_at_us: 0,
            created_at_us: 0,
            updated_at_us: 0,
            subject_id: None,
            step: None,
            source: None,
            decided_by: hone_domain::DecidedBy::Curation,
            quality: None,
            quality_reasons: None,
            language: None,
            topics: None,
            near_group: None,
            near_bands: None,
            near_seq: None,
        }
    }

    const NEVER: Ageing = Ageing {
        half_life_days: 0.0,
        now_us: 0,
    };

    #[test]
    fn what_was_said_long_ago_counts_less() {
        let day_us = 24 * HOUR_US;
        let ageing = Ageing {
            half_life_days: 30.0,
            now_us: 61 * day_us,
        };
        assert!((ageing.factor(day_us) - 0.25).abs() < 1e-9);
        assert_eq!(ageing.factor(61 * day_us + 5), 1.0);
        assert_eq!(NEVER.factor(0), 1.0);
    }

    #[test]
    fn rows_survive_writing_and_reading() {
        let rows = vec![DatasetRow::of(
            example(1, "a", Some(2), None),
            Some(Split::Test),
            1.0,
        )];
        assert_eq!(decode_rows(&encode_rows(&rows).unwrap()).unwrap(), rows);
    }
}
