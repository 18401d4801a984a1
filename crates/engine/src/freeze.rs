//! Freezing: the usable examples of a task become an immutable, content-hashed dataset with its parts.
//!
//! An example keeps the part it was first given, so that what one version learned from never becomes what a later
//! one is judged on; a conversation never straddles parts. Within a label the shares are kept as closely as counts
//! allow.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use hone_domain::{DatasetId, ExampleId, ExampleStatus, SECOND_US, Split, SplitShares};
use hone_jobs::JobError;
use hone_storage::datasets::{self, Dataset};
use hone_storage::examples::{self, Example};
use hone_storage::tasks::Task;
use hone_storage::{Conn, leases, tasks};
use uuid::Uuid;

use crate::engine::run_blocking;
use crate::{Engine, EngineError};

/// Examples read at a time.
const PAGE: i64 = 1_000;
/// The lease of a process that freezes a task runs out so long after its last page.
const LEASE_US: i64 = 20 * SECOND_US;
/// How often, and how long apart, a process asks for the lease of another one.
const LEASE_ATTEMPTS: usize = 600;
const LEASE_POLL: Duration = Duration::from_millis(200);
/// No dataset may unpack to more.
const MAX_DATASET_BYTES: usize = 16 << 30;

/// One row of a frozen dataset, one line of its JSONL.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DatasetRow {
    /// The example.
    pub id: Uuid,
    /// The part.
    pub split: Split,
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
}

/// Counts of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DatasetStatistics {
    /// Examples by part.
    pub by_split: BTreeMap<String, usize>,
    /// Examples by label.
    pub by_label: BTreeMap<String, usize>,
    /// Characters of input, all together.
    pub input_chars: usize,
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
        let usable = load_usable(&mut self.db.read().await?, task).await?;
        let shares = task.policy.training.split;
        let (usable, splits) = run_blocking(move || {
            let splits = assign_splits(&usable, shares);
            (usable, splits)
        })
        .await?;
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
                let is_settled =
                    example.split.as_deref() == Some(split.as_str()) && example.status == ExampleStatus::Used;
                // One that was superseded before it had a part stays out: its successor gets a part of its own.
                if is_settled || examples::freeze(&mut conn, ExampleId(example.id), split.as_str()).await? {
                    rows.push(row_of(example, split));
                }
            }
            conn.commit().await?;
        }
        let mut conn = self.db.begin().await?;
        leases::release(&mut conn, &lease, holder).await?;
        conn.commit().await?;
        Ok(rows)
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

/// Gives every example its part. Groups (conversations) are dealt out in the order of a hash of their name, each to the
/// part that is furthest behind its share within the example's label, then over all. Where members of a group were given
/// different parts, because a text came again in another conversation, all go to the earliest part: what was held out may
/// be learned from later, never the other way round.
fn assign_splits(usable: &[Example], shares: SplitShares) -> Vec<Split> {
    let mut groups: BTreeMap<[u8; 16], Vec<usize>> = BTreeMap::new();
    for (position, example) in usable.iter().enumerate() {
        let name = example.conversation_id.unwrap_or(example.id);
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
        groups.entry(key).or_default().push(position);
    }
    let mut counts = SplitCounts::new(shares);
    let mut splits = vec![Split::Train; usable.len()];
    let mut open = Vec::new();
    for members in groups.values() {
        let given = members
            .iter()
            .filter_map(|&member| usable[member].split.as_deref()?.parse::<Split>().ok())
            .min();
        match given {
            Some(split) => counts.give(usable, members, split, &mut splits),
            None => open.push(members),
        }
    }
    for members in open {
        let split = counts.furthest_behind(usable[members[0]].label.as_deref());
        counts.give(usable, members, split, &mut splits);
    }
    splits
}

/// How many examples each part has, by label and over all.
struct SplitCounts<'a> {
    shares: [f64; 3],
    by_label: BTreeMap<Option<&'a str>, [f64; 3]>,
    total: [f64; 3],
}

impl<'a> SplitCounts<'a> {
    fn new(shares: SplitShares) -> Self {
        Self {
            shares: [shares.train, shares.validation, shares.test],
            by_label: BTreeMap::new(),
            total: [0.0; 3],
        }
    }

    fn give(&mut self, usable: &'a [Example], members: &[usize], split: Split, splits: &mut [Split]) {
        for &member in members {
            splits[member] = split;
            self.by_label.entry(usable[member].label.as_deref()).or_default()[split as usize] += 1.0;
            self.total[split as usize] += 1.0;
        }
    }

