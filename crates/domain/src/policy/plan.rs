//! How a new version comes to serve: which share of the traffic it gets, for how long, and by what it is judged.

use super::refuse;
use crate::{InvalidInput, Metric, MetricGoal, spelled_enum};

/// Most steps of a canary.
const MAX_STEPS: usize = 20;
/// Most guardrails of a plan.
const MAX_GUARDRAILS: usize = 10;
/// Longest time of a step, in minutes, and of a deployment, in days.
const MAX_MINUTES: i64 = 525_600;
const MAX_DAYS: i64 = 365;
const MAX_OUTCOMES: i64 = 1_000_000_000;

spelled_enum! {
    /// How a new version comes to serve.
    Strategy ("deployment strategy") {
        /// It serves everything from the start.
        AllAtOnce = "all_at_once",
        /// Its share grows step by step.
        Canary = "canary",
        /// It answers too, and nobody sees its answers.
        Shadow = "shadow",
        /// It has a fixed share.
        Ab = "ab",
        /// Shares follow the better version.
        Bandit = "bandit",
    }
}

spelled_enum! {
    /// What always gets the same version.
    TrafficUnit ("traffic unit") {
        /// The turns of a conversation; requests without one, the person's; without either, each by itself.
        Conversation = "conversation",
        /// All requests about a person; those without one, each by itself.
        Subject = "subject",
        /// Each request by itself.
        Request = "request",
    }
}

spelled_enum! {
    /// What has to be shown before a new version serves everything.
    PromotionRule ("promotion rule") {
        /// It is not worse by more than the margin.
        NonInferior = "non_inferior",
        /// It is better.
        Superior = "superior",
    }
}

/// One step of a canary.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CanaryStep {
    /// The new version's share of the traffic, above 0 and below 100.
    pub percent: f64,
    /// How long the step lasts at least.
    #[serde(default)]
    pub min_minutes: i64,
    /// How many outcomes of the new version the step needs at least.
    #[serde(default)]
    pub min_outcomes: i64,
    /// What this step is judged by; the plan's goal when absent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::optional_object"
    )]
    pub goal: Option<MetricGoal>,
}

/// How a new version comes to serve.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentPlan {
    /// How traffic is shared.
    pub strategy: Strategy,
    /// The steps of a canary, each with a greater share than the one before.
    #[serde(deserialize_with = "crate::objects")]
    pub steps: Vec<CanaryStep>,
    /// The share of the traffic that the new versions of an A/B test have together, or of which a shadow is asked too.
    pub share: f64,
    /// What always gets the same version.
    pub unit: TrafficUnit,
    /// What decides.
    #[serde(deserialize_with = "crate::object")]
    pub goal: MetricGoal,
    /// What must not get worse meanwhile.
    #[serde(deserialize_with = "crate::objects")]
    pub guardrails: Vec<MetricGoal>,
    /// What has to be shown before the new version serves everything.
    pub promote_when: PromotionRule,
    /// How many outcomes each version needs before one is promoted.
    pub min_outcomes: i64,
    /// The chance, by each metric, at which a version is rolled back though it does no harm; over all deployments of the task,
    /// the chance that one is ever promoted that does (above 0, below 0.5).
    pub error: f64,
    /// Whether what is recommended is done by itself.
    pub automatic: bool,
    /// After so many days without a decision the new version is rolled back; 0 waits for ever.
    pub max_days: i64,
    /// The share that a bandit leaves to every version.
    pub floor: f64,
}

impl Default for DeploymentPlan {
    fn default() -> Self {
        let step = |percent, min_minutes| CanaryStep {
            percent,
            min_minutes,
            min_outcomes: 50,
            goal: None,
        };
        Self {
            strategy: Strategy::AllAtOnce,
            steps: vec![step(5.0, 10), step(25.0, 30), step(50.0, 60)],
            share: 0.5,
            unit: TrafficUnit::Conversation,
            goal: MetricGoal::new(Metric::Correctness, 0.02),
            guardrails: vec![
                MetricGoal::new(Metric::SuccessRate, 0.02),
                MetricGoal::new(Metric::Latency, 0.5),
            ],
            promote_when: PromotionRule::NonInferior,
            min_outcomes: 100,
            error: 0.05,
            automatic: true,
            max_days: 14,
            floor: 0.05,
        }
    }
}

impl DeploymentPlan {
    /// The default plan with another strategy.
    pub fn of(strategy: Strategy) -> Self {
        Self {
            strategy,
            ..Self::default()
        }
    }

