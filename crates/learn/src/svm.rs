//! The linear SVM: dual coordinate descent for the L2-regularised, L2-loss problem, one label against the rest.
//!
//! Source: Hsieh, Chang, Lin, Keerthi, Sundararajan, "A Dual Coordinate Descent Method for Large-scale Linear SVM",
//! ICML 2008, algorithm 1, with the bias as a feature of value one (so `Q_ii = |x_i|^2 + 1`) and
//! `D_ii = 1 / (2 C_i)`. Sixteen labels are fitted together: their weights for one feature stand side by side, so
//! that the inner loops are contiguous and vectorise. A block of labels stops when its average violation of the
//! optimality conditions falls under the tolerance. Neighbouring members are visited close together: large sets are fast
//! when their rows come in random order.

use rayon::prelude::*;

use crate::order::SplitMix;
use crate::sparse::SparseRows;
use crate::trainer::{FitContext, TrainError};

/// Labels that are fitted together.
const LANES: usize = 16;
type Lanes = [f32; LANES];

/// What to fit: rows, their labels and weights.
#[derive(Debug)]
pub struct SvmProblem<'a> {
    /// Features of every example.
    pub rows: &'a SparseRows,
    /// Number of features.
    pub feature_count: usize,
    /// Label number of every example, below `label_count`.
    pub labels: &'a [u32],
    /// Number of labels; at least two.
    pub label_count: usize,
    /// Weight of every example (the `C` of a negative example is `c * weight`).
    pub sample_weights: &'a [f32],
    /// Weight of every label, applied to its positive examples.
    pub label_weights: &'a [f32],
    /// Which examples take part.
    pub members: &'a [u32],
}

/// How to fit.
#[derive(Debug, Clone, Copy)]
pub struct SvmSettings {
    /// Inverse strength of regularisation.
    pub c: f32,
    /// Stop when the average projected gradient of a block is below this.
    pub tolerance: f32,
    /// Stop after this many passes over the data in any case.
    pub max_epochs: usize,
    /// Seed of the permutations.
    pub seed: u64,
}

/// Fitted weights, feature-major: the weights of all labels for one feature stand side by side.
#[derive(Debug, Clone)]
pub struct LabelWeights {
    /// Number of labels.
    pub label_count: usize,
    /// Labels per feature in `weights`, a multiple of the block size.
    pub stride: usize,
    /// `feature_count * stride` weights.
    pub weights: Vec<f32>,
    /// `stride` intercepts.
    pub bias: Vec<f32>,
}

impl LabelWeights {
    /// All weights zero.
    pub fn zeroed(label_count: usize, feature_count: usize) -> Self {
        let stride = label_count.next_multiple_of(LANES);
        Self {
            label_count,
            stride,
            weights: vec![0.0; feature_count * stride],
            bias: vec![0.0; stride],
        }
    }

    /// The weight of one feature for one label.
    pub fn weight(&self, label: usize, feature: usize) -> f32 {
        self.weights[feature * self.stride + label]
    }

    /// Leaves the margins of all labels (and padding) for one row in `margins`.
    pub fn margins(&self, features: impl Iterator<Item = (u32, f32)>, margins: &mut Vec<f32>) {
        margins.clear();
        margins.extend_from_slice(&self.bias);
        for (feature, value) in features {
            let start = feature as usize * self.stride;
            for (margin, weight) in margins.iter_mut().zip(&self.weights[start..start + self.stride]) {
                *margin += value * weight;
            }
        }
    }
}

/// Solution of one block of labels: weights by feature and the intercepts.
struct BlockFit {
    weights: Vec<Lanes>,
    bias: Lanes,
}

/// Fits one label against the rest for every label; two labels are fitted as one problem with the second as positive.
pub fn fit_svm(
    problem: &SvmProblem<'_>,
    settings: &SvmSettings,
    context: &FitContext<'_>,
) -> Result<LabelWeights, TrainError> {
    let fitted_labels = if problem.label_count == 2 {
        1
    } else {
        problem.label_count
    };
    let norms: Vec<f32> = (0..problem.rows.len())
        .map(|row| problem.rows.squared_norm(row) + 1.0)
        .collect();
    let blocks: Vec<BlockFit> = (0..fitted_labels.div_ceil(LANES))
        .into_par_iter()
        .map(|block| {
            let first_label = block * LANES;
            pulp::Arch::new().dispatch(BlockTask {
                problem,
                settings,
                context,
                norms: &norms,
                first_label,
                used_lanes: LANES.min(fitted_labels - first_label),
            })
        })
        .collect::<Result<_, _>>()?;
    let mut fit = LabelWeights::zeroed(problem.label_count, problem.feature_count);
    for (number, block) in blocks.iter().enumerate() {
        let first = number * LANES;
        fit.bias[first..first + LANES].copy_from_slice(&block.bias);
        for (row, lanes) in fit.weights.chunks_exact_mut(fit.stride).zip(&block.weights) {
            row[first..first + LANES].copy_from_slice(lanes);
        }
    }
    if problem.label_count == 2 {
        mirror_second_label(&mut fit);
    }
    Ok(fit)
}

/// Two labels share one hyperplane: what lane 0 holds is the margin of the second label, the first has its negative.
fn mirror_second_label(fit: &mut LabelWeights) {
    for row in fit
        .weights
        .chunks_exact_mut(fit.stride)
        .chain(std::iter::once(fit.bias.as_mut_slice()))
    {
        row[1] = row[0];
        row[0] = -row[1];
    }
}

