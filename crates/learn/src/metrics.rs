//! How good a classifier is on rows whose labels are known: accuracy, macro-averages, calibration, confusion.
//!
//! Definitions are scikit-learn's: macro averages run over every label that was true or predicted, a ratio with
//! nothing below it counts zero. The expected calibration error uses fifteen bins of equal width.

use std::collections::{BTreeMap, BTreeSet};

use crate::selective::SelectiveCurve;

/// Bins of the expected calibration error.
const ECE_BINS: usize = 15;
/// Misclassified rows kept in an evaluation, those the model was surest of first.
const MAX_MISCLASSIFIED: usize = 200;
/// Alternatives kept with a misclassified row.
const TOP: usize = 3;

/// What one label's predictions are worth.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LabelMetrics {
    /// Share of the predictions of this label that were right.
    pub precision: f64,
    /// Share of this label's rows that were found.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Rows with this label.
    pub support: usize,
}

/// A row whose label was missed.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Misclassified {
    /// Number of the row among those evaluated.
    pub row: usize,
    /// Id of the row, where whoever evaluated gives it one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The true label.
    pub label: String,
    /// The predicted label.
    pub predicted: String,
    /// Probability of the predicted label.
    pub probability: f64,
    /// Most probable labels with their probabilities.
    pub top: Vec<(String, f64)>,
}

/// Everything measured on one set of rows.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Evaluation {
    /// Rows evaluated.
    pub sample_count: usize,
    /// Labels that were true or predicted.
    pub label_count: usize,
    /// Share of rows predicted rightly.
    pub accuracy: f64,
    /// Mean precision over labels.
    pub macro_precision: f64,
    /// Mean recall over labels.
    pub macro_recall: f64,
    /// Mean F1 over labels.
    pub macro_f1: f64,
    /// Expected calibration error of the best label's probability, fifteen bins.
    pub ece: f64,
    /// Mean negative log-probability of the true label.
    pub log_loss: f64,
    /// How many answers are wrong above each threshold of confidence.
    #[serde(default)]
    pub selective: SelectiveCurve,
    /// Metrics by label.
    pub per_label: BTreeMap<String, LabelMetrics>,
    /// Rows by true label, then by predicted label.
    pub confusion: BTreeMap<String, BTreeMap<String, usize>>,
    /// Missed rows, those the model was surest of first; at most 200.
    pub misclassified: Vec<Misclassified>,
}

impl Evaluation {
    /// Evaluates predictions: `probabilities` holds one value per name in `labels` for every row of `truth`.
    pub fn new(labels: &[String], probabilities: &[f32], truth: &[&str]) -> Self {
        let mut confusion: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        let mut misclassified = Vec::new();
        let mut confidences = Vec::with_capacity(truth.len());
        let mut bins = [(0.0f64, 0usize); ECE_BINS];
        let (mut correct, mut log_loss) = (0usize, 0.0f64);
        let numbers: BTreeMap<&str, usize> =
            labels.iter().enumerate().map(|(n, l)| (l.as_str(), n)).collect();
        for (row, (probabilities, &label)) in probabilities.chunks_exact(labels.len()).zip(truth).enumerate()
        {
            let best = argmax(probabilities);
            let probability = f64::from(probabilities[best]);
            let is_right = labels[best] == label;
            correct += usize::from(is_right);
            confidences.push((probability, is_right));
            let of_truth = numbers
                .get(label)
                .map_or(0.0, |&number| f64::from(probabilities[number]));
            log_loss -= of_truth.max(1e-15).ln();
            // Bins are open to the left, as is customary: (0, 1/15], (1/15, 2/15], ...
            let bin = ((probability * ECE_BINS as f64).ceil() as usize).clamp(1, ECE_BINS) - 1;
            bins[bin].0 += probability;
            bins[bin].1 += usize::from(is_right);
            *confusion
                .entry(label.to_owned())
                .or_default()
                .entry(labels[best].clone())
                .or_default() += 1;
            if !is_right {
                misclassified.push(Misclassified {
                    row,
                    id: None,
                    label: label.to_owned(),
                    predicted: labels[best].clone(),
                    probability,
                    top: top(labels, probabilities, TOP),
                });
            }
        }
        misclassified.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        misclassified.truncate(MAX_MISCLASSIFIED);
        let per_label = label_metrics(&confusion);
        let mean = |value: fn(&LabelMetrics) -> f64| {
            per_label.values().map(value).sum::<f64>() / per_label.len().max(1) as f64
        };
        let count = truth.len().max(1) as f64;
        Self {
            sample_count: truth.len(),
            label_count: per_label.len(),
            accuracy: correct as f64 / count,
            macro_precision: mean(|metrics| metrics.precision),
            macro_recall: mean(|metrics| metrics.recall),
            macro_f1: mean(|metrics| metrics.f1),
            ece: bins
                .iter()
                .map(|(sum, right)| (sum - *right as f64).abs())
                .sum::<f64>()
                / count,
            log_loss: log_loss / count,
            selective: SelectiveCurve::of(&confidences),
            per_label,
            confusion,
            misclassified,
        }
    }
}

