//! The offline gate: whether a candidate may serve, by what it and the version that serves answer on the same held-out rows.
//!
//! `evaluate` brings the answers, this decides and says why with the numbers; the decision is kept with the run. It reads and
//! writes nothing.

use std::collections::HashMap;

use hone_domain::{DeploymentPolicy, GateRule};
use hone_learn::Evaluation;
use hone_stats::{LabelledPair, McNemar, paired_bootstrap};

/// Times that rows are drawn again for the interval of the difference.
const DRAWS: usize = 2_000;
/// With fewer held-out rows an interval is so wide that it refuses almost everything: the documented rule decides there.
const FEWEST_ROWS: usize = 100;
/// Labels whose F1 fell most, that a decision lists.
const MAX_REGRESSIONS: usize = 10;

/// The gate's decision, kept with the run.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Decision {
    /// Whether the candidate may serve.
    pub accepted: bool,
    /// Why, in words with the numbers.
    pub reason: String,
    /// Accuracy of the candidate on the held-out rows.
    pub candidate_accuracy: f64,
    /// macro-F1 of the candidate on the held-out rows.
    pub candidate_macro_f1: f64,
    /// macro-F1 of the version that serves, on the same rows.
    pub baseline_macro_f1: Option<f64>,
    /// How far below the baseline a candidate may be.
    pub max_f1_drop: f64,
    /// Held-out rows compared.
    pub held_out: usize,
    /// The rule that decided; `None` for a first version, and for decisions from before there were several.
    #[serde(default)]
    pub rule: Option<GateRule>,
    /// The comparison row by row, where there was a version to compare with.
    #[serde(default)]
    pub comparison: Option<PairedComparison>,
}

/// Candidate and baseline on the same rows.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PairedComparison {
    /// Rows that only the candidate has right.
    pub only_candidate_right: u64,
    /// Rows that only the baseline has right.
    pub only_baseline_right: u64,
    /// McNemar's mid-p of "both are equally often right".
    pub mcnemar_mid_p: f64,
    /// The candidate's macro-F1 less the baseline's over the labels of the rows.
    pub macro_f1_difference: f64,
    /// The lower end of that difference, which holds but for `error_rate`.
    pub macro_f1_lower: f64,
    /// The upper end, which holds but for the same.
    pub macro_f1_upper: f64,
    /// Chance at which either end may be wrong.
    pub error_rate: f64,
    /// Expected calibration error of the candidate.
    pub candidate_ece: f64,
    /// Expected calibration error of the baseline.
    pub baseline_ece: f64,
    /// Median time of the candidate for one held-out row, in microseconds; 0 in comparisons from before it was measured.
    #[serde(default)]
    pub candidate_latency_us: f64,
    /// The same of the baseline.
    #[serde(default)]
    pub baseline_latency_us: f64,
    /// Labels whose F1 fell, those that fell most first; at most ten.
    pub regressions: Vec<LabelRegression>,
}

/// A label that the candidate knows less well.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LabelRegression {
    /// The label.
    pub label: String,
    /// F1 of the candidate.
    pub candidate_f1: f64,
    /// F1 of the baseline.
    pub baseline_f1: f64,
    /// Held-out rows with the label.
    pub support: usize,
}

/// What a version answers on the held-out rows.
pub(crate) struct Judged {
    pub evaluation: Evaluation,
    /// A label for each row, in the order of the rows.
    pub answers: Vec<String>,
    /// Median time for one row, in microseconds.
    pub latency_us: f64,
}

impl Decision {
    /// Decides by the task's policy; a first version always serves. `truth` are the right labels of the rows that both answered,
    /// and the seed decides which rows are drawn again.
    pub(crate) fn new(
        policy: &DeploymentPolicy,
        truth: &[&str],
        candidate: &Judged,
        baseline: Option<&Judged>,
        seed: u64,
    ) -> Self {
        let comparison = baseline
            .map(|baseline| PairedComparison::of(policy.gate_error, truth, candidate, baseline, seed));
        let of = |judged: &Judged| judged.evaluation.macro_f1;
        let (f1, baseline_f1) = (of(candidate), baseline.map(of));
        let (rule, accepted, reason) = match comparison.as_ref().zip(baseline_f1) {
            None => {
                let reason = "there is no version to compare it with; the first one always serves";
                (None, true, reason.to_owned())
            }
            Some((comparison, baseline)) => decide(policy, truth.len(), f1, baseline, comparison),
        };
        Self {
            accepted,
            reason,
            candidate_accuracy: candidate.evaluation.accuracy,
            candidate_macro_f1: f1,
            baseline_macro_f1: baseline_f1,
            max_f1_drop: policy.max_f1_drop,
            held_out: candidate.evaluation.sample_count,
            rule,
            comparison,
        }
    }
}

