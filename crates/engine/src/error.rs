//! Why the engine refuses or fails.

use std::sync::Arc;

use hone_domain::{FieldError, IllegalTransition, InvalidInput};
use hone_jobs::JobError;
use hone_learn::{ArtifactError, TrainError};
use hone_storage::StorageError;

/// A refusal or failure of the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Input that cannot be taken.
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
    /// Something that is asked for does not exist.
    #[error("{noun} \"{id}\" does not exist")]
    NotFound {
        /// The noun.
        noun: &'static str,
        /// Its id or name as given.
        id: String,
    },
    /// What is asked for contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// The recorder's queue is full; nothing of the request was taken.
    #[error("the write queue is full; send the request again in {retry_after_s} second(s)")]
    Full {
        /// When to try again.
        retry_after_s: u64,
    },
    /// The task has no version that could answer.
    #[error("task \"{0}\" has no model yet; import or record examples and train it")]
    NoModel(String),
    /// The process is shutting down.
    #[error("the server is shutting down; send the request again")]
    ShuttingDown,
    /// The database failed while records were written; nothing of the request was stored.
    #[error("the records were not stored: {0}")]
    NotRecorded(Arc<StorageError>),
    /// The database or the artifact store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// An artifact cannot be used.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A frozen dataset cannot be written or read.
    #[error("the dataset cannot be written or read: {0}")]
    Dataset(String),
    /// A file that is read breaks off.
    #[error("the file cannot be read: {0}")]
    File(#[source] std::io::Error),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The job that the work belongs to cannot go on.
    #[error(transparent)]
    Job(#[from] JobError),
}

impl EngineError {
    /// Refuses an id, or the key it was derived from, that was given to something else before.
    pub(crate) fn id_is_taken(noun: &str, id: impl std::fmt::Display) -> Self {
        Self::Conflict(format!(
            "{noun} {id} was made by another request; send another id or Idempotency-Key"
        ))
    }

    /// Refuses because of one field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(InvalidInput(vec![FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        }]))
    }
}

impl From<IllegalTransition> for EngineError {
    fn from(error: IllegalTransition) -> Self {
        Self::Conflict(error.to_string())
    }
}

impl From<EngineError> for JobError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Job(error) => error,
            EngineError::Storage(error) => error.into(),
            EngineError::Train(TrainError::Cancelled) => Self::Cancelled,
            EngineError::Full { .. } | EngineError::ShuttingDown | EngineError::NotRecorded(_) => {
                Self::Transient(error.to_string())
            }
            other => Self::Permanent(other.to_string()),
        }
    }
}
