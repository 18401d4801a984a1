//! The nearest rated examples of a task: embedded once, kept in memory, looked up for each request. Examples that changed
//! are embedded beside the requests, which meanwhile use what was known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use hone_domain::{Split, TaskId};
use hone_learn::{Embedder, Lsa};
use hone_storage::examples::{self, Filter};
use moka::future::Cache;

use crate::engine::run_blocking;
use crate::{Engine, EngineError};

/// Length of the vectors.
const DIMENSIONS: usize = 128;
/// Examples of a task that are looked at, the latest ones.
const MAX_EXAMPLES: usize = 5_000;
const PAGE: i64 = 500;
/// How long an index is used before changed examples are looked for, beside the requests.
const INDEX_AGE_US: i64 = 30_000_000;
/// An older one is used no more: requests wait for the renewed one.
const MAX_INDEX_AGE_US: i64 = 2 * INDEX_AGE_US;
/// An index that nobody has used for so long is forgotten.
const INDEX_UNUSED: Duration = Duration::from_hours(1);
/// A longer question is embedded beside the async threads.
const INLINE_BYTES: usize = 16 << 10;

/// An example near a question.
#[derive(Debug, Clone, PartialEq)]
pub struct NearExample {
    /// What was asked.
    pub input: String,
    /// The answer that was rated well.
    pub target: String,
    /// Cosine of the two questions.
    pub similarity: f64,
}

/// Examples of one task with their vectors.
#[derive(Debug)]
struct ExampleIndex {
    /// When the examples were last read and were these.
    confirmed_at_us: AtomicI64,
    is_being_renewed: AtomicBool,
    embedder: Option<Lsa>,
    /// Input and target.
    pairs: Vec<(String, String)>,
    /// Shape (pairs, dimensions), row by row.
    vectors: Vec<f32>,
}

/// The indexes that are in use.
#[derive(Debug, Clone)]
pub(crate) struct ExampleIndexes(Cache<TaskId, Arc<ExampleIndex>>);

impl Default for ExampleIndexes {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(200)
                .time_to_idle(INDEX_UNUSED)
                .build(),
        )
    }
}

impl ExampleIndex {
    fn of(pairs: Vec<(String, String)>, now_us: i64) -> Self {
        let inputs: Vec<&str> = pairs.iter().map(|(input, _)| input.as_str()).collect();
        let embedder = (!inputs.is_empty()).then(|| Lsa::fit(&inputs, DIMENSIONS, 1));
        let vectors = embedder.as_ref().map_or_else(Vec::new, |embedder| {
            inputs.iter().flat_map(|input| embedder.embed(input)).collect()
        });
        Self {
            confirmed_at_us: AtomicI64::new(now_us),
            is_being_renewed: AtomicBool::new(false),
            embedder,
            pairs,
            vectors,
        }
    }

    fn age_us(&self, now_us: i64) -> i64 {
        now_us - self.confirmed_at_us.load(Ordering::Relaxed)
    }

    /// The `k` nearest, nearest first. The question itself is no example of how to answer it.
    fn nearest(&self, question: &str, k: usize, min_similarity: f64) -> Vec<NearExample> {
        let Some(embedder) = &self.embedder else {
            return Vec::new();
        };
        let asked = embedder.embed(question);
        let mut found: Vec<(f64, usize)> = self
            .vectors
            .chunks_exact(embedder.dimensions().max(1))
            .map(|vector| vector.iter().zip(&asked).map(|(a, b)| f64::from(a * b)).sum())
            .enumerate()
            .filter(|&(_, similarity): &(usize, f64)| similarity >= min_similarity && similarity > 0.0)
            .map(|(number, similarity)| (similarity, number))
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let example = |(similarity, number): (f64, usize)| {
            let (input, target) = self.pairs[number].clone();
            NearExample {
                input,
                target,
                similarity,
            }
        };
        let others = found
            .into_iter()
            .filter(|&(_, number)| !is_same(&self.pairs[number].0, question));
        others.take(k).map(example).collect()
    }
}

fn is_same(a: &str, b: &str) -> bool {
    hone_text::normalise(a) == hone_text::normalise(b)
}