fn label_metrics(confusion: &BTreeMap<String, BTreeMap<String, usize>>) -> BTreeMap<String, LabelMetrics> {
    let names: BTreeSet<&String> = confusion
        .keys()
        .chain(confusion.values().flat_map(BTreeMap::keys))
        .collect();
    let mut predicted: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, count) in confusion.values().flatten() {
        *predicted.entry(name).or_default() += count;
    }
    let ratio = |part: usize, whole: usize| {
        if whole == 0 {
            0.0
        } else {
            part as f64 / whole as f64
        }
    };
    names
        .into_iter()
        .map(|name| {
            let row = confusion.get(name);
            let support = row.map_or(0, |row| row.values().sum());
            let right = row.and_then(|row| row.get(name)).copied().unwrap_or(0);
            let predicted = predicted.get(name.as_str()).copied().unwrap_or(0);
            let metrics = LabelMetrics {
                precision: ratio(right, predicted),
                recall: ratio(right, support),
                f1: ratio(2 * right, predicted + support),
                support,
            };
            (name.clone(), metrics)
        })
        .collect()
}

/// Number of the largest value; the first one among equals.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (number, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = number;
        }
    }
    best
}

/// The `count` most probable labels with their probabilities, most probable first.
pub fn top(labels: &[String], probabilities: &[f32], count: usize) -> Vec<(String, f64)> {
    top_numbers(probabilities, count)
        .into_iter()
        .map(|number| (labels[number].clone(), f64::from(probabilities[number])))
        .collect()
}

/// Numbers of the `count` largest values, largest first.
pub fn top_numbers(values: &[f32], count: usize) -> Vec<usize> {
    let count = count.min(values.len());
    let mut best: Vec<usize> = Vec::with_capacity(count + 1);
    for (number, value) in values.iter().enumerate() {
        if best.len() == count && best.last().is_none_or(|&last| *value <= values[last]) {
            continue;
        }
        let position = best.partition_point(|&other| values[other] >= *value);
        best.insert(position, number);
        best.truncate(count);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("label{number}")).collect()
    }

    #[test]
    fn a_small_case_worked_by_hand() {
        // true: 0 0 1 1, predicted: 0 1 1 1
        let probabilities = [0.9, 0.1, 0.4, 0.6, 0.2, 0.8, 0.3, 0.7];
        let evaluation = Evaluation::new(
            &names(2),
            &probabilities,
            &["label0", "label0", "label1", "label1"],
        );
        assert!((evaluation.accuracy - 0.75).abs() < 1e-12);
        assert!((evaluation.per_label["label0"].f1 - 2.0 / 3.0).abs() < 1e-12);
        assert!((evaluation.per_label["label1"].precision - 2.0 / 3.0).abs() < 1e-12);
        assert!((evaluation.macro_f1 - f64::midpoint(2.0 / 3.0, 0.8)).abs() < 1e-12);
        assert_eq!(evaluation.misclassified.len(), 1);
        assert_eq!(evaluation.confusion["label0"]["label1"], 1);
    }

    proptest! {
        #[test]
        fn metrics_stay_in_range_and_confusion_counts_every_row(rows in proptest::collection::vec((0usize..4, 0usize..5, 0.2f32..1.0), 1..50)) {
            let labels = names(5);
            let mut probabilities = Vec::new();
            for &(predicted, _, sure) in &rows {
                probabilities.extend((0..5).map(|label| if label == predicted { sure } else { (1.0 - sure) / 4.0 }));
            }
            let truth: Vec<&str> = rows.iter().map(|row| labels[row.1].as_str()).collect();
            let evaluation = Evaluation::new(&labels, &probabilities, &truth);
            for value in [evaluation.accuracy, evaluation.macro_f1, evaluation.macro_recall, evaluation.ece] {
                prop_assert!((0.0..=1.0 + 1e-9).contains(&value));
            }
            prop_assert_eq!(evaluation.confusion.values().flat_map(BTreeMap::values).sum::<usize>(), rows.len());
            prop_assert_eq!(evaluation.per_label.values().map(|label| label.support).sum::<usize>(), rows.len());
        }

        #[test]
        fn top_numbers_agree_with_sorting(values in proptest::collection::vec(0.0f32..1.0, 1..30), count in 1usize..6) {
            let mut sorted: Vec<usize> = (0..values.len()).collect();
            sorted.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
            sorted.truncate(count);
            prop_assert_eq!(top_numbers(&values, count), sorted);
        }
    }
}
