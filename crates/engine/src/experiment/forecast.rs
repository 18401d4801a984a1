//! Before the start: what a deployment can find out by its time limit, and how long it is likely to take.

use hone_domain::{DAY_US, DeploymentPlan, InvalidInput, Measure, Metric, Sums};
use hone_stats::{Sequential, expected_count, minimum_detectable_effect};
use hone_storage::deployments;
use hone_storage::rollups::{self, Stretch};
use hone_storage::tasks::Task;

use super::compare::TUNED_FOR;
use super::judge::promotion_level;
use crate::{Engine, EngineError};

/// Days of the past that tell what is to be expected.
const PAST_DAYS: i64 = 7;
/// The chance that what is there is found.
const POWER: f64 = 0.8;

/// What a deployment can be expected to show, and when.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Forecast {
    /// What is compared.
    pub metric: Metric,
    /// Outcomes a day over the last week.
    pub outcomes_per_day: f64,
    /// Their mean over the last week; absent where none came.
    pub mean: Option<f64>,
    /// The new version's share of the traffic in its last step.
    pub share: f64,
    /// The chance of promoting a version that is worse than the margin allows: this deployment's part of the budget.
    pub level: f64,
    /// Outcomes of both versions until one that is as good as the live one is shown to be so within the margin, four times of five;
    /// absent where the margin is 0.
    pub expected_outcomes: Option<f64>,
    /// The same in days; absent where nothing comes in.
    pub expected_days: Option<f64>,
    /// The least difference that is found within the plan's time, four times of five; absent without a time limit or outcomes.
    pub minimum_detectable_effect: Option<f64>,
}

impl Engine {
    /// Says what a deployment by this plan can be expected to show.
    pub async fn forecast(&self, task: &Task, plan: &DeploymentPlan) -> Result<Forecast, EngineError> {
        plan.validate("/plan")?;
        let metric = plan.goal.metric.clone();
        if !metric.is_share() {
            let detail = format!(
                "what {metric} varies by is not known before the start; a forecast takes a share, such as correctness"
            );
            return Err(InvalidInput::field("/plan/goal/metric", detail).into());
        }
        let mut conn = self.db.read().await?;
        let since_us = self.ids.now_us() - PAST_DAYS * DAY_US;
        let mut past = Sums::default();
        for hour in rollups::list(&mut conn, &Stretch::hours_since(task.task_id(), since_us)).await? {
            past += &hour.sums;
        }
        let turn = deployments::count_turns(&mut conn, task.task_id()).await? + 1;
        // What people judge is counted apart; everything else is an outcome of each request.
        let is_judged = matches!(metric, Metric::Correctness | Metric::Thumb);
        let (outcomes, correct) = if is_judged {
            (past.get(Measure::Judged), past.get(Measure::Correct))
        } else {
            (past.get(Measure::Interactions), 0)
        };
        let mean = (is_judged && outcomes > 0).then(|| correct as f64 / outcomes as f64);
        let share = plan.share_of_step(plan.steps.len());
        let level = promotion_level(plan, turn);
        let outcomes_per_day = outcomes as f64 / PAST_DAYS as f64;
        // An unknown share varies by a quarter at most.
        let variance = mean.map_or(0.25, |mean| (mean * (1.0 - mean)).max(0.01));
        let sequential = Sequential::new(level, TUNED_FOR);
        let expected_outcomes = sequential
            .as_ref()
            .filter(|_| plan.goal.margin > 0.0)
            .and_then(|test| expected_count(test, variance, share, plan.goal.margin, POWER));
        let until_end = outcomes_per_day * plan.max_days as f64;
        Ok(Forecast {
            metric,
            outcomes_per_day,
            mean,
            share,
            level,
            expected_outcomes,
            expected_days: expected_outcomes
                .filter(|_| outcomes_per_day > 0.0)
                .map(|count| count / outcomes_per_day),
            minimum_detectable_effect: sequential
                .as_ref()
                .and_then(|test| minimum_detectable_effect(test, variance, share, until_end, POWER)),
        })
    }
}
