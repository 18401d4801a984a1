//! The trainer `linear`: TF-IDF, a balanced linear SVM and calibrated probabilities.
//!
//! The default settings are the documented ones: word 1-3 grams, 10,000 features, C = 1, balanced. Unlike
//! scikit-learn's `CalibratedClassifierCV`, which averages one calibrated copy per fold, the folds only give
//! out-of-fold margins; one calibration is fitted on them and one SVM on all examples.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::calibration::{Calibration, CalibrationSet, Isotonic, Sigmoid, Slopes, fit_temperature};
use crate::classifier::TextClassifier;
use crate::features::{Analyser, BlockSettings, LONGEST_NGRAM, Vectoriser};
use crate::order::SplitMix;
use crate::sparse::SparseRows;
use crate::svm::{LabelWeights, SvmProblem, SvmSettings, fit_svm};
use crate::trainer::{FitContext, Fitted, OutOfFold, TrainError, Trainer, TrainingSet};

/// Examples from which on two parameters of calibration can be told from noise.
const PIECEWISE_EXAMPLES: usize = 1_000;

/// Which features are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureSet {
    /// The documented ones: word n-grams.
    Words,
    /// Words 1-2 and characters 2-5 inside word boundaries, sublinear counts.
    WordsAndCharacters,
}

/// How labels are weighted against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// `n / (k * n_label)`, counted with sample weights as scikit-learn does.
    Balanced,
    /// All equal.
    None,
}

/// How margins become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationMethod {
    /// Sigmoid for two labels; for more piecewise temperature, or temperature when there are under 1,000 examples.
    Auto,
    /// Softmax with one temperature.
    Temperature,
    /// Softmax with one temperature for margins below -0.5 and another above.
    PiecewiseTemperature,
    /// One sigmoid per label.
    Sigmoid,
    /// One step function per label; wants 1,000 examples a label and more.
    Isotonic,
}

/// Settings of the trainer `linear`; what is left out has the documented default.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearSettings {
    /// Which features are made.
    pub features: FeatureSet,
    /// Shortest and longest word n-gram; by default 1 to 3, with characters 1 to 2.
    pub word_ngrams: Option<(usize, usize)>,
    /// Shortest and longest character n-gram, with `words_and_characters`.
    pub char_ngrams: (usize, usize),
    /// Most frequent word n-grams kept; by default 10,000, with characters all.
    pub max_features: Option<usize>,
    /// Texts a character n-gram must stand in.
    pub char_min_df: u32,
    /// Inverse strength of regularisation.
    pub c: f32,
    /// How labels are weighted.
    pub class_weight: ClassWeight,
    /// Average violation of the optimality conditions at which fitting ends.
    pub tolerance: f32,
    /// Passes over the data at most.
    pub max_epochs: usize,
    /// Folds for the out-of-fold margins.
    pub folds: usize,
    /// How margins become probabilities.
    pub calibration: CalibrationMethod,
}

impl Default for LinearSettings {
    fn default() -> Self {
        Self {
            features: FeatureSet::Words,
            word_ngrams: None,
            char_ngrams: (2, 5),
            max_features: None,
            char_min_df: 2,
            c: 1.0,
            class_weight: ClassWeight::Balanced,
            tolerance: 0.0005,
            max_epochs: 200,
            folds: 5,
            calibration: CalibrationMethod::Auto,
        }
    }
}

impl LinearSettings {
    /// Reads settings from JSON; what is left out keeps its default.
    pub fn parse(settings: &serde_json::Value) -> Result<Self, TrainError> {
        let parsed: Self =
            serde_json::from_value(settings.clone()).map_err(|error| TrainError::Settings {
                name: "settings".to_owned(),
                problem: error.to_string(),
            })?;
        parsed.check()?;
        Ok(parsed)
    }

