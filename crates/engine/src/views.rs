//! What pages and commands show of the loop: the learning curve of a task.

use hone_domain::{ProjectId, TaskId};
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

/// The evaluated runs of a task, oldest first.
pub async fn learning_curve(
    db: &Db,
    project: ProjectId,
    task: TaskId,
) -> Result<Vec<CurvePoint>, EngineError> {
    let mut conn = db.read().await?;
    let mut points = Vec::new();
    for run in runs::list(&mut conn, project, Some(task), None, MAX_POINTS).await? {
        let (Some(metrics), Some(decision), Some(at_us)) = (&run.metrics, &run.decision, run.finished_at_us)
        else {
            continue;
        };
        let Ok(decision) = serde_json::from_value::<Decision>(decision.0.clone()) else {
            continue;
        };
        points.push(CurvePoint {
            at_us,
            model_version_id: run.model_version_id,
            accuracy: metrics
                .0
                .get("accuracy")
                .and_then(serde_json::Value::as_f64)
                .unwrap_or_default(),
            macro_f1: decision.candidate_macro_f1,
            accepted: decision.accepted,
            held_out: decision.held_out,
        });
    }
    points.reverse();
    Ok(points)
}
