//! How far two samples are apart, and which of many differences are real.

use statrs::distribution::{ChiSquared, ContinuousCDF as _};

/// A smaller share counts as this, so that an empty bin does not make the index infinite.
const LEAST_SHARE: f64 = 1e-6;
/// A larger product of count and squared distance has no probability left.
const FAR: f64 = 18.0;
/// Up to this count the distribution is exact.
const EXACT: f64 = 1_000.0;

/// The population stability index of shares by bin; `None` where the bins differ in number. What it means depends on the sizes of
/// the samples: a fixed limit fires on noise where they are small.
pub fn population_stability(expected: &[f64], actual: &[f64]) -> Option<f64> {
    if expected.len() != actual.len() {
        return None;
    }
    let of_bin = |(&expected, &actual): (&f64, &f64)| {
        let (expected, actual) = (expected.max(LEAST_SHARE), actual.max(LEAST_SHARE));
        (actual - expected) * (actual / expected).ln()
    };
    Some(expected.iter().zip(actual).map(of_bin).sum())
}

/// How far two mixes of labels are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixShift {
    /// The Jensen-Shannon divergence, weighted by the counts, in nats: 0 for equal mixes.
    pub divergence: f64,
    /// The p-value of "one mix": small counts need a large divergence, large ones a small one.
    pub p: f64,
}

/// Compares counts by label. Twice the count times the divergence is the likelihood-ratio statistic, chi-square with one degree of
/// freedom less than there are labels that occur. `None` where the labels differ in number or one side is empty.
pub fn mix_shift(first: &[u64], second: &[u64]) -> Option<MixShift> {
    let sum = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
    let (n, m) = (sum(first), sum(second));
    if first.len() != second.len() || n == 0.0 || m == 0.0 {
        return None;
    }
    let (mut statistic, mut labels) = (0.0, 0.0_f64);
    for (&a, &b) in first.iter().zip(second).filter(|&(&a, &b)| a + b > 0) {
        let both = (a + b) as f64;
        labels += 1.0;
        for (count, total) in [(a as f64, n), (b as f64, m)] {
            if count > 0.0 {
                statistic += 2.0 * count * (count * (n + m) / (both * total)).ln();
            }
        }
    }
    let p = ChiSquared::new(labels - 1.0).map_or(1.0, |distribution| distribution.sf(statistic.max(0.0)));
    Some(MixShift {
        divergence: (statistic / (2.0 * (n + m))).max(0.0),
        p,
    })
}

/// Which of many p-values are small together: the places of those that are kept so that at most this share of them is false
/// (Benjamini and Hochberg, JRSS-B 1995).
pub fn false_discoveries(p_values: &[f64], rate: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let count = p_values.len() as f64;
    let is_small = |&rank: &usize| p_values[order[rank]] <= rate * (rank + 1) as f64 / count;
    let kept = (0..order.len()).rev().find(is_small).map_or(0, |rank| rank + 1);
    order.truncate(kept);
    order.sort_unstable();
    order
}

/// The largest distance of two empirical distributions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KolmogorovSmirnov {
    /// The distance.
    pub distance: f64,
    /// Two-sided p-value by the distribution of one sample of the harmonic size.
    pub p: f64,
}

/// Compares two samples; `None` where one is empty.
pub fn kolmogorov_smirnov(first: &[f64], second: &[f64]) -> Option<KolmogorovSmirnov> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (a, b) = (sorted(first), sorted(second));
    let (mut i, mut j, mut distance) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let value = a[i].min(b[j]);
        while i < a.len() && a[i] <= value {
            i += 1;
        }
        while j < b.len() && b[j] <= value {
            j += 1;
        }
        distance = distance.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    let (n, m) = (a.len() as f64, b.len() as f64);
    let p = probability_beyond((n * m / (n + m)).round().max(1.0), distance);
    Some(KolmogorovSmirnov { distance, p })
}

/// The probability that the largest distance of `n` uniform values from their distribution exceeds `distance`.
fn probability_beyond(n: f64, distance: f64) -> f64 {
    if distance <= 0.0 {
        return 1.0;
    }
    let square = n * distance * distance;
    if square > FAR || distance >= 1.0 {
        return 0.0;
    }
    if n > EXACT {
        let terms = (1..=100_i32).map(|k| {
            let sign = if k % 2 == 1 { 1.0 } else { -1.0 };
            sign * (-2.0 * f64::from(k * k) * square).exp()
        });
        return (2.0 * terms.sum::<f64>()).clamp(0.0, 1.0);
    }
    (1.0 - exact_within(n, distance)).clamp(0.0, 1.0)
}

