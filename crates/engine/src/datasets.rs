//! What can be done with frozen datasets beside training on them: compare, tag, trace to interactions and models, back up and
//! restore, write as the dated snapshot files that other tools train on.

use std::collections::BTreeMap;

use hone_domain::{DatasetId, ProjectId, Split, format_rfc3339, require_name};
use hone_storage::datasets::{self, Dataset};
use hone_storage::tasks::Task;
use hone_storage::versions::{self, ModelVersion};
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::engine::run_blocking;
use crate::freeze::DatasetReader;
use crate::{DatasetRow, DatasetStatistics, Engine, EngineError};

/// Rows read at a time.
const PAGE: usize = 10_000;
/// Letters of a text that a comparison keeps.
const MAX_SHOWN_CHARS: usize = 200;
/// Changes that a comparison lists of each kind; all are counted.
const MAX_LISTED: usize = 100;
/// What a backup begins with.
const BACKUP_MAGIC: &str = "hone dataset 1";

/// What came, went and changed from one dataset to another.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct DatasetComparison {
    /// Examples that both have and that say the same.
    pub same: usize,
    /// Examples that came.
    pub added: usize,
    /// Examples that went.
    pub removed: usize,
    /// Examples whose label, answer or text changed.
    pub changed: usize,
    /// Examples whose part changed.
    pub moved: usize,
    /// Examples by label: before and after, where they differ.
    pub by_label: BTreeMap<String, (usize, usize)>,
    /// The first hundred of each kind of change.
    pub changes: Vec<DatasetChange>,
}

/// A difference between two datasets.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct DatasetChange {
    /// The example.
    pub id: Uuid,
    /// `added`, `removed`, `changed` or `moved`.
    pub what: &'static str,
    /// Its text.
    pub input: String,
    /// Its label, answer or part before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its label, answer or part after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Where a dataset came from and what was made of it.
#[derive(Debug, Clone)]
pub struct DatasetLineage {
    /// Examples that came from recorded interactions.
    pub from_interactions: usize,
    /// The conversations that these belong to.
    pub conversations: usize,
    /// Examples that came from files and calls.
    pub imported: usize,
    /// Versions that were trained on it.
    pub versions: Vec<ModelVersion>,
}

/// The first line of a backup.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct BackupHeader {
    format: String,
    id: Uuid,
    task: String,
    content_hash: String,
    example_count: i64,
    created_at: String,
    tags: Vec<String>,
}

/// What of a row is compared.
struct Seen {
    answer: String,
    split: Option<Split>,
    input: String,
}

/// The first letters of a text, for lists of changes.
fn beginning(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}

fn answer_of(row: &DatasetRow) -> String {
    let answer = row.label.as_ref().or(row.target.as_ref());
    answer.cloned().unwrap_or_default()
}

impl Engine {
    /// Says what came, went and changed from one dataset to another.
    pub async fn compare_datasets(
        &self,
        before: &Dataset,
        after: &Dataset,
    ) -> Result<DatasetComparison, EngineError> {
        let (old, new) = (
            self.artifacts.get(&before.content_hash).await?,
            self.artifacts.get(&after.content_hash).await?,
        );
        run_blocking(move || compare(DatasetReader::new(old)?, DatasetReader::new(new)?)).await?
    }

    /// Gives a dataset a tag.
    pub async fn tag_dataset(&self, dataset: &Dataset, tag: &str) -> Result<(), EngineError> {
        require_name("/tag", tag)?;
        let mut conn = self.db.begin().await?;
        datasets::add_tag(&mut conn, dataset, tag, self.ids.now_us()).await?;
        conn.commit().await?;
        Ok(())
    }

    /// Takes a tag off a dataset.
    pub async fn untag_dataset(&self, dataset: &Dataset, tag: &str) -> Result<(), EngineError> {
        let mut conn = self.db.begin().await?;
        if !datasets::remove_tag(&mut conn, dataset, tag).await? {
            return Err(EngineError::NotFound {
                noun: "tag",
                id: tag.to_owned(),
            });
        }
        conn.commit().await?;
        Ok(())
    }