/// One block of labels to fit. A type and not a closure: only a method that is always inlined is compiled for the
/// processor's vector instructions by `dispatch`.
struct BlockTask<'a> {
    problem: &'a SvmProblem<'a>,
    settings: &'a SvmSettings,
    context: &'a FitContext<'a>,
    /// `|x|^2 + 1` of every row.
    norms: &'a [f32],
    /// The label of the first lane.
    first_label: usize,
    /// Lanes that stand for a label; the others are padding.
    used_lanes: usize,
}

impl pulp::WithSimd for BlockTask<'_> {
    type Output = Result<BlockFit, TrainError>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) -> Self::Output {
        let problem = self.problem;
        let member_count = problem.members.len();
        let mut fit = BlockFit {
            weights: vec![[0.0; LANES]; problem.feature_count],
            bias: [0.0; LANES],
        };
        let mut duals: Vec<Lanes> = vec![[0.0; LANES]; member_count];
        let mut order: Vec<u32> = Vec::with_capacity(member_count);
        let mut random = SplitMix::new(self.settings.seed ^ (self.first_label as u64) << 32);
        for _epoch in 0..self.settings.max_epochs {
            self.context.check_cancelled()?;
            random.local_permutation(member_count, &mut order);
            let mut violations = [0.0f32; LANES];
            for &position in &order {
                let example = problem.members[position as usize] as usize;
                let lanes = lanes_of(problem, self.settings, self.norms, example, self.first_label);
                let features = problem.rows.row(example);
                visit(
                    &mut fit,
                    &mut duals[position as usize],
                    features,
                    &lanes,
                    &mut violations,
                );
            }
            let used = &violations[..self.used_lanes];
            let violation: f64 = used.iter().map(|&sum| f64::from(sum)).sum();
            if violation <= f64::from(self.settings.tolerance) * (member_count * used.len()) as f64 {
                break;
            }
        }
        Ok(fit)
    }
}

/// Constants of one example for the labels of a block.
struct ExampleLanes {
    sign: Lanes,
    diagonal: Lanes,
    inverse: Lanes,
}

#[inline(always)]
fn lanes_of(
    problem: &SvmProblem<'_>,
    settings: &SvmSettings,
    norms: &[f32],
    example: usize,
    first_label: usize,
) -> ExampleLanes {
    let label = problem.labels[example] as usize;
    let cost = settings.c * problem.sample_weights[example];
    let diagonal = 0.5 / cost;
    let mut lanes = ExampleLanes {
        sign: [-1.0; LANES],
        diagonal: [diagonal; LANES],
        inverse: [1.0 / (norms[example] + diagonal); LANES],
    };
    let positive_lane = if problem.label_count == 2 {
        // The single problem has the second label as positive; the first label's weight belongs to its negatives.
        if label == 0 {
            let diagonal = 0.5 / (cost * problem.label_weights[0]);
            lanes.diagonal[0] = diagonal;
            lanes.inverse[0] = 1.0 / (norms[example] + diagonal);
            return lanes;
        }
        0
    } else {
        label.wrapping_sub(first_label)
    };
    if positive_lane < LANES {
        let diagonal = 0.5 / (cost * problem.label_weights[label]);
        lanes.sign[positive_lane] = 1.0;
        lanes.diagonal[positive_lane] = diagonal;
        lanes.inverse[positive_lane] = 1.0 / (norms[example] + diagonal);
    }
    lanes
}

/// One coordinate step for all labels of the block; adds the sizes of the projected gradients to `violations`.
#[inline(always)]
fn visit(
    fit: &mut BlockFit,
    dual: &mut Lanes,
    (indices, values): (&[u32], &[f32]),
    lanes: &ExampleLanes,
    violations: &mut Lanes,
) {
    let mut margin = fit.bias;
    for (&feature, &value) in indices.iter().zip(values) {
        let weights = &fit.weights[feature as usize];
        for lane in 0..LANES {
            margin[lane] += value * weights[lane];
        }
    }
    let mut step = [0.0f32; LANES];
    for lane in 0..LANES {
        let gradient = lanes.sign[lane] * margin[lane] - 1.0 + lanes.diagonal[lane] * dual[lane];
        let moved = (dual[lane] - gradient * lanes.inverse[lane]).max(0.0);
        let projected = if dual[lane] > 0.0 {
            gradient
        } else {
            gradient.min(0.0)
        };
        violations[lane] += projected.abs();
        step[lane] = (moved - dual[lane]) * lanes.sign[lane];
        dual[lane] = moved;
    }
    for lane in 0..LANES {
        fit.bias[lane] += step[lane];
    }
    for (&feature, &value) in indices.iter().zip(values) {
        let weights = &mut fit.weights[feature as usize];
        for lane in 0..LANES {
            weights[lane] += value * step[lane];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separable_labels_are_separated() {
        let mut rows = SparseRows::with_capacity(30);
        let labels: Vec<u32> = (0..30).map(|example| example % 3).collect();
        for &label in &labels {
            rows.push(label, 1.0);
            rows.end_row();
        }
        let members: Vec<u32> = (0..30).collect();
        let problem = SvmProblem {
            rows: &rows,
            feature_count: 3,
            labels: &labels,
            label_count: 3,
            sample_weights: &[1.0; 30],
            label_weights: &[1.0; 3],
            members: &members,
        };
        let settings = SvmSettings {
            c: 1.0,
            tolerance: 1e-6,
            max_epochs: 1_000,
            seed: 1,
        };
        let fit = fit_svm(&problem, &settings, &FitContext::silent(1)).unwrap();
        let mut margins = Vec::new();
        for label in 0..3u32 {
            fit.margins(std::iter::once((label, 1.0)), &mut margins);
            let best = (0..3).max_by(|&a, &b| margins[a].total_cmp(&margins[b])).unwrap();
            assert_eq!(best as u32, label);
        }
    }
}
