//! Features to models: TF-IDF, the linear SVM, calibration, metrics and the artifact format.
//!
//! `engine::train` calls a [`Trainer`] with a [`TrainingSet`]; the answer is a [`TextClassifier`], which `engine`
//! stores as bytes and loads again to predict. Everything here is pure and synchronous: no files, no database.

mod agreement;
pub mod artifact;
pub mod calibration;
mod classifier;
mod cluster;
mod embed;
mod features;
mod label_errors;
mod linear;
pub mod metrics;
mod neighbours;
mod order;
mod search;
mod selective;
mod sparse;
mod svm;
mod terms;
mod trainer;

pub use agreement::{cohen_kappa, krippendorff_alpha};
pub use artifact::ArtifactError;
pub use calibration::Calibration;
pub use classifier::{Prediction, Scratch, TextClassifier};
pub use cluster::{Clusters, cluster};
pub use embed::{Embedder, Lsa};
pub use features::{Analyser, Block, BlockSettings, Vectoriser};
pub use label_errors::{LabelError, LabelledProbabilities};
pub use linear::{CalibrationMethod, ClassWeight, FeatureSet, LinearSettings, LinearTrainer};
pub use metrics::{Evaluation, LabelMetrics, Misclassified};
pub use neighbours::nearest;
pub use search::{SearchEntry, SearchSettings, SearchTable, SearchTrainer};
pub use selective::{Certified, SelectiveCurve, clopper_pearson, exceeds};
pub use sparse::SparseRows;
pub use svm::{LabelWeights, SvmProblem, SvmSettings, fit_svm};
pub use trainer::{FitContext, Fitted, OutOfFold, TrainError, Trainer, TrainingSet, find_trainer};
