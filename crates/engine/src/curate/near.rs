//! Finding the near-duplicates of a text among the usable examples of a task: those that share a band of its signature are
//! compared with it. The bands of all of them are held in memory while the task is curated, so that an example costs the same
//! however many there are; a process that begins reads them once, and later what others have added.

use std::sync::Arc;

use hone_domain::TaskId;
use hone_storage::examples::Example;
use hone_storage::{Conn, examples, progress};
use hone_text::{BandIndex, Signature};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::record::{band_bytes, bands_of_bytes, signatures};
use crate::{Engine, EngineError};

/// Texts with so much in common are one group, which never straddles the parts of a dataset.
pub(super) const GROUP_SIMILARITY: f64 = 0.8;
/// Examples read at a time.
const PAGE: i64 = 10_000;

/// An example with nearly the same text.
pub(super) struct Near {
    pub example: Example,
    /// The share of shingles that both have.
    pub similarity: f64,
}

/// The usable examples of a task by their bands. What is not usable any more is still in it: who finds it looks.
#[derive(Debug, Default)]
pub(crate) struct NearExamples {
    index: BandIndex,
    ids: Vec<Uuid>,
    /// Up to which place in the order of becoming usable it has read.
    read_up_to: i64,
    /// Whether it has examples that may never be committed.
    is_dirty: bool,
}

/// Shared by all that curate a task in this process.
pub(crate) type SharedNearExamples = Arc<Mutex<NearExamples>>;

impl NearExamples {
    /// Reads what has become usable since it was last read, up to `last`.
    pub async fn catch_up(&mut self, conn: &mut Conn, task: TaskId, last: i64) -> Result<(), EngineError> {
        if self.is_dirty || last < self.read_up_to {
            // What was added was not committed, as in a dry run, or this is a backup that was restored. Examples that do not exist
            // would hide those that do.
            *self = Self::default();
        }
        while self.read_up_to < last {
            let page = examples::list_near_after(conn, task, self.read_up_to, PAGE).await?;
            let Some((_, _, place)) = page.last() else {
                self.read_up_to = last;
                break;
            };
            self.read_up_to = *place;
            for (id, bands, _) in &page {
                self.add(*id, bands.as_deref().unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Notes that all up to this place has been added, by who is about to commit it.
    pub fn has_read_up_to(&mut self, place: i64) {
        self.read_up_to = place;
        self.is_dirty = false;
    }

    /// Notes an example that is about to be committed.
    pub fn add_uncommitted(&mut self, id: Uuid, bands: &[u8]) {
        self.is_dirty = true;
        self.add(id, bands);
    }

    fn add(&mut self, id: Uuid, bands: &[u8]) {
        self.index.insert(self.ids.len() as u32, &bands_of_bytes(bands));
        self.ids.push(id);
    }

    /// The usable examples that have at least this share of their shingles in common with a text, the most similar first;
    /// and the bands of the text.
    pub(super) async fn find(
        &self,
        conn: &mut Conn,
        task: Uuid,
        text: &str,
        own_id: Option<Uuid>,
        least: f64,
    ) -> Result<(Vec<Near>, Vec<u8>), EngineError> {
        let own = signatures(text);
        let bytes = band_bytes(&own);
        let mut near: Vec<Near> = Vec::new();
        for number in self.index.find(&bands_of_bytes(&bytes)) {
            let id = self.ids[number as usize];
            if Some(id) == own_id || near.iter().any(|near| near.example.id == id) {
                continue;
            }
            let found = examples::find(conn, id.into()).await?;
            let Some(example) = found.filter(|example| example.is_usable() && example.task_id == task) else {
                continue;
            };
            let similarity = similarity(&own, &signatures(&example.input.0));
            if similarity >= least {
                near.push(Near { example, similarity });
            }
        }
        near.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        Ok((near, bytes))
    }
}

/// The most that any two signatures of two texts have in common.
fn similarity(a: &[Signature], b: &[Signature]) -> f64 {
    let pairs = a.iter().flat_map(|a| b.iter().map(|b| a.similarity(b)));
    pairs.fold(0.0, f64::max)
}

impl Engine {
    /// Reads a task's examples before somebody takes the lock, under which only what has come since is left to read.
    pub(super) async fn warm_near_examples(&self, task: TaskId) -> Result<SharedNearExamples, EngineError> {
        let shared = self.near_indexes().get_with(task, SharedNearExamples::default);
        let mut conn = self.db.read().await?;
        let last = progress::get_near_seq(&mut conn, task).await?;
        shared.lock().await.catch_up(&mut conn, task, last).await?;
        Ok(shared)
    }
}
