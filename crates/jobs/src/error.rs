//! How a job can end other than well.

use hone_storage::StorageError;

/// Why a job did not finish.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Worth trying again: a service was out of reach, a lock was held.
    #[error("{0}")]
    Transient(String),
    /// Trying again would give the same: the job ends dead, for a person to look at.
    #[error("{0}")]
    Permanent(String),
    /// Someone asked to stop it.
    #[error("cancelled")]
    Cancelled,
    /// Another worker has taken the job up; nothing of this attempt may be committed.
    #[error("the lease on this job was lost")]
    LeaseLost,
}

impl From<StorageError> for JobError {
    fn from(error: StorageError) -> Self {
        if error.is_transient() || error.is_unwritable() {
            Self::Transient(error.to_string())
        } else {
            Self::Permanent(error.to_string())
        }
    }
}
