//! One new version against the live one, by one metric: the interval that decides, and what it says.

use hone_domain::{Direction, Metric, MetricGoal};
use hone_stats::{Arm, BernoulliStreams, Block, Running, Sequential};
use uuid::Uuid;

/// Outcomes that the comparisons are sharpest at.
pub(super) const TUNED_FOR: f64 = 500.0;
/// Units of an arm before the asymptotic comparisons hold.
pub(super) const FEWEST: f64 = 100.0;
/// Largest block of the exact test.
const LARGEST_BLOCK: f64 = 50.0;

/// By which test a comparison is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestRule {
    /// Both ends of an anytime-valid confidence sequence, running intersection.
    TwoSided,
    /// Each end of an anytime-valid confidence sequence by itself.
    OneSided,
    /// The exact e-value of two streams of right and wrong, while an arm has fewer than 100 outcomes or nothing varies.
    Exact,
    /// Not enough outcomes.
    None,
}

/// What a comparison shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The new version is worse by more than the margin.
    Harmful,
    /// The new version is not worse by more than the margin.
    NonInferior,
    /// The new version is better.
    Better,
    /// Nothing yet.
    Undecided,
}

/// How many outcomes an arm has, and their mean in the metric's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ArmCount {
    /// Units of traffic with an outcome.
    pub units: i64,
    /// Outcomes.
    pub outcomes: i64,
    /// Their mean; absent without outcomes.
    pub mean: Option<f64>,
}

/// One new version against the live one, by one metric.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Comparison {
    /// The new version.
    pub version_id: Uuid,
    /// What is compared.
    pub metric: Metric,
    /// Which way is better.
    pub direction: Direction,
    /// How much worse the new version may be, as set.
    pub margin: f64,
    /// Whether it only guards, and does not decide on promotion.
    pub is_guardrail: bool,
    /// The live version's outcomes.
    pub live: ArmCount,
    /// The new version's outcomes.
    pub new: ArmCount,
    /// By which test.
    pub rule: TestRule,
    /// The new version's mean less the live one's; positive is better whatever the direction.
    pub difference: Option<f64>,
    /// How much worse it may be, in the unit of the difference.
    pub allowed: Option<f64>,
    /// Lower end: above minus `allowed` the new version is not inferior, above 0 it is better.
    pub lower: Option<f64>,
    /// Upper end: below minus `allowed` the new version is harmful.
    pub upper: Option<f64>,
    /// Anytime-valid p-value against no difference, where the test gives one.
    pub p: Option<f64>,
    /// What it shows.
    pub verdict: Verdict,
}

/// The chances of the two mistakes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    /// Of calling a version harmless, or better, that is not.
    pub promote: f64,
    /// Of calling a version harmful that is not.
    pub harm: f64,
}

/// What is compared: both arms, and their first outcomes in order where the exact test may be needed.
pub(super) struct Sides<'a> {
    pub version: Uuid,
    pub arms: [Arm; 2],
    pub counts: [ArmCount; 2],
    /// Of each unit in the order of its first outcome: whether it is the new version's, and whether it went well.
    pub order: &'a [(bool, bool)],
    /// The new version's share of the traffic that either gets.
    pub share: f64,
}

/// Compares by a goal. With `running`, both ends are decided by at once and only ever narrow.
pub(super) fn compare(
    goal: &MetricGoal,
    is_guardrail: bool,
    sides: &Sides<'_>,
    levels: Levels,
    running: Option<&mut Running>,
) -> Comparison {
    let arms = if goal.metric.is_share() {
        sides.arms.map(with_doubt)
    } else {
        sides.arms
    };
    let [live, new] = oriented(goal, arms);
    let allowed = if goal.metric.has_relative_margin() {
        goal.margin * live.mean.abs()
    } else {
        goal.margin
    };
    let is_counted = live.count > 0.0 && new.count > 0.0;
    let mut comparison = Comparison {
        version_id: sides.version,
        metric: goal.metric.clone(),
        direction: goal.direction(),
        margin: goal.margin,
        is_guardrail,
        live: sides.counts[0],
        new: sides.counts[1],
        rule: TestRule::None,
        difference: is_counted.then_some(new.mean - live.mean),
        allowed: is_counted.then_some(allowed),
        lower: None,
        upper: None,
        p: None,
        verdict: Verdict::Undecided,
    };
    let varies = live.variance > 0.0 || new.variance > 0.0;
    if live.count.min(new.count) >= FEWEST && varies {
        asymptotic(&mut comparison, goal, [live, new], levels, running);
    } else if goal.metric.is_share() && is_counted {
        exact(&mut comparison, goal, sides, levels);
    }
    comparison
}

