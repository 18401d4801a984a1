//! How far a task is from its next training, by what people have said so far.

use hone_domain::{Dimension, Grain, Measure, ReadinessLevel, TrainingTrigger};
use hone_storage::rollups::{self, Stretch};
use hone_storage::tasks::Task;
use hone_storage::{Conn, progress};

use crate::triggers::due_trigger;
use crate::{Engine, EngineError};

/// How far a task is from its next training.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Readiness {
    /// Whether there is enough feedback.
    pub level: ReadinessLevel,
    /// All feedback.
    pub feedback: i64,
    /// Feedback in and after the hour of the last training.
    pub new_feedback: i64,
    /// Feedback that is missing: to be ready, or to make another training worth while.
    pub needed: i64,
    /// Whether there is enough feedback, and enough of it is new.
    pub is_worth_while: bool,
    /// Examples that a training may use.
    pub usable_examples: i64,
    /// Of those, new since the last training.
    pub new_examples: i64,
    /// The trigger that holds now, by which a training starts by itself.
    pub due: Option<TrainingTrigger>,
}

impl Engine {
    /// How far a task is from its next training.
    pub async fn readiness(&self, task: &Task) -> Result<Readiness, EngineError> {
        let mut conn = self.db.read().await?;
        self.readiness_in(&mut conn, task).await
    }

    pub(super) async fn readiness_in(&self, conn: &mut Conn, task: &Task) -> Result<Readiness, EngineError> {
        let counted = progress::get(conn, task.task_id()).await?;
        let feedback = feedback_in(conn, &Stretch::ever(task.task_id())).await?;
        let new_feedback = match counted.last_trained_at_us {
            Some(trained_at_us) => {
                let since_us = Grain::Hour.start_us(trained_at_us);
                feedback_in(conn, &Stretch::hours_since(task.task_id(), since_us)).await?
            }
            None => feedback,
        };
        let policy = &task.policy.observing;
        let level = if feedback >= policy.optimal_feedback {
            ReadinessLevel::Optimal
        } else if feedback >= policy.ready_feedback {
            ReadinessLevel::Ready
        } else {
            ReadinessLevel::NotReady
        };
        let is_new_enough = counted.last_trained_at_us.is_none() || new_feedback >= policy.new_feedback;
        let missing_new = if is_new_enough {
            0
        } else {
            policy.new_feedback - new_feedback
        };
        Ok(Readiness {
            level,
            feedback,
            new_feedback,
            needed: (policy.ready_feedback - feedback).max(missing_new).max(0),
            is_worth_while: level != ReadinessLevel::NotReady && is_new_enough,
            usable_examples: counted.usable_examples,
            new_examples: counted.new_examples,
            due: due_trigger(&task.policy.training, &counted, self.ids.now_us()),
        })
    }
}

async fn feedback_in(conn: &mut Conn, stretch: &Stretch) -> Result<i64, EngineError> {
    debug_assert_eq!(stretch.dimension, Dimension::All);
    let found = rollups::list_totals(conn, stretch, 1).await?;
    Ok(found.first().map_or(0, |found| found.sums.get(Measure::Feedback)))
}
