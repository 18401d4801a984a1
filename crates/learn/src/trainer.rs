//! What every trainer takes and gives, and the list of those there are.

use std::collections::BTreeSet;

use crate::calibration::Calibration;
use crate::classifier::TextClassifier;
use crate::linear::LinearTrainer;
use crate::search::{SearchTable, SearchTrainer};

/// Examples to learn from: text, label and weight side by side.
#[derive(Debug, Clone, Default)]
pub struct TrainingSet {
    /// Inputs.
    pub texts: Vec<String>,
    /// The label of each input.
    pub labels: Vec<String>,
    /// The weight of each input; 0 leaves it out.
    pub weights: Vec<f32>,
}

impl TrainingSet {
    /// Adds one example.
    pub fn push(&mut self, text: impl Into<String>, label: impl Into<String>, weight: f32) {
        self.texts.push(text.into());
        self.labels.push(label.into());
        self.weights.push(weight);
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The distinct labels in order.
    pub fn distinct_labels(&self) -> Vec<String> {
        self.labels
            .iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .cloned()
            .collect()
    }
}

/// What a trainer asks of its surroundings while it works.
pub struct FitContext<'a> {
    /// Seed of everything random; the same seed and set give the same model.
    pub seed: u64,
    /// Asked often; training ends with [`TrainError::Cancelled`] once it answers true.
    pub is_cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Told the share done (0 to 1) and what is being done.
    pub progress: &'a (dyn Fn(f64, &str) + Sync),
}

impl std::fmt::Debug for FitContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FitContext")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl FitContext<'static> {
    /// Never cancelled, nobody told.
    pub fn silent(seed: u64) -> Self {
        Self {
            seed,
            is_cancelled: &|| false,
            progress: &|_, _| {},
        }
    }
}

impl FitContext<'_> {
    /// Ends the training when it was cancelled.
    pub fn check_cancelled(&self) -> Result<(), TrainError> {
        if (self.is_cancelled)() {
            Err(TrainError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// Why there is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// The settings cannot be used.
    #[error("setting {name}: {problem}")]
    Settings {
        /// The setting.
        name: String,
        /// What is wrong and what it should be.
        problem: String,
    },
    /// The examples cannot be learned from.
    #[error("{0}")]
    Data(String),
    /// Someone stopped the training.
    #[error("training was cancelled")]
    Cancelled,
}

/// What a training gives.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The classifier.
    pub classifier: TextClassifier,
    /// What models that did not see them say of the examples.
    pub out_of_fold: OutOfFold,
    /// What was tried, where settings were searched for.
    pub search: Option<SearchTable>,
}

/// Margins of the examples of a training by models that did not see them.
#[derive(Debug, Clone)]
pub struct OutOfFold {
    /// Example after example in the order of fitting, one margin a label.
    pub(crate) margins: Vec<f32>,
    /// The position in the training set of each.
    pub(crate) order: Vec<u32>,
}

impl OutOfFold {
    /// Calibrated probabilities, example after example in the order of the training set, one a label.
    pub fn probabilities(self, calibration: &Calibration) -> Vec<f32> {
        let Self { mut margins, order } = self;
        if order.is_empty() {
            return margins;
        }
        let label_count = margins.len() / order.len();
        let mut probabilities = vec![0.0; margins.len()];
        for (row, &position) in margins.chunks_exact_mut(label_count).zip(&order) {
            calibration.apply(row);
            let start = position as usize * label_count;
            probabilities[start..start + label_count].copy_from_slice(row);
        }
        probabilities
    }
}

/// Makes a classifier from examples.
pub trait Trainer: Send + Sync {
    /// The name by which a task chooses it.
    fn name(&self) -> &'static str;

    /// Checks settings without training.
    fn check(&self, settings: &serde_json::Value) -> Result<(), TrainError>;

    /// Trains on all cores of the current rayon pool; blocks, so never call it on an async thread.
    fn fit(
        &self,
        set: &TrainingSet,
        settings: &serde_json::Value,
        context: &FitContext<'_>,
    ) -> Result<Fitted, TrainError>;
}

/// The trainer with this name.
pub fn find_trainer(name: &str) -> Option<Box<dyn Trainer>> {
    match name {
        "linear" => Some(Box::new(LinearTrainer)),
        "search" => Some(Box::new(SearchTrainer)),
        _ => None,
    }
}
