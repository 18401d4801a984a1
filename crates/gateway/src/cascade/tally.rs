//! Counts of cascades: summed up in memory, added to the database a few times a second, so that no request waits for them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hone_domain::{ProjectId, TaskId};
use hone_storage::cascades::{self, CascadeCounts};
use hone_storage::{Db, StorageError};

/// What the tasks' cascades did.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pending: Mutex<HashMap<TaskId, (ProjectId, CascadeCounts)>>,
    /// What the database said last, by task: enough for the mean of what a passed request uses.
    known: Mutex<HashMap<TaskId, CascadeCounts>>,
}

impl Tally {
    /// Adds to a task's counts.
    pub fn add(&self, project: ProjectId, task: TaskId, counts: &CascadeCounts) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, sum) = pending
            .entry(task)
            .or_insert_with(|| (project, CascadeCounts::default()));
        sum.add(counts);
        drop(pending);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(task).or_default().add(counts);
    }

    /// Tokens and millionths of a USD that a request to the model behind uses on average; `None` before the first.
    pub fn mean_of_passed(&self, task: TaskId) -> Option<(i64, i64)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = known.get(&task)?;
        let passed = counts.passed_on + counts.shadowed;
        (passed > 0).then(|| (counts.passed_tokens / passed, counts.passed_micro_usd / passed))
    }

    /// Whether the task's earlier counts have to be read first.
    pub fn is_unknown(&self, task: TaskId) -> bool {
        !self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(&task)
    }

    /// Reads what all servers have counted for a task by now.
    pub async fn total(&self, db: &Db, task: TaskId) -> Result<CascadeCounts, StorageError> {
        let counts = cascades::get(&mut db.read().await?, task).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(task, counts);
        Ok(counts)
    }

    /// Adds what is pending to the database; what cannot be added stays pending.
    pub async fn flush(&self, db: &Db) -> Result<(), StorageError> {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.is_empty() {
            return Ok(());
        }
        let written = write(db, &pending).await;
        if written.is_err() {
            let mut now = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            for (task, (project, counts)) in pending {
                now.entry(task)
                    .or_insert_with(|| (project, CascadeCounts::default()))
                    .1
                    .add(&counts);
            }
        }
        written
    }
}

async fn write(db: &Db, pending: &HashMap<TaskId, (ProjectId, CascadeCounts)>) -> Result<(), StorageError> {
    // In order, so that two servers lock the same rows in the same order.
    let mut tasks: Vec<&TaskId> = pending.keys().collect();
    tasks.sort_unstable();
    let mut conn = db.begin().await?;
    for task in tasks {
        let (project, counts) = &pending[task];
        cascades::add(&mut conn, *project, *task, counts).await?;
    }
    conn.commit().await
}