impl Engine {
    /// The task's examples nearest to a question, nearest first. Changed examples are looked for each half a minute.
    pub async fn nearest_examples(
        &self,
        task: TaskId,
        question: &str,
        k: usize,
        min_similarity: f64,
    ) -> Result<Vec<NearExample>, EngineError> {
        if k == 0 {
            return Ok(Vec::new());
        }
        let indexes = &self.example_indexes().0;
        let now_us = self.ids.now_us();
        if let Some(index) = indexes.get(&task).await
            && index.age_us(now_us) >= MAX_INDEX_AGE_US
        {
            indexes.invalidate(&task).await;
        }
        let building = async { self.index_of(self.example_pairs(task).await?).await };
        let index = indexes.try_get_with(task, building).await;
        let index = index.map_err(|error: Arc<EngineError>| EngineError::Dataset(error.to_string()))?;
        if index.age_us(now_us) >= INDEX_AGE_US && !index.is_being_renewed.swap(true, Ordering::Relaxed) {
            self.renew_example_index(task, index.clone());
        }
        if question.len() <= INLINE_BYTES {
            return Ok(index.nearest(question, k, min_similarity));
        }
        let question = question.to_owned();
        run_blocking(move || index.nearest(&question, k, min_similarity)).await
    }

    /// Replaces an index beside the requests if the examples have changed.
    fn renew_example_index(&self, task: TaskId, known: Arc<ExampleIndex>) {
        let engine = self.clone();
        self.tracker().spawn(async move {
            let renewed = async {
                let (now_us, pairs) = (engine.ids.now_us(), engine.example_pairs(task).await?);
                if pairs == known.pairs {
                    known.confirmed_at_us.store(now_us, Ordering::Relaxed);
                } else {
                    let index = engine.index_of(pairs).await?;
                    engine.example_indexes().0.insert(task, index).await;
                }
                Ok::<(), EngineError>(())
            };
            if let Err(error) = renewed.await {
                tracing::warn!(%task, %error, "changed examples cannot be looked for");
            }
            known.is_being_renewed.store(false, Ordering::Relaxed);
        });
    }

    /// Inputs and targets of the examples that may be shown, the latest first.
    async fn example_pairs(&self, task: TaskId) -> Result<Vec<(String, String)>, EngineError> {
        let (mut pairs, mut before) = (Vec::new(), None);
        loop {
            let mut conn = self.db.read().await?;
            let page = examples::list(&mut conn, task, &Filter::default(), before, PAGE).await?;
            drop(conn);
            before = page.last().map(|example| example.id);
            let is_last = page.len() < PAGE as usize;
            // What is held out stays so, or versions would be compared on what they were shown.
            let usable = page.into_iter().filter(|example| {
                example.is_usable() && example.split.as_deref() != Some(Split::Test.as_str())
            });
            pairs.extend(usable.filter_map(|example| Some((example.input.0, example.target.0?))));
            if is_last || pairs.len() >= MAX_EXAMPLES {
                break;
            }
        }
        pairs.truncate(MAX_EXAMPLES);
        Ok(pairs)
    }

    async fn index_of(&self, pairs: Vec<(String, String)>) -> Result<Arc<ExampleIndex>, EngineError> {
        let now_us = self.ids.now_us();
        run_blocking(move || Arc::new(ExampleIndex::of(pairs, now_us))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_examples_come_first_and_unlike_ones_not_at_all() {
        let pairs = [
            ("where is my parcel", "on its way"),
            ("my parcel is late", "sorry"),
            ("refund my money", "done"),
            ("i want a refund", "of course"),
        ];
        let owned = pairs.map(|(input, target)| (input.to_owned(), target.to_owned()));
        let index = ExampleIndex::of(owned.to_vec(), 0);
        let found = index.nearest("the parcel is late again", 3, 0.2);
        assert_eq!(found[0].target, "sorry");
        assert!(
            found
                .iter()
                .all(|example| example.similarity >= 0.2 && example.input.contains("parcel"))
        );
        assert!(
            index
                .nearest("My parcel is late!", 1, 0.2)
                .iter()
                .all(|example| example.target != "sorry")
        );
        assert!(
            ExampleIndex::of(Vec::new(), 0)
                .nearest("anything", 3, 0.0)
                .is_empty()
        );
    }
}