/// The rule that decides, its verdict and the reason.
fn decide(
    policy: &DeploymentPolicy,
    rows: usize,
    f1: f64,
    baseline: f64,
    comparison: &PairedComparison,
) -> (Option<GateRule>, bool, String) {
    let margin = policy.max_f1_drop;
    let lower = comparison.macro_f1_lower;
    // Rounded, as 1 - 0.07 is 0.9299999999999999.
    let confidence = (1e4 * (1.0 - comparison.error_rate)).round() / 100.0;
    let (documented, by_measure) = by_f1(f1, baseline, margin);
    let difference = format!(
        "macro-F1 {f1:.4} against the serving version's {baseline:.4}, a difference of at least {lower:+.4} with {confidence} % confidence"
    );
    match policy.gate {
        GateRule::Documented => (Some(GateRule::Documented), documented, by_measure),
        GateRule::NonInferior if rows < FEWEST_ROWS => {
            let reason = format!(
                "{by_measure} ({rows} held-out rows are too few for an interval; it decides from {FEWEST_ROWS} on)"
            );
            (Some(GateRule::Documented), documented, reason)
        }
        GateRule::NonInferior => {
            let accepted = lower > -margin || is_same(comparison);
            let verdict = if accepted {
                "not worse"
            } else {
                "not shown to be no worse"
            };
            let reason = format!("{verdict} by more than {margin}: {difference}");
            (Some(GateRule::NonInferior), accepted, reason)
        }
        GateRule::Superior => {
            let accepted = lower > 0.0;
            let verdict = if accepted {
                "better"
            } else {
                "not shown to be better"
            };
            (
                Some(GateRule::Superior),
                accepted,
                format!("{verdict}: {difference}"),
            )
        }
    }
}

/// Whether both are right on the same rows, where a margin of 0 is kept as well.
fn is_same(comparison: &PairedComparison) -> bool {
    comparison.macro_f1_lower == 0.0 && comparison.macro_f1_difference == 0.0
}

/// The documented rule: a later version is refused when its macro-F1 is more than `max_drop` below the baseline's.
fn by_f1(f1: f64, baseline: f64, max_drop: f64) -> (bool, String) {
    let reason = if f1 >= baseline {
        format!("macro-F1 {f1:.4} is no worse than the serving version's {baseline:.4}")
    } else if f1 >= baseline - max_drop {
        format!("macro-F1 {f1:.4} is no more than {max_drop} below the serving version's {baseline:.4}")
    } else {
        format!("macro-F1 {f1:.4} is more than {max_drop} below the serving version's {baseline:.4}")
    };
    (f1 >= baseline - max_drop, reason)
}

impl PairedComparison {
    fn of(error_rate: f64, truth: &[&str], candidate: &Judged, baseline: &Judged, seed: u64) -> Self {
        let rows = pairs(truth, &baseline.answers, &candidate.answers);
        let count = |is_one: fn(&LabelledPair) -> bool| rows.iter().filter(|row| is_one(row)).count() as u64;
        let only_candidate_right = count(|row| row.second == row.truth && row.first != row.truth);
        let only_baseline_right = count(|row| row.first == row.truth && row.second != row.truth);
        // Each end may be wrong at the set rate, so that the interval of both is wrong at twice that.
        let interval = paired_bootstrap(&rows, DRAWS, 2.0 * error_rate, seed);
        let interval = interval.map_or((0.0, -1.0, 1.0), |found| (found.delta, found.lower, found.upper));
        Self {
            only_candidate_right,
            only_baseline_right,
            mcnemar_mid_p: McNemar::of(only_baseline_right, only_candidate_right).mid,
            macro_f1_difference: interval.0,
            macro_f1_lower: interval.1,
            macro_f1_upper: interval.2,
            error_rate,
            candidate_ece: candidate.evaluation.ece,
            baseline_ece: baseline.evaluation.ece,
            candidate_latency_us: candidate.latency_us,
            baseline_latency_us: baseline.latency_us,
            regressions: regressions(&candidate.evaluation, &baseline.evaluation),
        }
    }
}

/// Rows with their labels as numbers.
fn pairs<'a>(truth: &[&'a str], first: &'a [String], second: &'a [String]) -> Vec<LabelledPair> {
    let mut numbers: HashMap<&'a str, u32> = HashMap::new();
    let mut number = |label: &'a str| {
        let next = numbers.len() as u32;
        *numbers.entry(label).or_insert(next)
    };
    let answers = first.iter().zip(second);
    truth
        .iter()
        .zip(answers)
        .map(|(truth, (first, second))| LabelledPair {
            truth: number(truth),
            first: number(first),
            second: number(second),
        })
        .collect()
}

