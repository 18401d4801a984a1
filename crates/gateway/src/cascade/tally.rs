//! Counts of cascades: summed up in memory, added to the database a few times a second, so that no request waits for them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hone_domain::{ModelVersionId, ProjectId, TaskId};
use hone_storage::cascades::{self, CascadeCounts};
use hone_storage::{Db, StorageError};

/// A version that counts are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Counted {
    pub version: ModelVersionId,
    pub task: TaskId,
    pub project: ProjectId,
}

/// What the tasks' cascades did.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pending: Mutex<HashMap<Counted, CascadeCounts>>,
    /// What the database said last, with what was counted here since.
    known: Mutex<HashMap<ModelVersionId, CascadeCounts>>,
    /// Held while counts are on their way to the database, where they are in neither.
    writing: tokio::sync::Mutex<()>,
}

impl Tally {
    /// Adds to a version's counts.
    pub fn add(&self, counted: Counted, counts: &CascadeCounts) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.entry(counted).or_default().add(counts);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(counted.version).or_default().add(counts);
    }

    /// What is known of a version without asking the database.
    pub fn known(&self, version: ModelVersionId) -> Option<CascadeCounts> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&version).copied()
    }

    /// Reads what all servers have counted for a version by now.
    pub async fn total(&self, db: &Db, version: ModelVersionId) -> Result<CascadeCounts, StorageError> {
        let _writing = self.writing.lock().await;
        self.read(db, version).await
    }

    /// The same for a request, which does not wait while counts are being written.
    pub async fn total_unless_busy(
        &self,
        db: &Db,
        version: ModelVersionId,
    ) -> Result<Option<CascadeCounts>, StorageError> {
        let Ok(_writing) = self.writing.try_lock() else {
            return Ok(None);
        };
        self.read(db, version).await.map(Some)
    }

    /// What the database says, and what is on the way to it. Called while nothing is being written.
    async fn read(&self, db: &Db, version: ModelVersionId) -> Result<CascadeCounts, StorageError> {
        let mut counts = cascades::get(&mut db.read().await?, version).await?;
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for (counted, more) in pending.iter() {
            if counted.version == version {
                counts.add(more);
            }
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(version, counts);
        Ok(counts)
    }

    /// Adds what is pending to the database; what cannot be added stays pending.
    pub async fn flush(&self, db: &Db) -> Result<(), StorageError> {
        let _writing = self.writing.lock().await;
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.is_empty() {
            return Ok(());
        }
        let written = write(db, &pending).await;
        if written.is_err() {
            let mut now = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            for (counted, counts) in pending {
                now.entry(counted).or_default().add(&counts);
            }
        }
        written
    }
}

async fn write(db: &Db, pending: &HashMap<Counted, CascadeCounts>) -> Result<(), StorageError> {
    // In order, so that two servers lock the same rows in the same order.
    let mut all: Vec<&Counted> = pending.keys().collect();
    all.sort_unstable();
    let mut conn = db.begin().await?;
    for counted in all {
        let Counted {
            version,
            task,
            project,
        } = *counted;
        cascades::add(&mut conn, project, task, version, &pending[counted]).await?;
    }
    conn.commit().await
}
