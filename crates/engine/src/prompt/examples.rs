//! The nearest rated examples of a task: embedded once, kept in memory, looked up for each request.

use std::sync::Arc;
use std::time::Duration;

use hone_domain::{Split, TaskId};
use hone_learn::{Embedder, Lsa};
use hone_storage::examples;
use moka::future::Cache;

use crate::engine::run_blocking;
use crate::{Engine, EngineError};

/// Length of the vectors.
const DIMENSIONS: usize = 128;
/// Examples of a task that are looked at, the latest ones.
const MAX_EXAMPLES: usize = 5_000;
const PAGE: i64 = 500;
/// How long an index is used before new examples are looked for.
const INDEX_CACHE: Duration = Duration::from_secs(30);

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
                .time_to_live(INDEX_CACHE)
                .build(),
        )
    }
}

impl ExampleIndex {
    fn of(pairs: Vec<(String, String)>) -> Self {
        let inputs: Vec<&str> = pairs.iter().map(|(input, _)| input.as_str()).collect();
        let embedder = (!inputs.is_empty()).then(|| Lsa::fit(&inputs, DIMENSIONS, 1));
        let vectors = embedder.as_ref().map_or_else(Vec::new, |embedder| {
            inputs.iter().flat_map(|input| embedder.embed(input)).collect()
        });
        Self {
            embedder,
            pairs,
            vectors,
        }
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
    /// The task's examples nearest to a question, nearest first. New examples are found within half a minute.
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
        let building = self.build_example_index(task);
        let index = self.example_indexes().0.try_get_with(task, building).await;
        let index = index.map_err(|error: Arc<EngineError>| EngineError::Dataset(error.to_string()))?;
        Ok(index.nearest(question, k, min_similarity))
    }

    /// Forgets the examples that are kept in memory, so that new ones count at once.
    pub fn forget_examples(&self) {
        self.example_indexes().0.invalidate_all();
    }

    async fn build_example_index(&self, task: TaskId) -> Result<Arc<ExampleIndex>, EngineError> {
        let (mut pairs, mut before) = (Vec::new(), None);
        loop {
            let mut conn = self.db.read().await?;
            let page = examples::list(&mut conn, task, None, None, before, PAGE).await?;
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
        run_blocking(move || Arc::new(ExampleIndex::of(pairs))).await
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
        let index = ExampleIndex::of(owned.to_vec());
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
            ExampleIndex::of(Vec::new())
                .nearest("anything", 3, 0.0)
                .is_empty()
        );
    }
}
