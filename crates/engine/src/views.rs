//! What pages and commands show of the loop: the learning curve of a task.

use hone_domain::TaskId;
use hone_storage::{Db, runs};

use crate::{Decision, EngineError};

/// Runs shown on a learning curve.
const MAX_POINTS: i64 = 200;

/// One evaluated run of a task, oldest first.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct CurvePoint {
    /// When it was evaluated.
    pub at_us: i64,
    /// The version it registered.
    pub model_version_id: Option<uuid::Uuid>,
    /// Accuracy on the held-out rows.
    pub accuracy: f64,
    /// macro-F1 on the held-out rows.
    pub macro_f1: f64,
    /// Whether the gate accepted it.
    pub accepted: bool,
    /// Examples of its dataset that were held out.
    pub held_out: usize,
}

/// The evaluated runs of a task, oldest first; of a long history the latest.
pub async fn learning_curve(db: &Db, task: TaskId) -> Result<Vec<CurvePoint>, EngineError> {
    let decided = runs::list_decided(&mut db.read().await?, task, MAX_POINTS).await?;
    let points = decided.into_iter().rev().filter_map(|run| {
        let decision: Decision = serde_json::from_value(run.decision).ok()?;
        Some(CurvePoint {
            at_us: run.finished_at_us,
            model_version_id: run.model_version_id,
            accuracy: decision.candidate_accuracy,
            macro_f1: decision.candidate_macro_f1,
            accepted: decision.accepted,
            held_out: decision.held_out,
        })
    });
    Ok(points.collect())
}