    /// Checks every number; `pointer` is where the plan stands.
    pub fn validate(&self, pointer: &str) -> Result<(), InvalidInput> {
        let at = |field: &str| format!("{pointer}/{field}");
        if self.strategy == Strategy::AllAtOnce && *self != Self::default() {
            let detail =
                "all_at_once heeds no other field of a plan; name a strategy: canary, shadow, ab or bandit";
            return refuse(&at("strategy"), detail);
        }
        if self.strategy == Strategy::Canary && self.steps.is_empty() || self.steps.len() > MAX_STEPS {
            return refuse(&at("steps"), "give 1 to 20 steps");
        }
        let mut before = 0.0;
        for (index, step) in self.steps.iter().enumerate() {
            let at = |field: &str| format!("{pointer}/steps/{index}/{field}");
            if !(step.percent > before && step.percent < 100.0) {
                let detail = "give a percentage below 100 that is greater than the step before; after the last step \
                              the version serves everything";
                return refuse(&at("percent"), detail);
            }
            if !(0..=MAX_MINUTES).contains(&step.min_minutes) {
                return refuse(&at("min_minutes"), "give 0 to 525600 minutes");
            }
            if !(0..=MAX_OUTCOMES).contains(&step.min_outcomes) {
                return refuse(&at("min_outcomes"), "give 0 to 1000000000");
            }
            if let Some(goal) = &step.goal {
                goal.validate(&at("goal"))?;
            }
            before = step.percent;
        }
        let is_share = if self.strategy == Strategy::Shadow {
            self.share > 0.0 && self.share <= 1.0
        } else {
            self.share > 0.0 && self.share < 1.0
        };
        if !is_share {
            return refuse(
                &at("share"),
                "give a share above 0 and below 1; a shadow may have 1",
            );
        }
        self.goal.validate(&at("goal"))?;
        if self.guardrails.len() > MAX_GUARDRAILS {
            return refuse(&at("guardrails"), "give 10 at most");
        }
        for (index, goal) in self.guardrails.iter().enumerate() {
            goal.validate(&at(&format!("guardrails/{index}")))?;
        }
        if !(2..=MAX_OUTCOMES).contains(&self.min_outcomes) {
            return refuse(&at("min_outcomes"), "give 2 to 1000000000");
        }
        if !(self.error > 0.0 && self.error < 0.5) {
            return refuse(&at("error"), "give a number above 0 and below 0.5");
        }
        if !(0..=MAX_DAYS).contains(&self.max_days) {
            return refuse(&at("max_days"), "give 0 (wait for ever) to 365 days");
        }
        if !(0.0..=0.5).contains(&self.floor) {
            return refuse(&at("floor"), "give a share from 0 to 0.5");
        }
        let is_seen_of_shadow = matches!(
            self.goal.metric,
            Metric::Correctness | Metric::SuccessRate | Metric::Latency | Metric::Cost
        );
        if self.strategy == Strategy::Shadow && !is_seen_of_shadow {
            return refuse(
                &at("goal/metric"),
                "nobody rates what nobody sees; judge a shadow by correctness, success_rate, latency_ms or cost_usd",
            );
        }
        if self.strategy == Strategy::Bandit && !self.goal.metric.is_share() {
            return refuse(
                &at("goal/metric"),
                "a bandit needs outcomes that are right or wrong, such as correctness",
            );
        }
        Ok(())
    }

    /// The share of the traffic that the new versions have together, in the step with this number.
    pub fn share_of_step(&self, step: usize) -> f64 {
        match self.strategy {
            Strategy::AllAtOnce => 1.0,
            Strategy::Canary => {
                let last = self.steps.len().saturating_sub(1);
                self.steps
                    .get(step.min(last))
                    .map_or(0.0, |step| step.percent / 100.0)
            }
            Strategy::Shadow | Strategy::Ab | Strategy::Bandit => self.share,
        }
    }

    /// What the step with this number is judged by.
    pub fn goal_of_step(&self, step: usize) -> &MetricGoal {
        let own = self
            .steps
            .get(step)
            .filter(|_| self.strategy == Strategy::Canary)
            .and_then(|step| step.goal.as_ref());
        own.unwrap_or(&self.goal)
    }

    /// Every metric that is measured, each once.
    pub fn metrics(&self) -> Vec<Metric> {
        let of_steps = self.steps.iter().filter_map(|step| step.goal.as_ref());
        let of_steps = of_steps.filter(|_| self.strategy == Strategy::Canary);
        let mut metrics: Vec<Metric> = std::iter::once(&self.goal)
            .chain(&self.guardrails)
            .chain(of_steps)
            .map(|goal| goal.metric.clone())
            .collect();
        metrics.sort();
        metrics.dedup();
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_has_a_valid_default() {
        for &strategy in Strategy::ALL {
            DeploymentPlan::of(strategy).validate("/plan").unwrap();
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_field() {
        for (wrong, field) in [
            (r#"{"strategy":"canary","steps":[]}"#, "/plan/steps"),
            (
                r#"{"strategy":"canary","steps":[{"percent":5},{"percent":5}]}"#,
                "/plan/steps/1/percent",
            ),
            (r#"{"steps":[{"percent":5}]}"#, "/plan/strategy"),
            (
                r#"{"strategy":"canary","steps":[{"percent":100}]}"#,
                "/plan/steps/0/percent",
            ),
            (r#"{"strategy":"ab","share":1}"#, "/plan/share"),
            (
                r#"{"strategy":"ab","goal":{"metric":"rating","margin":-1}}"#,
                "/plan/goal/margin",
            ),
            (
                r#"{"strategy":"ab","guardrails":[{"metric":"cost_usd","margin":-0.1}]}"#,
                "/plan/guardrails/0/margin",
            ),
            (
                r#"{"strategy":"shadow","goal":{"metric":"rating"}}"#,
                "/plan/goal/metric",
            ),
            (
                r#"{"strategy":"bandit","goal":{"metric":"latency_ms"}}"#,
                "/plan/goal/metric",
            ),
            (r#"{"strategy":"ab","error":0.5}"#, "/plan/error"),
        ] {
            let plan: DeploymentPlan = serde_json::from_str(wrong).unwrap();
            let refused = plan.validate("/plan").unwrap_err();
            assert!(refused.to_string().contains(field), "{wrong}: {refused}");
        }
        assert!(serde_json::from_str::<DeploymentPlan>(r#"{"goal":{"metric":"accuracy"}}"#).is_err());
    }

    #[test]
    fn shares_only_grow_and_stay_after_the_last_step() {
        let plan = DeploymentPlan::of(Strategy::Canary);
        let shares: Vec<f64> = (0..5).map(|step| plan.share_of_step(step)).collect();
        assert_eq!(shares, [0.05, 0.25, 0.5, 0.5, 0.5]);
    }
}
