//! A fitted text classifier: text to features to margins to probabilities.

use rayon::prelude::*;

use crate::calibration::Calibration;
use crate::features::{VectorScratch, Vectoriser};
use crate::metrics::{Evaluation, argmax, top_numbers};
use crate::svm::LabelWeights;

/// Texts predicted by one thread at a time.
const CHUNK: usize = 256;

/// A classifier as trained and as loaded from an artifact.
#[derive(Debug, Clone)]
pub struct TextClassifier {
    /// Name of the trainer that made it.
    pub trainer: String,
    /// The trainer's settings, for the record.
    pub settings: serde_json::Value,
    /// Names of the labels, in order of their numbers.
    pub labels: Vec<String>,
    /// Text to features.
    pub vectoriser: Vectoriser,
    /// Features to margins.
    pub weights: LabelWeights,
    /// Margins to probabilities.
    pub calibration: Calibration,
}

/// Space that one prediction needs, reused from text to text.
#[derive(Debug, Default)]
pub struct Scratch {
    vector: VectorScratch,
    values: Vec<f32>,
}

/// What the classifier says of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Number of the most probable label.
    pub label: usize,
    /// Its calibrated probability.
    pub probability: f32,
    /// Its margin before calibration; low for texts unlike anything learned.
    pub margin: f32,
    /// The most probable labels with their probabilities, most probable first.
    pub top: Vec<(usize, f32)>,
}

impl TextClassifier {
    /// Leaves the margins of all labels in `scratch` and returns them.
    pub fn margins<'s>(&self, text: &str, scratch: &'s mut Scratch) -> &'s mut [f32] {
        self.vectoriser.vectorise(text, &mut scratch.vector);
        self.weights
            .margins(scratch.vector.features.iter().copied(), &mut scratch.values);
        &mut scratch.values[..self.labels.len()]
    }

    /// Predicts one text, with this many alternatives.
    pub fn predict(&self, text: &str, alternatives: usize, scratch: &mut Scratch) -> Prediction {
        let values = self.margins(text, scratch);
        let margin = values.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        self.calibration.apply(values);
        let label = argmax(values);
        let top = top_numbers(values, alternatives)
            .into_iter()
            .map(|number| (number, values[number]))
            .collect();
        Prediction {
            label,
            probability: values[label],
            margin,
            top,
        }
    }

    /// Probabilities of all labels for many texts on all cores, `labels.len()` values a text.
    pub fn probabilities(&self, texts: &[&str]) -> Vec<f32> {
        let count = self.labels.len();
        let mut all = vec![0.0; texts.len() * count];
        all.par_chunks_mut(CHUNK * count)
            .zip(texts.par_chunks(CHUNK))
            .for_each_init(Scratch::default, |scratch, (values, texts)| {
                for (row, text) in values.chunks_exact_mut(count).zip(texts) {
                    row.copy_from_slice(self.margins(text, scratch));
                    self.calibration.apply(row);
                }
            });
        all
    }

    /// Measures the classifier on rows whose labels are known.
    pub fn evaluate(&self, texts: &[&str], labels: &[&str]) -> Evaluation {
        Evaluation::new(&self.labels, &self.probabilities(texts), labels)
    }
}