    /// Traces a dataset to interactions and to the versions that were trained on it.
    pub async fn dataset_lineage(&self, dataset: &Dataset) -> Result<DatasetLineage, EngineError> {
        let bytes = self.artifacts.get(&dataset.content_hash).await?;
        let (from_interactions, conversations, imported) = run_blocking(move || {
            let mut reader = DatasetReader::new(bytes)?;
            let (mut from, mut imported) = (0, 0);
            let mut conversations = rustc_hash::FxHashSet::default();
            loop {
                let rows = reader.next_page(PAGE)?;
                if rows.is_empty() {
                    return Ok::<_, EngineError>((from, conversations.len(), imported));
                }
                for row in rows {
                    from += usize::from(row.interaction_id.is_some());
                    imported += usize::from(row.interaction_id.is_none());
                    conversations.extend(row.conversation_id);
                }
            }
        })
        .await??;
        let mut conn = self.db.read().await?;
        let versions = versions::list_of_dataset(&mut conn, dataset.id).await?;
        Ok(DatasetLineage {
            from_interactions,
            conversations,
            imported,
            versions,
        })
    }

    /// A dataset as one file, with its id and tags.
    pub async fn backup_dataset(&self, task: &Task, dataset: &Dataset) -> Result<Vec<u8>, EngineError> {
        let tags = datasets::list_tags(&mut self.db.read().await?, dataset.id).await?;
        let header = BackupHeader {
            format: BACKUP_MAGIC.to_owned(),
            id: dataset.id,
            task: task.name.clone(),
            content_hash: dataset.content_hash.clone(),
            example_count: dataset.example_count,
            created_at: format_rfc3339(dataset.created_at_us),
            tags,
        };
        let mut file =
            serde_json::to_vec(&header).map_err(|error| EngineError::Dataset(error.to_string()))?;
        file.push(b'\n');
        file.extend_from_slice(&self.artifacts.get(&dataset.content_hash).await?);
        Ok(file)
    }

    /// Brings a dataset back from a backup, under its id and tags; one that is there stays as it is.
    pub async fn restore_dataset(&self, task: &Task, file: Vec<u8>) -> Result<Dataset, EngineError> {
        let refuse = |detail: String| EngineError::field("/file", detail);
        let end = file.iter().position(|&byte| byte == b'\n');
        let header = end.and_then(|end| serde_json::from_slice::<BackupHeader>(&file[..end]).ok());
        let header = header.filter(|header| header.format == BACKUP_MAGIC);
        let (Some(header), Some(end)) = (header, end) else {
            return Err(refuse(
                "is no backup of a dataset; `hone datasets backup` writes one".to_owned(),
            ));
        };
        let bytes = file[end + 1..].to_vec();
        let actual = blake3::hash(&bytes).to_hex().to_string();
        if actual != header.content_hash {
            let detail = format!(
                "is damaged: its rows have the hash {actual} and not {}; take another backup",
                header.content_hash
            );
            return Err(refuse(detail));
        }
        let size_bytes = bytes.len() as i64;
        for tag in &header.tags {
            require_name("/file/tags", tag)?;
        }
        let (statistics, bytes) = run_blocking(move || statistics_of_bytes(bytes)).await??;
        let example_count = statistics.by_split.values().sum::<usize>() as i64;
        let content_hash = self.artifacts.put(bytes).await?;
        let dataset = Dataset {
            id: header.id,
            project_id: task.project_id,
            task_id: task.id,
            content_hash,
            size_bytes,
            example_count,
            statistics: serde_json::to_value(statistics)
                .map_err(|error| EngineError::Dataset(error.to_string()))?,
            created_at_us: hone_domain::parse_rfc3339(&header.created_at)
                .unwrap_or_else(|| self.ids.now_us()),
        };
        let mut conn = self.db.begin().await?;
        let there = datasets::find_anywhere(&mut conn, DatasetId(header.id)).await?;
        let is_other =
            |there: &Dataset| there.task_id != task.id || there.content_hash != dataset.content_hash;
        if there.as_ref().is_some_and(is_other) {
            return Err(EngineError::id_is_taken("dataset", header.id));
        }
        let stored = datasets::insert(&mut conn, &dataset).await?;
        for tag in &header.tags {
            datasets::add_tag(&mut conn, &stored, tag, self.ids.now_us()).await?;
        }
        conn.commit().await?;
        Ok(stored)
    }

