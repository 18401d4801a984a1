//! The requests that are compared: the latest before a moment, or since.

use hone_domain::{InteractionStatus, SubjectId};
use hone_storage::interactions::{self, Interaction};
use hone_storage::tasks::Task;
use hone_storage::{conversations, feedback};

use crate::effects::judgement;
use crate::{Engine, EngineError};

/// Requests on either side.
const MOST: usize = 2_000;
const PAGE: i64 = 500;
/// Letters of a text that are looked at.
const MAX_CHARS: usize = 1_000;

/// Requests in the order of their time.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub texts: Vec<String>,
    pub labels: Vec<String>,
    pub confidences: Vec<f64>,
    pub latencies_us: Vec<f64>,
    pub costs: Vec<f64>,
    /// Whether answers were right, of those that somebody judged.
    pub judged: Vec<bool>,
}

impl Sample {
    pub fn len(&self) -> usize {
        self.texts.len()
    }
}

impl Engine {
    /// The latest requests before a moment and, where one is given, not before another.
    pub(super) async fn drift_sample(
        &self,
        task: &Task,
        from_us: Option<i64>,
        before_us: i64,
    ) -> Result<Sample, EngineError> {
        let mut conn = self.db.read().await?;
        let (mut rows, mut place): (Vec<Interaction>, _) = (Vec::new(), (before_us, uuid::Uuid::nil()));
        while rows.len() < MOST {
            let page = interactions::list_before(&mut conn, task.task_id(), place, PAGE).await?;
            let Some(last) = page.last() else { break };
            place = (last.created_at_us, last.id);
            let is_over = from_us.is_some_and(|from_us| last.created_at_us < from_us);
            for row in page {
                let is_within = from_us.is_none_or(|from_us| row.created_at_us >= from_us);
                if !is_within || row.is_reference || row.input.0.trim().is_empty() {
                    continue;
                }
                if let Some(subject) = row.subject_id
                    && conversations::is_opted_out(&mut conn, SubjectId(subject)).await?
                {
                    continue;
                }
                rows.push(row);
            }
            if is_over {
                break;
            }
        }
        rows.truncate(MOST);
        let mut sample = Sample::default();
        for row in rows.into_iter().rev() {
            let said = feedback::list_of_interaction(&mut conn, task.project(), row.id.into()).await?;
            sample
                .judged
                .extend(said.iter().filter_map(|row| judgement(row, row.is_mismatch)));
            let is_ok = row.status != InteractionStatus::Error;
            sample.labels.extend(row.label);
            sample.confidences.extend(row.confidence);
            sample
                .latencies_us
                .extend(row.latency_us.filter(|_| is_ok).map(|us| us as f64));
            sample
                .costs
                .extend(row.cost_micro_usd.filter(|_| is_ok).map(|cost| cost as f64));
            sample.texts.push(row.input.0.chars().take(MAX_CHARS).collect());
        }
        Ok(sample)
    }
}