/// The exact distribution as the power of a matrix (Marsaglia, Tsang and Wang, Journal of Statistical Software 2003).
fn exact_within(n: f64, distance: f64) -> f64 {
    let k = (n * distance).floor() as usize + 1;
    let size = 2 * k - 1;
    let h = k as f64 - n * distance;
    let mut matrix = vec![vec![0.0; size]; size];
    for (i, row) in matrix.iter_mut().enumerate() {
        for (j, cell) in row.iter_mut().enumerate() {
            *cell = f64::from(u8::from(i + 1 >= j));
        }
    }
    for i in 0..size {
        let power = h.powi(i as i32 + 1);
        matrix[i][0] -= power;
        matrix[size - 1][size - 1 - i] -= power;
    }
    if 2.0 * h > 1.0 {
        matrix[size - 1][0] += (2.0 * h - 1.0).powi(size as i32);
    }
    for (i, row) in matrix.iter_mut().enumerate() {
        for (j, cell) in row.iter_mut().enumerate() {
            for divisor in 1..=(i + 1).saturating_sub(j) {
                *cell /= divisor as f64;
            }
        }
    }
    let count = n as usize;
    let (powered, mut log_scale) = power_of(&matrix, count);
    let mut within = powered[k - 1][k - 1];
    for i in 1..=count {
        within *= i as f64 / n;
        if within < 1e-140 {
            within *= 1e140;
            log_scale -= 140.0;
        }
    }
    within * 10_f64.powf(log_scale)
}

/// A power of a matrix and the decimal exponent that was taken out of it.
fn power_of(matrix: &[Vec<f64>], exponent: usize) -> (Vec<Vec<f64>>, f64) {
    if exponent == 1 {
        return (matrix.to_vec(), 0.0);
    }
    let (half, log_scale) = power_of(matrix, exponent / 2);
    let (mut result, mut log_scale) = (product(&half, &half), 2.0 * log_scale);
    if exponent % 2 == 1 {
        result = product(&result, matrix);
    }
    let middle = result[result.len() / 2][result.len() / 2];
    if middle > 1e140 {
        result.iter_mut().flatten().for_each(|cell| *cell *= 1e-140);
        log_scale += 140.0;
    }
    (result, log_scale)
}

fn product(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let size = a.len();
    let cell = |i: usize, j: usize| (0..size).map(|k| a[i][k] * b[k][j]).sum();
    (0..size)
        .map(|i| (0..size).map(|j| cell(i, j)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_distribution_are_near_and_others_far() {
        let of = |count: u32, step: u32, shift: f64| -> Vec<f64> {
            (0..count)
                .map(|i| f64::from(i * step % 997) / 997.0 + shift)
                .collect()
        };
        let near = kolmogorov_smirnov(&of(500, 7, 0.0), &of(600, 11, 0.0)).unwrap();
        let far = kolmogorov_smirnov(&of(500, 7, 0.0), &of(600, 11, 0.3)).unwrap();
        assert!(near.p > 0.2 && far.p < 1e-9, "{near:?} {far:?}");
        assert_eq!(kolmogorov_smirnov(&[], &[1.0]), None);
        assert_eq!(population_stability(&[1.0], &[0.5, 0.5]), None);
        // The exact distribution goes over into its limit.
        let (exact, limit) = (
            probability_beyond(1_000.0, 0.03),
            probability_beyond(1_001.0, 0.03),
        );
        assert!((exact - limit).abs() < 0.02, "{exact} {limit}");
    }

    #[test]
    fn mixes_of_one_source_are_seldom_told_apart_at_any_size() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut draw = |count: usize, shift: usize| {
            let mut counts = [0_u64; 5];
            for _ in 0..count {
                counts[(random.usize(..10) + shift).min(9) / 2] += 1;
            }
            counts
        };
        for count in [50, 500, 5_000] {
            let told = (0..500).filter(|_| mix_shift(&draw(count, 0), &draw(count, 0)).unwrap().p < 0.05);
            let told = told.count();
            assert!((5..50).contains(&told), "{told} of 500 at {count}");
        }
        assert!(mix_shift(&draw(2_000, 0), &draw(2_000, 1)).unwrap().p < 1e-6);
        let same = mix_shift(&[5, 10, 0], &[10, 20, 0]).unwrap();
        assert!(same.divergence < 1e-12 && same.p > 0.999, "{same:?}");
        assert_eq!(mix_shift(&[1], &[1]).unwrap().p, 1.0);
        assert_eq!(mix_shift(&[0], &[1]), None);
        assert_eq!(mix_shift(&[1, 2], &[1]), None);
    }

    #[test]
    fn of_many_small_p_values_those_are_kept_that_are_small_together() {
        // The example of the paper, section 3.2: four of fifteen at .05.
        let p_values = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
            0.6528, 0.7590, 1.0000,
        ];
        assert_eq!(false_discoveries(&p_values, 0.05), [0, 1, 2, 3]);
        assert_eq!(false_discoveries(&[0.5, 0.01], 0.05), [1]);
        assert_eq!(false_discoveries(&[], 0.05), Vec::<usize>::new());
    }
}