    /// The dataset with this id or tag, the latest that has it; `latest` is the task's latest.
    pub async fn find_dataset(
        &self,
        project: ProjectId,
        task: Option<&Task>,
        name: &str,
    ) -> Result<Dataset, EngineError> {
        if let Ok(id) = name.parse::<Uuid>() {
            return self.get_dataset(project, DatasetId(id)).await;
        }
        let mut conn = self.db.read().await?;
        let task_id = task.map(Task::task_id);
        let found = if name == "latest" {
            datasets::list(&mut conn, project, task_id, None, None, 1)
                .await?
                .pop()
        } else {
            datasets::list(&mut conn, project, task_id, Some(name), None, 1)
                .await?
                .pop()
        };
        found.ok_or_else(|| EngineError::NotFound {
            noun: "dataset",
            id: name.to_owned(),
        })
    }
}

fn compare(mut old: DatasetReader, mut new: DatasetReader) -> Result<DatasetComparison, EngineError> {
    let mut comparison = DatasetComparison::default();
    let mut before: FxHashMap<Uuid, Seen> = FxHashMap::default();
    let mut labels: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    loop {
        let rows = old.next_page(PAGE)?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if let Some(label) = &row.label {
                labels.entry(label.clone()).or_default().0 += 1;
            }
            let seen = Seen {
                answer: answer_of(&row),
                split: row.split,
                input: beginning(&row.input),
            };
            before.insert(row.id, seen);
        }
    }
    loop {
        let rows = new.next_page(PAGE)?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if let Some(label) = &row.label {
                labels.entry(label.clone()).or_default().1 += 1;
            }
            let seen = before.remove(&row.id);
            comparison.note(&row, seen);
        }
    }
    let mut removed: Vec<(Uuid, Seen)> = before.into_iter().collect();
    removed.sort_by_key(|(id, _)| *id);
    comparison.removed = removed.len();
    for (id, seen) in removed.into_iter().take(MAX_LISTED) {
        comparison.changes.push(DatasetChange {
            id,
            what: "removed",
            input: seen.input,
            before: Some(seen.answer),
            after: None,
        });
    }
    labels.retain(|_, (before, after)| before != after);
    comparison.by_label = labels;
    Ok(comparison)
}

impl DatasetComparison {
    fn note(&mut self, row: &DatasetRow, seen: Option<Seen>) {
        let answer = answer_of(row);
        let part = |split: Option<Split>| split.map(|split| split.as_str().to_owned());
        let (count, what, before, after) = match seen {
            None => (&mut self.added, "added", None, Some(answer)),
            Some(seen) if seen.answer != answer => {
                (&mut self.changed, "changed", Some(seen.answer), Some(answer))
            }
            Some(seen) if seen.input != beginning(&row.input) => (
                &mut self.changed,
                "changed",
                Some(seen.input),
                Some(beginning(&row.input)),
            ),
            Some(seen) if seen.split != row.split => {
                (&mut self.moved, "moved", part(seen.split), part(row.split))
            }
            Some(_) => {
                self.same += 1;
                return;
            }
        };
        *count += 1;
        if *count <= MAX_LISTED {
            self.changes.push(DatasetChange {
                id: row.id,
                what,
                input: beginning(&row.input),
                before,
                after,
            });
        }
    }
}

fn statistics_of_bytes(bytes: Vec<u8>) -> Result<(DatasetStatistics, Vec<u8>), EngineError> {
    let mut reader = DatasetReader::new(bytes.clone().into())?;
    let mut statistics = DatasetStatistics::default();
    loop {
        let rows = reader.next_page(PAGE)?;
        if rows.is_empty() {
            statistics.finish();
            return Ok((statistics, bytes));
        }
        for row in &rows {
            statistics.add(row);
        }
    }
}
