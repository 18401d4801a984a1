//! The artifact store: models and datasets as files named by the hash of their contents.
//!
//! A file appears under its name only when it is complete, and is checked against its name whenever it is read.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};

use crate::StorageError;

/// Where artifacts lie.
#[derive(Debug, Clone)]
pub struct ArtifactStore(Arc<dyn ObjectStore>);

impl ArtifactStore {
    /// Keeps artifacts in a folder, which is made when it is missing.
    pub fn in_folder(folder: &Path) -> Result<Self, StorageError> {
        std::fs::create_dir_all(folder)
            .map_err(|error| StorageError::Unwritable(format!("{}: {error}", folder.display())))?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(StorageError::ArtifactStore)?
            .with_fsync(true);
        Ok(Self(Arc::new(store)))
    }

    /// Stores bytes; gives their hash, which names them. Stored once however often it is called.
    pub async fn put(&self, bytes: impl Into<Bytes>) -> Result<String, StorageError> {
        let bytes = bytes.into();
        let hash = hash_of(&bytes);
        self.0
            .put(&location(&hash), PutPayload::from_bytes(bytes))
            .await
            .map_err(unwritable)?;
        Ok(hash)
    }

    /// Reads what is stored under this hash and checks it.
    pub async fn get(&self, hash: &str) -> Result<Bytes, StorageError> {
        let found = self.0.get(&location(hash)).await;
        let bytes = match found {
            Ok(found) => found.bytes().await.map_err(StorageError::ArtifactStore)?,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(StorageError::Missing {
                    noun: "artifact",
                    id: hash.to_owned(),
                });
            }
            Err(error) => return Err(StorageError::ArtifactStore(error)),
        };
        let actual = hash_of(&bytes);
        if actual == hash {
            Ok(bytes)
        } else {
            Err(StorageError::DamagedArtifact {
                hash: hash.to_owned(),
                actual,
            })
        }
    }
}

fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Two characters of the hash make a folder, so that no folder grows without bound.
fn location(hash: &str) -> object_store::path::Path {
    let (folder, _) = hash.split_at_checked(2).unwrap_or((hash, ""));
    object_store::path::Path::from_iter([folder, hash])
}

fn unwritable(error: object_store::Error) -> StorageError {
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return StorageError::Unwritable(io.to_string());
        }
        source = cause.source();
    }
    StorageError::ArtifactStore(error)
}
