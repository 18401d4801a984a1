//! What follows from the outcomes of a deployment: one rule, the same that is shown, says whether to go on, to promote or to roll
//! back. Pure: the job that calls it reads before and acts after.

use std::collections::BTreeMap;

use hone_domain::{
    DAY_US, DeploymentPlan, Direction, MINUTE_US, Metric, MetricGoal, PromotionRule, Strategy, format_rfc3339,
};
use hone_stats::{Arm, BestArm, ErrorBudget, Running, SampleRatio, best_arm, thompson_shares};
use hone_storage::deployments::Deployment;
use hone_storage::experiments::{ArmSums, DISAGREEMENT, EXPOSURE};
use uuid::Uuid;

use super::arms::ArmTable;
use super::compare::{ArmCount, Comparison, Levels, Sides, Verdict, compare};

/// Below this p-value the arms were not filled as the shares say.
const SAMPLE_RATIO_LEVEL: f64 = 0.001;
/// A bandit's shares are set anew when one of them moves by this much.
const BANDIT_MOVE: f64 = 0.02;

/// What to do with a deployment.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Recommendation {
    /// This version is to serve everything.
    RollOut {
        /// The version.
        version_id: Uuid,
    },
    /// The next step may begin, or a version is dropped: with these shares.
    Advance {
        /// The share of each new version.
        shares: Vec<f64>,
    },
    /// Nothing yet.
    KeepOn,
    /// The new versions are to be taken off.
    Stop,
}

/// Units of traffic that a version got in the present step.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ArmExposure {
    /// The version.
    pub version_id: Uuid,
    /// Its share of the traffic.
    pub share: f64,
    /// Units that got it.
    pub units: i64,
}

/// One look at a deployment's outcomes, and what follows.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Look {
    /// When, in RFC 3339.
    pub at: String,
    /// Who got how much in the present step; the live version first.
    pub exposures: Vec<ArmExposure>,
    /// Anytime-valid p-value of the units against the shares; absent for shadows and bandits.
    pub sample_ratio_p: Option<f64>,
    /// The chance at which a harmless version is called harmful, by one comparison.
    pub harm_level: f64,
    /// The chance at which a version is promoted that is worse than allowed, by one comparison: this deployment's part of the
    /// task's error budget.
    pub promotion_level: f64,
    /// Each new version against the live one, by each goal.
    pub comparisons: Vec<Comparison>,
    /// How often a shadow said something else than the live version.
    pub disagreement: Option<ArmCount>,
    /// What to do.
    pub recommendation: Recommendation,
    /// Why, in words.
    pub reason: String,
    /// Narrowest intervals so far, by new version, where both ends decide.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub running: BTreeMap<Uuid, RunningEnds>,
}

/// The least p-value and the narrowest interval so far.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunningEnds {
    p: f64,
    lower: f64,
    upper: f64,
}

/// The outcomes of units in the order of their first one: version, number of outcomes, sum.
pub(super) type UnitOrder = Vec<(Uuid, i64, f64)>;

/// What is known when a deployment is looked at.
pub(super) struct Seen<'a> {
    pub deployment: &'a Deployment,
    pub plan: &'a DeploymentPlan,
    /// The version that serves.
    pub live: Uuid,
    pub table: &'a ArmTable,
    /// The first units by metric, where the exact test may be needed.
    pub orders: &'a BTreeMap<Metric, UnitOrder>,
    pub now_us: i64,
}

impl Look {
    pub(super) fn of(seen: &Seen<'_>) -> Self {
        let plan = seen.plan;
        let arms = seen.deployment.arms();
        // A version that was dropped meanwhile has had its chance to mislead.
        let compared = arms.len().max(1) as f64;
        let step = seen.deployment.step;
        let goal = plan.goal_of_step(usize::try_from(step).unwrap_or_default());
        let levels = Levels {
            promote: promotion_level(plan, seen.deployment.turn) / compared,
            harm: plan.error / compared,
        };
        let mut look = Self {
            at: format_rfc3339(seen.now_us),
            exposures: exposures(seen),
            sample_ratio_p: None,
            harm_level: levels.harm,
            promotion_level: levels.promote,
            comparisons: Vec::new(),
            disagreement: None,
            recommendation: Recommendation::KeepOn,
            reason: String::new(),
            running: seen.previous_running(),
        };
        if matches!(plan.strategy, Strategy::Canary | Strategy::Ab) {
            look.sample_ratio_p = sample_ratio_p(&look.exposures);
        }
        if plan.strategy == Strategy::Shadow {
            let of = seen
                .table
                .of_version(DISAGREEMENT, seen.deployment.model_version_id);
            look.disagreement = Some(count_of(&of));
        }
        for arm in arms.iter().filter(|arm| arm.share > 0.0) {
            let goals = std::iter::once((goal, false)).chain(plan.guardrails.iter().map(|goal| (goal, true)));
            for (goal, is_guardrail) in goals {
                let comparison = look.compared(seen, arm.version_id, arm.share, goal, is_guardrail, levels);
                look.comparisons.push(comparison);
            }
        }
        (look.recommendation, look.reason) = look.judged(seen, goal);
        look
    }