/// An arm of successes in which nothing varied, as if one more success and one more failure had come: a hundred of a hundred does not
/// say that there is no failure, but that there are few.
fn with_doubt(arm: Arm) -> Arm {
    if arm.variance > 0.0 || arm.count == 0.0 {
        return arm;
    }
    let share = (arm.count + 1.0) / (arm.count + 2.0);
    Arm {
        variance: share * (1.0 - share),
        ..arm
    }
}

/// Arms of which more is better.
fn oriented(goal: &MetricGoal, arms: [Arm; 2]) -> [Arm; 2] {
    arms.map(|arm| match goal.direction() {
        Direction::Higher => arm,
        Direction::Lower => Arm {
            mean: -arm.mean,
            ..arm
        },
    })
}

fn asymptotic(
    comparison: &mut Comparison,
    goal: &MetricGoal,
    [live, new]: [Arm; 2],
    levels: Levels,
    running: Option<&mut Running>,
) {
    let (Some(promote), Some(harm)) = (
        Sequential::new(levels.promote, TUNED_FOR),
        Sequential::new(levels.harm, TUNED_FOR),
    ) else {
        return;
    };
    // A margin that is a share of the live version's mean widens that mean, with its uncertainty.
    let widened = if goal.metric.has_relative_margin() {
        let factor = match goal.direction() {
            Direction::Lower => 1.0 + goal.margin,
            Direction::Higher => 1.0 - goal.margin,
        };
        Arm {
            mean: live.mean * factor,
            variance: live.variance * factor * factor,
            ..live
        }
    } else {
        Arm {
            mean: live.mean - goal.margin,
            ..live
        }
    };
    let margin = live.mean - widened.mean;
    if let Some(evidence) = promote.difference(&live, &new) {
        comparison.p = Some(evidence.p());
        if let Some(running) = running {
            running.look(&evidence);
            if running.is_empty() {
                // The difference has changed with time: what was seen before says nothing of now.
                *running = Running::default();
                running.look(&evidence);
            }
            comparison.rule = TestRule::TwoSided;
            comparison.p = Some(running.p);
            (comparison.lower, comparison.upper) = (Some(running.lower), Some(running.upper));
        }
    }
    if comparison.rule != TestRule::TwoSided {
        let ends = promote
            .guardrail(&widened, &new)
            .zip(harm.guardrail(&widened, &new));
        let Some((low, high)) = ends else { return };
        comparison.rule = TestRule::OneSided;
        comparison.lower = Some(low.lower() - margin);
        comparison.upper = Some(high.upper() - margin);
    }
    let (Some(lower), Some(upper)) = (comparison.lower, comparison.upper) else {
        return;
    };
    comparison.verdict = if upper < -margin {
        Verdict::Harmful
    } else if lower > 0.0 {
        Verdict::Better
    } else if lower > -margin {
        Verdict::NonInferior
    } else {
        Verdict::Undecided
    };
}

/// The exact test. Outcomes go into blocks whose sizes the shares set beforehand; what exceeds a block waits for the next.
fn exact(comparison: &mut Comparison, goal: &MetricGoal, sides: &Sides<'_>, levels: Levels) {
    let odds = (1.0 - sides.share) / sides.share;
    let size = |ratio: f64| ratio.clamp(1.0, LARGEST_BLOCK).round() as usize;
    let sizes = [size(odds), size(1.0 / odds)];
    let mut streams = BernoulliStreams::default();
    let mut waiting: [std::collections::VecDeque<bool>; 2] = Default::default();
    for &(is_new, went_well) in sides.order {
        waiting[usize::from(is_new)].push_back(went_well);
        if (0..2).all(|arm| waiting[arm].len() >= sizes[arm]) {
            let [first, second] = [0, 1].map(|arm| {
                let block: Vec<bool> = waiting[arm].drain(..sizes[arm]).collect();
                let well = block.iter().filter(|&&went_well| went_well).count();
                (well as u64, sizes[arm] as u64)
            });
            streams.observe(&Block { first, second });
        }
    }
    let p = streams.p();
    comparison.rule = TestRule::Exact;
    comparison.p = Some(p);
    let difference = comparison.difference.unwrap_or_default();
    comparison.verdict = if p <= levels.harm && difference < -goal.margin {
        Verdict::Harmful
    } else if p <= levels.promote && difference > 0.0 {
        Verdict::Better
    } else {
        Verdict::Undecided
    };
}
