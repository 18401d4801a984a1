//! The requests that discovery looks at, with what became of each.

use hone_domain::{FeedbackKind, InteractionStatus, Split, SubjectId, format_rfc3339};
use hone_learn::{Lsa, Scratch};
use hone_storage::feedback::Feedback;
use hone_storage::interactions::{self, Filter, Interaction};
use hone_storage::tasks::Task;
use hone_storage::{conversations, datasets, feedback};
use uuid::Uuid;

use crate::engine::run_blocking;
use crate::{Engine, EngineError};

/// The latest requests that are looked at.
const MAX_REQUESTS: usize = 20_000;
const PAGE: i64 = 500;
/// Letters of a text that are looked at.
const MAX_CHARS: usize = 1_000;
const DIMENSIONS: usize = 64;
/// Of what is known, this share lies below the margin under which a request belongs to no label.
const OUTSIDE_SHARE: f64 = 0.05;
/// Fewer held-out rows say nothing of such a small share.
const FEWEST_HELD_OUT: usize = 40;

/// A request with what became of it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub id: Uuid,
    pub input: String,
    pub label: Option<String>,
    pub at_us: i64,
    pub is_ok: bool,
    pub error: Option<String>,
    /// What the last word of a person or a program on it says: right or wrong.
    pub verdict: Option<bool>,
    /// The right label, where somebody gave another one.
    pub corrected: Option<String>,
}

/// Requests in the order of their time, with a vector each.
#[derive(Debug)]
pub(super) struct Sample {
    pub requests: Vec<Request>,
    /// One row of `dimensions` for each request, of length 1 or 0.
    pub vectors: Vec<f32>,
    pub dimensions: usize,
}

impl Sample {
    pub fn time_of_first(&self) -> Option<String> {
        self.requests.first().map(|request| format_rfc3339(request.at_us))
    }

    pub fn time_of_last(&self) -> Option<String> {
        self.requests.last().map(|request| format_rfc3339(request.at_us))
    }

    /// Some of the requests with their vectors.
    pub fn part(&self, places: &[usize]) -> Self {
        let row = |place: &usize| &self.vectors[place * self.dimensions..(place + 1) * self.dimensions];
        Self {
            requests: places.iter().map(|&place| self.requests[place].clone()).collect(),
            vectors: places.iter().flat_map(row).copied().collect(),
            dimensions: self.dimensions,
        }
    }
}

impl Engine {
    pub(super) async fn sample_requests(&self, task: &Task, since_us: i64) -> Result<Sample, EngineError> {
        let filter = Filter {
            task: Some(task.id),
            ..Filter::default()
        };
        let (mut requests, mut before) = (Vec::new(), None);
        let mut conn = self.db.read().await?;
        'pages: while requests.len() < MAX_REQUESTS {
            let page = interactions::list(&mut conn, task.project(), &filter, before, PAGE).await?;
            let Some(last) = page.last() else { break };
            before = Some(last.id.into());
            for interaction in page {
                if interaction.created_at_us < since_us {
                    break 'pages;
                }
                if interaction.is_reference || interaction.input.0.trim().is_empty() {
                    continue;
                }
                if let Some(subject) = interaction.subject_id
                    && conversations::is_opted_out(&mut conn, SubjectId(subject)).await?
                {
                    continue;
                }
                let id = interaction.id.into();
                let said = feedback::list_of_interaction(&mut conn, task.project(), id).await?;
                requests.push(request_of(interaction, &said));
            }
        }
        drop(conn);
        requests.reverse();
        run_blocking(move || {
            let texts: Vec<&str> = requests.iter().map(|request| request.input.as_str()).collect();
            let (vectors, dimensions) = vectors_of(&texts);
            Sample {
                requests,
                vectors,
                dimensions,
            }
        })
        .await
    }

    /// The margin below which a request belongs to no label: that of the least sure twentieth of the held-out rows. `None` while
    /// there are too few to tell.
    pub(super) async fn least_margin(&self, task: &Task) -> Result<Option<f32>, EngineError> {
        let Ok(served) = self.served(task) else {
            return Ok(None);
        };
        let mut conn = self.db.read().await?;
        let latest = datasets::list(&mut conn, task.project(), Some(task.task_id()), None, None, 1).await?;
        drop(conn);
        let Some(dataset) = latest.first() else {
            return Ok(None);
        };
        let rows = self.load_rows(dataset).await?;
        run_blocking(move || {
            let classifier = served.model.classifier()?;
            let mut scratch = Scratch::default();
            let mut margins: Vec<f32> = rows
                .iter()
                .filter(|row| row.split == Some(Split::Test))
                .map(|row| classifier.predict(&row.input, 1, &mut scratch).margin)
                .collect();
            if margins.len() < FEWEST_HELD_OUT {
                return None;
            }
            margins.sort_unstable_by(f32::total_cmp);
            margins
                .get((margins.len() as f64 * OUTSIDE_SHARE) as usize)
                .copied()
        })
        .await
    }
}

fn request_of(interaction: Interaction, said: &[Feedback]) -> Request {
    let mut verdict = None;
    let mut corrected = None;
    for row in said {
        match (row.kind, row.value) {
            (FeedbackKind::Thumb, Some(value)) => verdict = Some(value > 0.5),
            // In between nothing is said of right and wrong.
            (FeedbackKind::Rating, Some(value)) if value >= 4.0 => verdict = Some(true),
            (FeedbackKind::Rating, Some(value)) if value <= 2.0 => verdict = Some(false),
            (FeedbackKind::Correction, _) => {
                verdict = if row.text.0.is_some() {
                    Some(false)
                } else {
                    row.is_mismatch.map(|is_mismatch| !is_mismatch)
                };
                corrected = row.label.clone().filter(|_| row.is_mismatch != Some(false));
            }
            _ => {}
        }
    }
    Request {
        id: interaction.id,
        input: interaction.input.0.chars().take(MAX_CHARS).collect(),
        label: interaction.label,
        at_us: interaction.created_at_us,
        is_ok: interaction.status != InteractionStatus::Error,
        error: interaction.error,
        verdict,
        corrected,
    }
}

fn vectors_of(texts: &[&str]) -> (Vec<f32>, usize) {
    use hone_learn::Embedder as _;
    if texts.is_empty() {
        return (Vec::new(), DIMENSIONS);
    }
    let embedder = Lsa::fit(texts, DIMENSIONS, 1);
    let rows: Vec<Vec<f32>> = texts.iter().map(|text| embedder.embed(text)).collect();
    let dimensions = rows.first().map_or(DIMENSIONS, Vec::len).max(1);
    (rows.concat(), dimensions)
}