    fn compared(
        &mut self,
        seen: &Seen<'_>,
        version: Uuid,
        share: f64,
        goal: &MetricGoal,
        is_guardrail: bool,
        levels: Levels,
    ) -> Comparison {
        let name = goal.metric.name();
        let order = seen.orders.get(&goal.metric).map_or(&[][..], Vec::as_slice);
        let order: Vec<(bool, bool)> = order
            .iter()
            .filter(|&&(of, _, _)| of == version || of == seen.live)
            .map(|&(of, outcomes, total)| {
                let is_high = total * 2.0 >= outcomes as f64;
                (of == version, is_high == (goal.direction() == Direction::Higher))
            })
            .collect();
        let live_share = 1.0 - self.exposures.iter().skip(1).map(|arm| arm.share).sum::<f64>();
        let is_shadow = seen.plan.strategy == Strategy::Shadow;
        let sides = Sides {
            version,
            arms: seen.table.pair(&name, seen.live, version),
            counts: [seen.live, version].map(|version| count_of(&seen.table.of_version(&name, version))),
            order: &order,
            share: if is_shadow {
                0.5
            } else {
                share / (share + live_share).max(f64::MIN_POSITIVE)
            },
        };
        let mut kept = (seen.plan.strategy == Strategy::Ab && !is_guardrail).then(|| {
            self.running
                .get(&version)
                .map_or_else(Running::default, |ends| Running {
                    p: ends.p,
                    lower: ends.lower,
                    upper: ends.upper,
                })
        });
        let comparison = compare(goal, is_guardrail, &sides, levels, kept.as_mut());
        if let Some(Running { p, lower, upper }) = kept.filter(|kept| kept.lower.is_finite()) {
            self.running.insert(version, RunningEnds { p, lower, upper });
        }
        comparison
    }

    fn judged(&self, seen: &Seen<'_>, goal: &MetricGoal) -> (Recommendation, String) {
        let plan = seen.plan;
        let age_us = seen.now_us - seen.deployment.created_at_us;
        let is_over = plan.max_days > 0 && age_us >= plan.max_days * DAY_US;
        if let Some(p) = self
            .sample_ratio_p
            .filter(|&p| p < SAMPLE_RATIO_LEVEL && !is_over)
        {
            let reason = format!(
                "the versions did not get the traffic that their shares say (sample ratio mismatch, p = {p:.1e}): nothing is decided \
                 until that is found"
            );
            return (Recommendation::KeepOn, reason);
        }
        if plan.strategy == Strategy::Bandit {
            return self.judged_as_bandit(seen, is_over);
        }
        let harmful: Vec<&Comparison> = self
            .comparisons
            .iter()
            .filter(|comparison| comparison.verdict == Verdict::Harmful)
            .collect();
        let is_harmful = |version: Uuid| harmful.iter().any(|worse| worse.version_id == version);
        let shares: Vec<f64> = self.exposures.iter().skip(1).map(|arm| arm.share).collect();
        let new = || self.exposures.iter().skip(1).filter(|arm| arm.share > 0.0);
        if let Some(worst) = harmful.first() {
            let reason = words_of_harm(worst);
            if new().all(|arm| is_harmful(arm.version_id)) {
                return (Recommendation::Stop, reason);
            }
            let left = self.exposures.iter().skip(1).map(|arm| {
                if is_harmful(arm.version_id) {
                    0.0
                } else {
                    arm.share
                }
            });
            return (
                Recommendation::Advance {
                    shares: left.collect(),
                },
                format!("{reason}; the others go on"),
            );
        }
        let decided = next_step(seen, &shares).unwrap_or_else(|| self.winner(plan, goal));
        let is_proven = matches!(decided.0, Recommendation::RollOut { .. });
        if is_over && !is_proven {
            let reason = format!(
                "not shown to be {} within {} days",
                words_of_rule(plan.promote_when),
                plan.max_days
            );
            return (Recommendation::Stop, reason);
        }
        decided
    }

