//! What a local classifier in front of an expensive model has answered, passed on and saved, by version.

use hone_domain::{ModelVersionId, ProjectId, TaskId};

use crate::{Conn, StorageError};

statements! {
    ADD = "INSERT INTO cascades (model_version_id, task_id, project_id, answered, passed_on, shadowed, disagreed, saved_tokens, \
           saved_micro_usd, passed_tokens, passed_micro_usd) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
           ON CONFLICT (model_version_id) DO UPDATE SET answered = cascades.answered + excluded.answered, \
           passed_on = cascades.passed_on + excluded.passed_on, shadowed = cascades.shadowed + excluded.shadowed, \
           disagreed = cascades.disagreed + excluded.disagreed, \
           saved_tokens = cascades.saved_tokens + excluded.saved_tokens, \
           saved_micro_usd = cascades.saved_micro_usd + excluded.saved_micro_usd, \
           passed_tokens = cascades.passed_tokens + excluded.passed_tokens, \
           passed_micro_usd = cascades.passed_micro_usd + excluded.passed_micro_usd";
    FIND = "SELECT answered, passed_on, shadowed, disagreed, saved_tokens, saved_micro_usd, passed_tokens, \
            passed_micro_usd FROM cascades WHERE model_version_id = $1";
}

/// Counts of a version's cascade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, sqlx::FromRow)]
pub struct CascadeCounts {
    /// Requests that the local classifier answered alone.
    pub answered: i64,
    /// Requests that it passed on, because it was not sure enough.
    pub passed_on: i64,
    /// Requests that it was sure of and the model behind was asked for too.
    pub shadowed: i64,
    /// Of these, those where the two said different things.
    pub disagreed: i64,
    /// Tokens that the answered requests would have used.
    pub saved_tokens: i64,
    /// What they would have cost, in millionths of a USD.
    pub saved_micro_usd: i64,
    /// Tokens that the model behind used.
    pub passed_tokens: i64,
    /// What that cost, in millionths of a USD.
    pub passed_micro_usd: i64,
}

impl CascadeCounts {
    /// Adds others to them.
    pub fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.passed_on += other.passed_on;
        self.shadowed += other.shadowed;
        self.disagreed += other.disagreed;
        self.saved_tokens += other.saved_tokens;
        self.saved_micro_usd += other.saved_micro_usd;
        self.passed_tokens += other.passed_tokens;
        self.passed_micro_usd += other.passed_micro_usd;
    }
}

/// Adds to a version's counts.
pub async fn add(
    conn: &mut Conn,
    project: ProjectId,
    task: TaskId,
    version: ModelVersionId,
    counts: &CascadeCounts,
) -> Result<(), StorageError> {
    execute!(
        conn,
        ADD,
        version.0,
        task.0,
        project.0,
        counts.answered,
        counts.passed_on,
        counts.shadowed,
        counts.disagreed,
        counts.saved_tokens,
        counts.saved_micro_usd,
        counts.passed_tokens,
        counts.passed_micro_usd
    )?;
    Ok(())
}

/// A version's counts.
pub async fn get(conn: &mut Conn, version: ModelVersionId) -> Result<CascadeCounts, StorageError> {
    let found = rows!(fetch_optional, conn, CascadeCounts, FIND, version.0)?;
    Ok(found.unwrap_or_default())
}
