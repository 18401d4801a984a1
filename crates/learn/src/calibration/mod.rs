//! Margins to probabilities: temperature, sigmoid (Platt) and isotonic calibration, fitted on out-of-fold margins.

mod isotonic;
mod sigmoid;
mod temperature;

pub use isotonic::Isotonic;
pub use sigmoid::Sigmoid;
pub use temperature::{CalibrationSet, Slopes, fit_temperature, softmax};

/// A fitted map from the margins of all labels to probabilities that add up to one.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Calibration {
    /// Softmax of `beta * margin`; `beta` is one over the temperature.
    Temperature {
        /// One over the temperature.
        beta: f64,
    },
    /// Softmax of margins with one slope below a knee and another above it.
    PiecewiseTemperature(Slopes),
    /// One sigmoid per label, then divided by their sum; for two labels a single one for the second label.
    Sigmoid {
        /// The sigmoids, in order of the labels.
        labels: Vec<Sigmoid>,
    },
    /// One step function per label, then divided by their sum; for two labels a single one for the second label.
    Isotonic {
        /// The step functions, in order of the labels.
        labels: Vec<Isotonic>,
    },
}

impl Calibration {
    /// Replaces margins of all labels by probabilities that add up to one.
    pub fn apply(&self, margins: &mut [f32]) {
        match self {
            Self::Temperature { beta } => softmax(margins, *beta as f32),
            Self::PiecewiseTemperature(slopes) => slopes.apply(margins),
            Self::Sigmoid { labels } => apply_per_label(margins, labels, Sigmoid::probability),
            Self::Isotonic { labels } => apply_per_label(margins, labels, Isotonic::probability),
        }
    }
}

fn apply_per_label<T>(margins: &mut [f32], labels: &[T], probability: impl Fn(&T, f64) -> f64) {
    if let ([only], [first, second]) = (labels, &mut *margins) {
        *second = probability(only, f64::from(*second)) as f32;
        *first = 1.0 - *second;
        return;
    }
    let mut sum = 0.0;
    for (margin, label) in margins.iter_mut().zip(labels) {
        *margin = probability(label, f64::from(*margin)) as f32;
        sum += *margin;
    }
    let uniform = 1.0 / margins.len() as f32;
    for margin in margins {
        *margin = if sum > 0.0 { *margin / sum } else { uniform };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn probabilities_add_up_to_one(mut margins in proptest::collection::vec(-5.0f32..5.0, 3..20), beta in 0.1f64..20.0) {
            Calibration::Temperature { beta }.apply(&mut margins);
            prop_assert!((margins.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }

        #[test]
        fn isotonic_never_falls(values in proptest::collection::vec((-3.0f64..3.0, any::<bool>()), 2..60)) {
            let (margins, positive): (Vec<f64>, Vec<bool>) = values.into_iter().unzip();
            let fitted = Isotonic::fit(&margins, &positive, &vec![1.0; margins.len()]);
            let steps: Vec<f64> = (-30..30).map(|step| fitted.probability(f64::from(step) / 10.0)).collect();
            prop_assert!(steps.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
        }
    }
}