    fn check(&self) -> Result<(), TrainError> {
        let refuse = |name: &str, problem: &str| {
            Err(TrainError::Settings {
                name: name.to_owned(),
                problem: problem.to_owned(),
            })
        };
        if !(self.c > 0.0 && self.c <= 1e4) {
            return refuse("c", "give a number above 0 and up to 10000");
        }
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return refuse("tolerance", "give a number between 0 and 1, such as 0.01");
        }
        if !(1..=10_000).contains(&self.max_epochs) {
            return refuse("max_epochs", "give 1 to 10000");
        }
        if !(2..=20).contains(&self.folds) {
            return refuse("folds", "give 2 to 20");
        }
        if self.max_features == Some(0) {
            return refuse("max_features", "give 1 or more, or leave it out");
        }
        for (name, (low, high)) in [
            ("word_ngrams", self.word_range()),
            ("char_ngrams", self.char_ngrams),
        ] {
            if low == 0 || low > high || high > LONGEST_NGRAM {
                return refuse(name, "give two whole numbers from 1 to 8, the smaller first");
            }
        }
        Ok(())
    }

    fn word_range(&self) -> (usize, usize) {
        self.word_ngrams.unwrap_or(match self.features {
            FeatureSet::Words => (1, 3),
            FeatureSet::WordsAndCharacters => (1, 2),
        })
    }

    /// The blocks of features that these settings ask for.
    pub fn blocks(&self) -> Vec<BlockSettings> {
        let with_characters = self.features == FeatureSet::WordsAndCharacters;
        let (min_n, max_n) = self.word_range();
        let words = BlockSettings {
            analyser: Analyser::Words,
            min_n,
            max_n,
            max_features: if with_characters {
                self.max_features
            } else {
                self.max_features.or(Some(10_000))
            },
            min_df: 1,
            sublinear: with_characters,
        };
        if !with_characters {
            return vec![words];
        }
        let (min_n, max_n) = self.char_ngrams;
        let characters = BlockSettings {
            analyser: Analyser::Characters,
            min_n,
            max_n,
            max_features: None,
            min_df: self.char_min_df,
            sublinear: true,
        };
        vec![words, characters]
    }
}

/// The trainer `linear`.
#[derive(Debug, Clone, Copy)]
pub struct LinearTrainer;

impl Trainer for LinearTrainer {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn check(&self, settings: &serde_json::Value) -> Result<(), TrainError> {
        LinearSettings::parse(settings).map(|_| ())
    }

    fn fit(
        &self,
        set: &TrainingSet,
        settings: &serde_json::Value,
        context: &FitContext<'_>,
    ) -> Result<Fitted, TrainError> {
        let settings = LinearSettings::parse(settings)?;
        let labels = set.distinct_labels();
        if labels.len() < 2 {
            let problem = format!(
                "the examples have {} label(s); a classifier needs two or more",
                labels.len()
            );
            return Err(TrainError::Data(problem));
        }
        (context.progress)(0.0, "making features");
        // In random order once, so that the visits of the SVM can be both random and local.
        let order = SplitMix::new(context.seed).permutation(set.len());
        let texts: Vec<&str> = order
            .iter()
            .map(|&row| set.texts[row as usize].as_str())
            .collect();
        let weights: Vec<f32> = order.iter().map(|&row| set.weights[row as usize]).collect();
        let label_number = |label: &String| labels.partition_point(|known| known < label) as u32;
        let numbers: Vec<u32> = order
            .iter()
            .map(|&row| label_number(&set.labels[row as usize]))
            .collect();
        let vectoriser = Vectoriser::fit(&settings.blocks(), &texts);
        context.check_cancelled()?;
        let rows = vectoriser.transform(&texts);
        let data = LabelledRows {
            rows: &rows,
            feature_count: vectoriser.feature_count(),
            labels: &numbers,
            label_count: labels.len(),
            weights: &weights,
        };
        (context.progress)(0.1, "fitting folds");
        let margins = data.out_of_fold_margins(&settings, context)?;
        (context.progress)(0.8, "fitting the final model");
        let everyone: Vec<u32> = (0..rows.len() as u32).collect();
        let fitted_weights = data.fit(&settings, &everyone, context.seed, context)?;
        (context.progress)(0.95, "calibrating");
        let calibration = calibrate(
            settings.calibration,
            &CalibrationSet {
                margins: &margins,
                label_count: labels.len(),
                labels: &numbers,
                weights: &weights,
            },
        );
        (context.progress)(1.0, "fitted");
        let classifier = TextClassifier {
            trainer: self.name().to_owned(),
            settings: serde_json::to_value(&settings).unwrap_or_default(),
            labels,
            vectoriser,
            weights: fitted_weights,
            calibration,
        };
        Ok(Fitted {
            classifier,
            out_of_fold: OutOfFold { margins, order },
            search: None,
        })
    }
}

/// Features with label numbers and weights.
struct LabelledRows<'a> {
    rows: &'a SparseRows,
    feature_count: usize,
    labels: &'a [u32],
    label_count: usize,
    weights: &'a [f32],
}