    /// The best of the new versions that have shown what the plan asks for.
    fn winner(&self, plan: &DeploymentPlan, goal: &MetricGoal) -> (Recommendation, String) {
        let deciding = || {
            self.comparisons
                .iter()
                .filter(|comparison| !comparison.is_guardrail)
        };
        let is_shown = |comparison: &&Comparison| match plan.promote_when {
            PromotionRule::NonInferior => {
                matches!(comparison.verdict, Verdict::NonInferior | Verdict::Better)
            }
            PromotionRule::Superior => comparison.verdict == Verdict::Better,
        };
        let is_enough = |comparison: &&Comparison| {
            comparison.live.outcomes.min(comparison.new.outcomes) >= plan.min_outcomes
        };
        let best = deciding().filter(is_shown).filter(is_enough).max_by(|a, b| {
            a.difference
                .unwrap_or_default()
                .total_cmp(&b.difference.unwrap_or_default())
        });
        if let Some(best) = best {
            let recommendation = Recommendation::RollOut {
                version_id: best.version_id,
            };
            return (recommendation, words_of_win(best));
        }
        let fewest = deciding()
            .map(|comparison| comparison.live.outcomes.min(comparison.new.outcomes))
            .min()
            .unwrap_or_default();
        let reason = if fewest < plan.min_outcomes {
            format!(
                "{fewest} of {} outcomes of {} so far",
                plan.min_outcomes, goal.metric
            )
        } else {
            format!(
                "not shown yet to be {} in {}",
                words_of_rule(plan.promote_when),
                goal.metric
            )
        };
        (Recommendation::KeepOn, reason)
    }

    /// A bandit's data are not judged by the tests for a fixed split: shares follow the probability of being best, and track-and-stop
    /// says when one is.
    fn judged_as_bandit(&self, seen: &Seen<'_>, is_over: bool) -> (Recommendation, String) {
        let plan = seen.plan;
        let metric = plan.goal.metric.name();
        let counts: Vec<(u64, u64)> = self
            .exposures
            .iter()
            .map(|arm| {
                let sums = seen.table.of_version(&metric, arm.version_id);
                // A unit counts once, however often it speaks.
                let trials = sums.units.unsigned_abs();
                let mean = sums.total / sums.outcomes.max(1) as f64;
                let high = (mean * trials as f64).round().clamp(0.0, trials as f64) as u64;
                match plan.goal.direction() {
                    Direction::Higher => (high, trials),
                    Direction::Lower => (trials - high, trials),
                }
            })
            .collect();
        let fewest = counts.iter().map(|&(_, trials)| trials).min().unwrap_or_default();
        // One success and one failure more: an arm that never failed yet is not certain.
        let arms: Vec<Arm> = counts
            .iter()
            .map(|&(successes, trials)| Arm::of_counts(successes + 1, trials + 2))
            .collect();
        let best = best_arm(&arms, plan.goal.margin, self.promotion_level);
        let best = best.filter(|_| fewest >= plan.min_outcomes.unsigned_abs());
        if let Some(best) = best.filter(BestArm::is_found) {
            let leader = &self.exposures[best.leader];
            let reason = format!(
                "version {} has the best {metric}: likelihood ratio {:.1} over {:.1}",
                leader.version_id, best.likelihood_ratio, best.threshold
            );
            return if best.leader == 0 {
                (Recommendation::Stop, format!("the live {reason}"))
            } else {
                let recommendation = Recommendation::RollOut {
                    version_id: leader.version_id,
                };
                (recommendation, reason)
            };
        }
        if is_over {
            let reason = format!("no version is shown to be best within {} days", plan.max_days);
            return (Recommendation::Stop, reason);
        }
        let shares: Vec<f64> = thompson_shares(&counts, plan.floor).split_off(1);
        let moved = self.exposures[1..]
            .iter()
            .zip(&shares)
            .any(|(arm, share)| (arm.share - share).abs() >= BANDIT_MOVE);
        let reason = format!("no version is shown to be best yet; {fewest} outcomes of the least tried one");
        if moved {
            (Recommendation::Advance { shares }, reason)
        } else {
            (Recommendation::KeepOn, reason)
        }
    }
}

