//! Ids: one type per noun, and `Ids`, which makes new ones (UUID v7) from the clock and entropy it was given.
//!
//! Ids of conversations and subjects are derived from the name that the client uses for them, so that recording an
//! interaction needs no look-up.

use std::sync::Arc;

use uuid::Uuid;

use crate::{Clock, Entropy};

macro_rules! id_types {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self { Self(id) }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self { id.0 }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> { text.parse().map(Self) }
        }
    )+};
}

id_types! {
    /// Names a project (a tenant).
    ProjectId,
    /// Names a task of a project.
    TaskId,
    /// Names an interaction.
    InteractionId,
    /// Names one piece of feedback.
    FeedbackId,
    /// Names a conversation.
    ConversationId,
    /// Names the pseudonym of a person.
    SubjectId,
    /// Names an example.
    ExampleId,
    /// Names a frozen dataset.
    DatasetId,
    /// Names a training run.
    RunId,
    /// Names an item of the review queue.
    ReviewId,
    /// Names a registered model version.
    ModelVersionId,
    /// Names one deployment decision.
    DeploymentId,
    /// Names a job.
    JobId,
}

impl ConversationId {
    /// Derives the id of the conversation that a client of this project calls `external_id`.
    pub fn derive(project: ProjectId, external_id: &str) -> Self {
        Self(derived_uuid(
            blake3::Hasher::new_derive_key("hone conversation id v1"),
            project,
            external_id,
        ))
    }
}

/// Derives the id of what a client of this project makes with an idempotency key: the same request gives the same id.
pub fn derive_repeatable_id<T: From<Uuid>>(project: ProjectId, noun: &str, key: &str) -> T {
    let hasher = blake3::Hasher::new_derive_key("hone idempotency key v1");
    T::from(derived_uuid(hasher, project, &format!("{noun}:{key}")))
}

/// Derives the key that what goes to a receiver is signed with, from the project's own key.
pub fn derive_signing_key(project_key: &[u8; 32], receiver: Uuid) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("hone signing key v1");
    hasher.update(project_key).update(receiver.as_bytes());
    *hasher.finalize().as_bytes()
}

impl SubjectId {
    /// Derives the pseudonym of the person that a client calls `user_id`; not reversible without the project's key.
    pub fn derive(project: ProjectId, pseudonym_key: &[u8; 32], user_id: &str) -> Self {
        Self(derived_uuid(
            blake3::Hasher::new_keyed(pseudonym_key),
            project,
            user_id,
        ))
    }
}

/// Takes the first 16 bytes of the hash as a UUID of version 8 (RFC 9562: vendor-specific contents).
fn derived_uuid(mut hasher: blake3::Hasher, project: ProjectId, name: &str) -> Uuid {
    hasher.update(project.0.as_bytes()).update(name.as_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Makes new ids from the clock and entropy it was given.
#[derive(Debug, Clone)]
pub struct Ids {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Ids {
    /// Stores the two sources.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy }
    }

    /// Makes a UUID v7 of the present moment, typed as the caller needs it.
    pub fn next<T: From<Uuid>>(&self) -> T {
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        let milliseconds = (self.clock.now_us().max(0) / 1_000) as u64;
        T::from(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
    }

    /// Fills a buffer with random bytes, for keys and seeds.
    pub fn fill(&self, buffer: &mut [u8]) {
        self.entropy.fill(buffer);
    }

    /// The present moment in microseconds since the epoch.
    pub fn now_us(&self) -> i64 {
        self.clock.now_us()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManualClock, SeededEntropy};

    #[test]
    fn ids_sort_by_time_and_differ() {
        let clock = Arc::new(ManualClock::at(1_768_719_600_000_000));
        let ids = Ids::new(clock.clone(), Arc::new(SeededEntropy::new(1)));
        let first: InteractionId = ids.next();
        clock.advance_us(1_000);
        let second: InteractionId = ids.next();
        assert!(first < second);
        assert_eq!(first.0.get_version_num(), 7);
    }

    #[test]
    fn derived_ids_depend_on_project_and_name() {
        let (a, b) = (ProjectId(Uuid::from_u128(1)), ProjectId(Uuid::from_u128(2)));
        assert_eq!(
            ConversationId::derive(a, "chat-1"),
            ConversationId::derive(a, "chat-1")
        );
        assert_ne!(
            ConversationId::derive(a, "chat-1"),
            ConversationId::derive(b, "chat-1")
        );
        assert_ne!(
            SubjectId::derive(a, &[1; 32], "ann"),
            SubjectId::derive(a, &[2; 32], "ann")
        );
    }
}
