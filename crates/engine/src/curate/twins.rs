//! Finding the near-duplicates of a text among the usable examples of a task: those that share a band of its signature are
//! compared with it. Costs the same however many examples there are.

use hone_storage::example_bands::BANDS;
use hone_storage::examples::Example;
use hone_storage::{Conn, StorageError, example_bands};
use hone_text::{SIGNATURE_BANDS, Signature};
use uuid::Uuid;

use crate::record::signatures;

/// Texts with so much in common are one group, which never straddles the parts of a dataset.
pub(super) const GROUP_SIMILARITY: f64 = 0.8;

const _: () = assert!(
    BANDS == SIGNATURE_BANDS,
    "a signature's bands are the columns of the statement"
);

/// An example with nearly the same text.
pub(super) struct Near {
    pub example: Example,
    /// The share of shingles that both have.
    pub similarity: f64,
}

/// The usable examples that have at least this share of their shingles in common with a text, the most similar first.
pub(super) async fn find_near(
    conn: &mut Conn,
    task: Uuid,
    text: &str,
    own_id: Option<Uuid>,
    least: f64,
) -> Result<Vec<Near>, StorageError> {
    let own = signatures(text);
    let mut near: Vec<Near> = Vec::new();
    for keys in keys_of(task, &own) {
        for example in example_bands::list_usable(conn, &keys).await? {
            let is_known =
                Some(example.id) == own_id || near.iter().any(|near| near.example.id == example.id);
            if is_known || example.task_id != task {
                continue;
            }
            let similarity = similarity(&own, &signatures(&example.input.0));
            if similarity >= least {
                near.push(Near { example, similarity });
            }
        }
    }
    near.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    Ok(near)
}

/// The most that any two signatures of two texts have in common.
fn similarity(a: &[Signature], b: &[Signature]) -> f64 {
    let pairs = a.iter().flat_map(|a| b.iter().map(|b| a.similarity(b)));
    pairs.fold(0.0, f64::max)
}

/// The keys of each signature's bands within a task.
pub(super) fn keys_of(task: Uuid, signatures: &[Signature]) -> Vec<[i64; BANDS]> {
    let (high, low) = task.as_u64_pair();
    let of_task = high.rotate_left(32) ^ low;
    let key = |band: u64| (band ^ of_task).cast_signed();
    signatures
        .iter()
        .map(|signature| signature.bands().map(key))
        .collect()
}