impl LabelledRows<'_> {
    fn fit(
        &self,
        settings: &LinearSettings,
        members: &[u32],
        seed: u64,
        context: &FitContext<'_>,
    ) -> Result<LabelWeights, TrainError> {
        let members: Vec<u32> = members
            .iter()
            .copied()
            .filter(|&member| self.weights[member as usize] > 0.0)
            .collect();
        let problem = SvmProblem {
            rows: self.rows,
            feature_count: self.feature_count,
            labels: self.labels,
            label_count: self.label_count,
            sample_weights: self.weights,
            label_weights: &self.label_weights(settings, &members),
            members: &members,
        };
        let svm = SvmSettings {
            c: settings.c,
            tolerance: settings.tolerance,
            max_epochs: settings.max_epochs,
            seed,
        };
        fit_svm(&problem, &svm, context)
    }

    /// Balanced weights count sample weights; a label without a member weighs one.
    fn label_weights(&self, settings: &LinearSettings, members: &[u32]) -> Vec<f32> {
        if settings.class_weight == ClassWeight::None {
            return vec![1.0; self.label_count];
        }
        let mut sums = vec![0.0f64; self.label_count];
        for &member in members {
            sums[self.labels[member as usize] as usize] += f64::from(self.weights[member as usize]);
        }
        let total: f64 = sums.iter().sum();
        let present = sums.iter().filter(|&&sum| sum > 0.0).count() as f64;
        sums.iter()
            .map(|&sum| {
                if sum > 0.0 {
                    (total / (present * sum)) as f32
                } else {
                    1.0
                }
            })
            .collect()
    }

    /// The fold of every example: the examples of one label are dealt out in turn, so that folds are stratified.
    fn folds(&self, fold_count: usize) -> Vec<usize> {
        let mut next = vec![0usize; self.label_count];
        self.labels
            .iter()
            .map(|&label| {
                let fold = next[label as usize];
                next[label as usize] = (fold + 1) % fold_count;
                fold
            })
            .collect()
    }

    /// Margins of every example by a model that did not see it.
    fn out_of_fold_margins(
        &self,
        settings: &LinearSettings,
        context: &FitContext<'_>,
    ) -> Result<Vec<f32>, TrainError> {
        let fold_count = settings.folds.min(self.rows.len());
        let folds = self.folds(fold_count);
        let done = AtomicUsize::new(0);
        let fits: Vec<LabelWeights> = (0..fold_count)
            .into_par_iter()
            .map(|fold| {
                let members: Vec<u32> = (0..self.rows.len() as u32)
                    .filter(|&row| folds[row as usize] != fold)
                    .collect();
                let seed = context.seed.wrapping_add(fold as u64 + 1);
                let fitted = self.fit(settings, &members, seed, context);
                let share = (done.fetch_add(1, Ordering::Relaxed) + 1) as f64 / fold_count as f64;
                (context.progress)(0.1 + 0.7 * share, "fitting folds");
                fitted
            })
            .collect::<Result<_, _>>()?;
        let mut margins = vec![0.0; self.rows.len() * self.label_count];
        margins
            .par_chunks_mut(self.label_count)
            .enumerate()
            .for_each_init(Vec::new, |scratch, (row, out)| {
                let (indices, values) = self.rows.row(row);
                fits[folds[row]].margins(indices.iter().copied().zip(values.iter().copied()), scratch);
                out.copy_from_slice(&scratch[..self.label_count]);
            });
        Ok(margins)
    }
}

/// Fits the way from out-of-fold margins to probabilities.
pub(crate) fn calibrate(method: CalibrationMethod, set: &CalibrationSet<'_>) -> Calibration {
    let method = match method {
        CalibrationMethod::Auto if set.label_count == 2 => CalibrationMethod::Sigmoid,
        CalibrationMethod::Auto if set.labels.len() < PIECEWISE_EXAMPLES => CalibrationMethod::Temperature,
        CalibrationMethod::Auto => CalibrationMethod::PiecewiseTemperature,
        chosen => chosen,
    };
    let per_label: Vec<usize> = if set.label_count == 2 {
        vec![1]
    } else {
        (0..set.label_count).collect()
    };
    let weights: Vec<f64> = set.weights.iter().map(|&weight| f64::from(weight)).collect();
    let column = |label: usize| -> (Vec<f64>, Vec<bool>) {
        let values = set
            .margins
            .chunks_exact(set.label_count)
            .map(|row| f64::from(row[label]))
            .collect();
        (
            values,
            set.labels.iter().map(|&own| own as usize == label).collect(),
        )
    };
    match method {
        CalibrationMethod::Sigmoid => Calibration::Sigmoid {
            labels: per_label
                .par_iter()
                .map(|&label| {
                    let (values, positive) = column(label);
                    Sigmoid::fit(&values, &positive, &weights)
                })
                .collect(),
        },
        CalibrationMethod::Isotonic => Calibration::Isotonic {
            labels: per_label
                .par_iter()
                .map(|&label| {
                    let (values, positive) = column(label);
                    Isotonic::fit(&values, &positive, &weights)
                })
                .collect(),
        },
        CalibrationMethod::PiecewiseTemperature => Calibration::PiecewiseTemperature(Slopes::fit(set)),
        CalibrationMethod::Temperature | CalibrationMethod::Auto => Calibration::Temperature {
            beta: fit_temperature(set),
        },
    }
}