impl Seen<'_> {
    fn previous_running(&self) -> BTreeMap<Uuid, RunningEnds> {
        let earlier = self.deployment.look.as_ref();
        let earlier = earlier.and_then(|look| serde_json::from_value::<Look>(look.0.clone()).ok());
        earlier.map(|look| look.running).unwrap_or_default()
    }
}

/// The next step of a canary, or what it waits for; nothing in the last step when it is through.
fn next_step(seen: &Seen<'_>, shares: &[f64]) -> Option<(Recommendation, String)> {
    let plan = seen.plan;
    if plan.strategy != Strategy::Canary {
        return None;
    }
    let number = usize::try_from(seen.deployment.step).unwrap_or_default();
    let step = plan.steps.get(number)?;
    let waited_us = seen.now_us - seen.deployment.step_at_us;
    if waited_us < step.min_minutes * MINUTE_US {
        let reason = format!(
            "step {} at {} % lasts {} minutes at least",
            number + 1,
            step.percent,
            step.min_minutes
        );
        return Some((Recommendation::KeepOn, reason));
    }
    let metric = plan.goal_of_step(number).metric.name();
    let counted = seen
        .table
        .of_step(&metric, seen.deployment.step, seen.deployment.model_version_id);
    if counted.outcomes < step.min_outcomes {
        let reason = format!(
            "step {} at {} % has {} of {} outcomes of {metric}",
            number + 1,
            step.percent,
            counted.outcomes,
            step.min_outcomes
        );
        return Some((Recommendation::KeepOn, reason));
    }
    let next = plan.steps.get(number + 1)?;
    let reason = format!("step {} showed no harm; on to {} %", number + 1, next.percent);
    let each = next.percent / 100.0 / shares.len().max(1) as f64;
    let shares = vec![each; shares.len()];
    Some((Recommendation::Advance { shares }, reason))
}

/// The chance of promoting a version that is worse than allowed: the part of the task's error budget that its deployment with this
/// number has.
pub(super) fn promotion_level(plan: &DeploymentPlan, turn: i64) -> f64 {
    let turn = u32::try_from(turn).unwrap_or(u32::MAX);
    ErrorBudget::new(plan.error).map_or(plan.error, |budget| budget.of_turn(turn))
}

fn exposures(seen: &Seen<'_>) -> Vec<ArmExposure> {
    let arms = seen.deployment.arms();
    let taken: f64 = arms.iter().map(|arm| arm.share).sum();
    let live_share = if seen.plan.strategy == Strategy::Shadow {
        1.0
    } else {
        (1.0 - taken).max(0.0)
    };
    std::iter::once((seen.live, live_share))
        .chain(arms.iter().map(|arm| (arm.version_id, arm.share)))
        .map(|(version_id, share)| ArmExposure {
            version_id,
            share,
            units: seen
                .table
                .of_step(EXPOSURE, seen.deployment.step, version_id)
                .units,
        })
        .collect()
}

fn sample_ratio_p(exposures: &[ArmExposure]) -> Option<f64> {
    let filled: Vec<&ArmExposure> = exposures.iter().filter(|arm| arm.share > 0.0).collect();
    let units: Vec<u64> = filled.iter().map(|arm| arm.units.unsigned_abs()).collect();
    let shares: Vec<f64> = filled.iter().map(|arm| arm.share).collect();
    SampleRatio::of(&units, &shares).map(|ratio| ratio.p())
}

fn count_of(sums: &ArmSums) -> ArmCount {
    ArmCount {
        units: sums.units,
        outcomes: sums.outcomes,
        mean: (sums.outcomes > 0).then(|| sums.total / sums.outcomes as f64),
    }
}

fn words_of_rule(rule: PromotionRule) -> &'static str {
    match rule {
        PromotionRule::NonInferior => "non-inferior",
        PromotionRule::Superior => "better",
    }
}

fn words_of_means(comparison: &Comparison) -> String {
    let mean = |count: &ArmCount| count.mean.unwrap_or_default();
    format!(
        "{} {:.4} against {:.4} of the live version, {} and {} outcomes",
        comparison.metric,
        mean(&comparison.new),
        mean(&comparison.live),
        comparison.new.outcomes,
        comparison.live.outcomes
    )
}