    /// Sainte-Laguë's rule per label; the overall counts decide where a label has too few to tell.
    fn furthest_behind(&self, label: Option<&str>) -> Split {
        let of_label = self.by_label.get(&label).copied().unwrap_or_default();
        let labels = self.by_label.len().max(1) as f64;
        let filled = |part: Split| {
            let (index, share) = (part as usize, self.shares[part as usize]);
            if share <= 0.0 {
                return f64::INFINITY;
            }
            (of_label[index] + 0.5) / share + (self.total[index] + 0.5) / share / labels
        };
        let mut best = Split::Train;
        for &part in Split::ALL {
            if filled(part) < filled(best) {
                best = part;
            }
        }
        best
    }
}

fn row_of(example: Example, split: Split) -> DatasetRow {
    DatasetRow {
        id: example.id,
        split,
        input: example.input.0,
        label: example.label,
        target: example.target.0,
        weight: example.weight,
        interaction_id: example.interaction_id,
        conversation_id: example.conversation_id,
    }
}

fn statistics_of(rows: &[DatasetRow]) -> DatasetStatistics {
    let mut statistics = DatasetStatistics::default();
    for row in rows {
        *statistics
            .by_split
            .entry(row.split.as_str().to_owned())
            .or_default() += 1;
        if let Some(label) = &row.label {
            *statistics.by_label.entry(label.clone()).or_default() += 1;
        }
        statistics.input_chars += row.input.chars().count();
    }
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
    let size = zstd::zstd_safe::get_frame_content_size(bytes)
        .ok()
        .flatten()
        .unwrap_or(0) as usize;
    let lines =
        zstd::bulk::decompress(bytes, size.min(MAX_DATASET_BYTES)).map_err(|error| unwritable(&error))?;
    lines
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).map_err(|error| unwritable(&error)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_domain::ExampleOrigin;
    use hone_storage::{OptionalText, StoredText};
    use proptest::prelude::*;

    fn example(number: u128, label: &str, conversation: Option<u128>, split: Option<&str>) -> Example {
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
        }
    }

    fn count(splits: &[Split], part: Split) -> usize {
        splits.iter().filter(|&&split| split == part).count()
    }

    #[test]
    fn shares_hold_within_each_label() {
        let usable: Vec<Example> = (0..300u128)
            .map(|number| example(number, ["a", "b", "c"][number as usize % 3], None, None))
            .collect();
        let splits = assign_splits(&usable, SplitShares::default());
        for label in 0..3 {
            let own: Vec<Split> = splits.iter().copied().skip(label).step_by(3).collect();
            assert!(
                (68..=72).contains(&count(&own, Split::Train)),
                "{}",
                count(&own, Split::Train)
            );
            assert!(
                (14..=16).contains(&count(&own, Split::Test)),
                "{}",
                count(&own, Split::Test)
            );
        }
    }

    #[test]
    fn few_examples_still_give_a_held_out_part() {
        let usable: Vec<Example> = (0..20u128)
            .map(|number| example(number, &format!("label{}", number % 10), None, None))
            .collect();
        assert!(count(&assign_splits(&usable, SplitShares::default()), Split::Test) >= 2);
    }

    proptest! {
        #[test]
        fn conversations_never_straddle_and_given_parts_stay(conversations in proptest::collection::vec(0u128..12, 1..80)) {
            let usable: Vec<Example> = conversations
                .iter()
                .zip(0u128..)
                .map(|(&conversation, number)| {
                    example(number + 100, ["a", "b"][number as usize % 2], Some(conversation), (conversation == 3).then_some("test"))
                })
                .collect();
            let splits = assign_splits(&usable, SplitShares::default());
            let mut seen: BTreeMap<u128, Split> = BTreeMap::new();
            for (&conversation, &split) in conversations.iter().zip(&splits) {
                prop_assert_eq!(*seen.entry(conversation).or_insert(split), split);
            }
            if let Some(&split) = seen.get(&3) {
                prop_assert_eq!(split, Split::Test);
            }
        }

        #[test]
        fn a_later_freeze_moves_nothing(first in 5usize..60, more in 1usize..60) {
            let mut usable: Vec<Example> = (0..first).map(|number| example(number as u128, "a", None, None)).collect();
            let before = assign_splits(&usable, SplitShares::default());
            for (example, split) in usable.iter_mut().zip(&before) {
                example.split = Some(split.as_str().to_owned());
            }
            usable.extend((0..more).map(|number| example((first + number) as u128, "a", None, None)));
            let after = assign_splits(&usable, SplitShares::default());
            prop_assert_eq!(&after[..first], &before[..]);
        }
    }

    #[test]
    fn rows_survive_writing_and_reading() {
        let rows = vec![row_of(example(1, "a", Some(2), None), Split::Test)];
        assert_eq!(decode_rows(&encode_rows(&rows).unwrap()).unwrap(), rows);
    }
}