fn regressions(candidate: &Evaluation, baseline: &Evaluation) -> Vec<LabelRegression> {
    let mut fallen: Vec<LabelRegression> = baseline
        .per_label
        .iter()
        .filter(|(_, metrics)| metrics.support > 0)
        .map(|(label, metrics)| LabelRegression {
            label: label.clone(),
            candidate_f1: candidate.per_label.get(label).map_or(0.0, |metrics| metrics.f1),
            baseline_f1: metrics.f1,
            support: metrics.support,
        })
        .filter(|regression| regression.candidate_f1 < regression.baseline_f1)
        .collect();
    let fall = |regression: &LabelRegression| regression.candidate_f1 - regression.baseline_f1;
    fallen.sort_by(|a, b| fall(a).total_cmp(&fall(b)));
    fallen.truncate(MAX_REGRESSIONS);
    fallen
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [&str; 4] = ["a", "b", "c", "d"];

    /// Answers of which so many of ten are right.
    fn judged(rows: usize, right: usize) -> Judged {
        let names = LABELS.map(str::to_owned);
        let answer = |row: usize| {
            if row * 7 % 10 < right {
                row % 4
            } else {
                (row + 1) % 4
            }
        };
        let probabilities: Vec<f32> = (0..rows)
            .flat_map(|row| {
                std::array::from_fn::<f32, 4, _>(|label| if label == answer(row) { 0.7 } else { 0.1 })
            })
            .collect();
        Judged {
            evaluation: Evaluation::new(&names, &probabilities, &truth(rows)),
            answers: (0..rows).map(|row| LABELS[answer(row)].to_owned()).collect(),
            latency_us: 2.0,
        }
    }

    fn truth(rows: usize) -> Vec<&'static str> {
        (0..rows).map(|row| LABELS[row % 4]).collect()
    }

    fn decision(gate: GateRule, rows: usize, candidate: usize, baseline: usize) -> Decision {
        let policy = DeploymentPolicy {
            gate,
            ..DeploymentPolicy::default()
        };
        let (candidate, baseline) = (judged(rows, candidate), judged(rows, baseline));
        Decision::new(&policy, &truth(rows), &candidate, Some(&baseline), 1)
    }

    #[test]
    fn the_first_version_always_serves() {
        let first = Decision::new(&DeploymentPolicy::default(), &truth(40), &judged(40, 1), None, 1);
        assert!(first.accepted && first.comparison.is_none() && first.rule.is_none());
    }

    #[test]
    fn a_candidate_that_is_no_worse_passes_and_a_worse_one_does_not() {
        let same = decision(GateRule::NonInferior, 400, 8, 8);
        assert!(same.accepted, "{}", same.reason);
        let worse = decision(GateRule::NonInferior, 400, 7, 8);
        assert!(!worse.accepted && worse.rule == Some(GateRule::NonInferior));
        assert!(
            worse
                .reason
                .starts_with("not shown to be no worse by more than 0.05"),
            "{}",
            worse.reason
        );
        let compared = worse.comparison.unwrap();
        assert_eq!(
            (compared.only_candidate_right, compared.only_baseline_right),
            (0, 40)
        );
        assert!(
            compared.mcnemar_mid_p < 1e-6 && compared.macro_f1_upper < 0.0,
            "{compared:?}"
        );
        assert_eq!(compared.regressions.len(), 4);
    }

    #[test]
    fn the_confidence_is_told_as_it_was_set() {
        let policy = DeploymentPolicy {
            gate_error: 0.07,
            ..DeploymentPolicy::default()
        };
        let judged = judged(400, 8);
        let decision = Decision::new(&policy, &truth(400), &judged, Some(&judged), 1);
        assert!(
            decision.reason.ends_with("+0.0000 with 93 % confidence"),
            "{}",
            decision.reason
        );
    }

    #[test]
    fn superiority_has_to_be_shown() {
        assert!(decision(GateRule::Superior, 400, 9, 8).accepted);
        let same = decision(GateRule::Superior, 400, 8, 8);
        assert!(
            !same.accepted && same.reason.starts_with("not shown to be better"),
            "{}",
            same.reason
        );
    }

    #[test]
    fn the_documented_rule_allows_a_drop_of_a_twentieth_and_decides_where_rows_are_few() {
        let near = decision(GateRule::Documented, 400, 8, 8);
        assert!(
            near.accepted && near.reason.contains("no worse"),
            "{}",
            near.reason
        );
        let refused = decision(GateRule::Documented, 400, 6, 9);
        assert!(
            !refused.accepted && refused.reason.contains("more than 0.05 below"),
            "{}",
            refused.reason
        );
        let few = decision(GateRule::NonInferior, 60, 9, 8);
        assert!(few.accepted && few.rule == Some(GateRule::Documented));
        assert!(
            few.reason.contains("60 held-out rows are too few"),
            "{}",
            few.reason
        );
    }

    #[test]
    fn decisions_from_before_the_comparison_go_on_loading() {
        let old = r#"{"accepted":true,"reason":"r","candidate_accuracy":0.5,"candidate_macro_f1":0.5,"baseline_macro_f1":null,
            "max_f1_drop":0.05,"held_out":10}"#;
        let old: Decision = serde_json::from_str(old).unwrap();
        assert!(old.rule.is_none() && old.comparison.is_none());
    }
}