fn words_of_harm(comparison: &Comparison) -> String {
    let means = words_of_means(comparison);
    match comparison.upper {
        Some(upper) => format!(
            "shown to be worse by more than {:.4}: {means}; the difference is {upper:.4} at most",
            comparison.allowed.unwrap_or_default()
        ),
        None => format!(
            "shown to be worse: {means}; p = {:.1e} by the exact test",
            comparison.p.unwrap_or(1.0)
        ),
    }
}

fn words_of_win(comparison: &Comparison) -> String {
    let means = words_of_means(comparison);
    let shown = if comparison.verdict == Verdict::Better {
        "better"
    } else {
        "non-inferior"
    };
    match comparison.lower {
        Some(lower) => format!("shown to be {shown}: {means}; the difference is {lower:.4} at least"),
        None => format!(
            "shown to be {shown}: {means}; p = {:.1e} by the exact test",
            comparison.p.unwrap_or(1.0)
        ),
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use hone_domain::{ArmShare, DeploymentKind, DeploymentState};
    use hone_storage::Json;

    use super::*;

    const LIVE: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);

    /// A deployment whose outcomes come one by one, each of a unit of its own, and which is looked at after each.
    struct Run {
        random: Rng,
        deployment: Deployment,
        sums: [ArmSums; 2],
        order: UnitOrder,
        now_us: i64,
    }

    impl Run {
        fn new(seed: u64, plan: DeploymentPlan, turn: i64) -> Self {
            let share = plan.share_of_step(0);
            let deployment = Deployment {
                id: Uuid::from_u128(9),
                project_id: Uuid::nil(),
                task_id: Uuid::nil(),
                model_version_id: NEW,
                previous_version_id: Some(LIVE),
                kind: DeploymentKind::Gate,
                reason: String::new(),
                created_at_us: 0,
                state: DeploymentState::Running,
                plan: Some(Json(plan)),
                arms: Some(Json(vec![ArmShare {
                    version_id: NEW,
                    share,
                }])),
                step: 0,
                step_at_us: 0,
                turn,
                look: None,
                live_at_us: None,
                live_epoch: None,
            };
            Self {
                random: Rng::with_seed(seed),
                deployment,
                sums: [ArmSums::default(); 2],
                order: Vec::new(),
                now_us: 0,
            }
        }

        /// One more outcome; the look after it.
        fn next(&mut self, rates: [f64; 2]) -> Look {
            let share = self.deployment.arms()[0].share;
            let arm = usize::from(self.random.f64() < share);
            let outcome = f64::from(self.random.f64() < rates[arm]);
            self.sums[arm].unit_changed((0, 0.0), (1, outcome));
            if self.order.len() < 400 {
                self.order.push(([LIVE, NEW][arm], 1, outcome));
            }
            self.now_us += 1_000_000;
            self.look()
        }

        fn look(&self) -> Look {
            let plan = &self.deployment.plan.as_ref().unwrap().0;
            let metric = plan.goal.metric.clone();
            let row = |metric: &str, arm: usize| hone_storage::experiments::ArmRow {
                metric: metric.to_owned(),
                step: 0,
                version_id: [LIVE, NEW][arm],
                sums: self.sums[arm],
            };
            let mut rows = Vec::new();
            for arm in [0, 1] {
                rows.push(row(&metric.name(), arm));
                rows.push(row(EXPOSURE, arm));
            }
            let is_small = self.sums.iter().any(|sums| sums.units < 100);
            let orders = if is_small {
                BTreeMap::from([(metric, self.order.clone())])
            } else {
                BTreeMap::new()
            };
            Look::of(&Seen {
                deployment: &self.deployment,
                plan,
                live: LIVE,
                table: &ArmTable::new(rows),
                orders: &orders,
                now_us: self.now_us,
            })
        }

        /// The number of outcomes at which something is recommended.
        fn first(
            &mut self,
            rates: [f64; 2],
            most: usize,
            is_it: impl Fn(&Recommendation) -> bool,
        ) -> Option<usize> {
            for number in 1..=most {
                let look = self.next(rates);
                if is_it(&look.recommendation) {
                    return Some(number);
                }
                if look.recommendation == Recommendation::Stop {
                    return None;
                }
                if !look.running.is_empty() {
                    self.deployment.look = Some(Json(serde_json::to_value(&look).unwrap()));
                }
            }
            None
        }
    }

    fn plan(strategy: Strategy) -> DeploymentPlan {
        DeploymentPlan {
            steps: vec![hone_domain::CanaryStep {
                percent: 50.0,
                min_minutes: 0,
                min_outcomes: 0,
                goal: None,
            }],
            max_days: 0,
            ..DeploymentPlan::of(strategy)
        }
    }

    fn rolls_out(recommendation: &Recommendation) -> bool {
        matches!(recommendation, Recommendation::RollOut { .. })
    }

    #[test]
    fn a_version_ten_points_worse_is_rolled_back_soon() {
        let stops = |recommendation: &Recommendation| *recommendation == Recommendation::Stop;
        let mut outcomes: Vec<usize> = (0..101)
            .map(|seed| {
                let mut run = Run::new(seed, plan(Strategy::Canary), 1);
                run.first([0.8, 0.7], 5_000, stops).unwrap_or(5_000)
            })
            .collect();
        outcomes.sort_unstable();
        let median = outcomes[outcomes.len() / 2];
        println!("outcomes until rollback of a version ten points worse, median: {median}");
        assert!(median <= 900, "{median}");
    }

    #[test]
    fn a_version_that_is_worse_than_allowed_is_seldom_promoted_and_a_better_one_is() {
        let promoted = |rates: [f64; 2], runs: u64| {
            let of_run = |seed: &u64| {
                let mut run = Run::new(*seed, plan(Strategy::Canary), 1);
                run.first(rates, 1_500, rolls_out).is_some()
            };
            (0..runs).filter(of_run).count()
        };
        assert!(promoted([0.8, 0.78], 150) <= 7);
        assert!(promoted([0.7, 0.9], 20) >= 19);
    }

    #[test]
    fn an_equal_version_is_seldom_called_better_in_an_ab_test() {
        let superior = DeploymentPlan {
            promote_when: PromotionRule::Superior,
            ..plan(Strategy::Ab)
        };
        let of_run = |seed: &u64| {
            let mut run = Run::new(*seed, superior.clone(), 1);
            run.first([0.8, 0.8], 800, rolls_out).is_some()
        };
        let promoted = (0..100).filter(of_run).count();
        assert!(promoted <= 5, "{promoted} of 100");
    }

    #[test]
    fn arms_that_were_not_filled_as_they_should_block_a_decision() {
        let mut run = Run::new(1, plan(Strategy::Canary), 1);
        for _ in 0..1_000 {
            run.next([0.9, 0.2]);
        }
        assert_eq!(run.look().recommendation, Recommendation::Stop);
        // The live version's requests are lost on the way.
        run.sums[0].units -= 300;
        let look = run.look();
        assert_eq!(look.recommendation, Recommendation::KeepOn);
        assert!(look.reason.contains("sample ratio mismatch"), "{}", look.reason);
    }

    #[test]
    fn what_is_not_shown_within_its_time_is_taken_off() {
        let mut run = Run::new(1, plan(Strategy::Ab), 1);
        run.next([0.8, 0.8]);
        run.deployment.plan.as_mut().unwrap().0.max_days = 2;
        assert_eq!(run.look().recommendation, Recommendation::KeepOn);
        run.now_us = 2 * DAY_US;
        let look = run.look();
        assert_eq!(look.recommendation, Recommendation::Stop);
        assert_eq!(look.reason, "not shown to be non-inferior within 2 days");
        // What is shown by then is promoted all the same.
        let mut run = Run::new(2, plan(Strategy::Canary), 1);
        while !rolls_out(&run.next([0.6, 0.95]).recommendation) {}
        run.deployment.plan.as_mut().unwrap().0.max_days = 2;
        run.now_us = 3 * DAY_US;
        assert!(rolls_out(&run.look().recommendation));
    }

    #[test]
    fn later_deployments_have_less_of_the_budget() {
        let plan = plan(Strategy::Canary);
        let levels: Vec<f64> = (1..4).map(|turn| promotion_level(&plan, turn)).collect();
        assert!(levels.windows(2).all(|pair| pair[1] < pair[0]));
        assert!(levels.iter().sum::<f64>() < plan.error);
    }
}
