//! Texts to dense vectors whose cosine says how alike two texts are.
//!
//! Latent semantic analysis (Deerwester et al., JASIS 1990): TF-IDF rows projected on their strongest directions. These
//! come from a randomised SVD (Halko, Martinsson, Tropp, SIAM Review 2011, algorithm 4.4: subspace iteration, then
//! Rayleigh-Ritz), fitted on the project's own texts, so that nothing is shipped or asked of a provider.

use std::sync::Mutex;

use crate::features::{Analyser, BlockSettings, VectorScratch, Vectoriser};
use crate::order::SplitMix;
use crate::sparse::SparseRows;

/// Directions beyond the wanted ones that make the wanted ones exact.
const OVERSAMPLING: usize = 8;
/// Rounds of subspace iteration.
const ROUNDS: usize = 3;
/// Sweeps of Jacobi's method beyond which nothing changes in double precision.
const MAX_SWEEPS: usize = 30;
/// Directions whose strength is below this part of the strongest are noise of rounding.
const NOISE: f64 = 1e-9;

/// Turns texts into vectors of one length. Vectors of embedders with different ids must never be compared.
pub trait Embedder: std::fmt::Debug + Send + Sync {
    /// What made the vectors: method and what it was fitted on.
    fn id(&self) -> &str;

    /// Length of the vectors.
    fn dimensions(&self) -> usize;

    /// The text as a vector of length one, or all zero where nothing of the text is known.
    fn embed(&self, text: &str) -> Vec<f32>;
}

/// Latent semantic analysis of a collection of texts.
#[derive(Debug)]
pub struct Lsa {
    id: String,
    vectoriser: Vectoriser,
    /// Shape (features, dimensions), row by row.
    directions: Vec<f32>,
    dimensions: usize,
    scratch: Mutex<VectorScratch>,
}

impl Lsa {
    /// Learns directions from texts; at most as many as there are texts. `seed` makes it repeatable.
    pub fn fit(texts: &[&str], dimensions: usize, seed: u64) -> Self {
        let vectoriser = Vectoriser::fit(&blocks(texts.len()), texts);
        let rows = vectoriser.transform(texts);
        let basis = strongest_directions(&rows, vectoriser.feature_count(), dimensions, seed);
        Self {
            id: format!("lsa-{}-{}-{seed}", basis.columns, texts.len()),
            dimensions: basis.columns,
            directions: basis.values.iter().map(|&value| value as f32).collect(),
            vectoriser,
            scratch: Mutex::default(),
        }
    }
}

impl Embedder for Lsa {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn embed(&self, text: &str) -> Vec<f32> {
        let mut scratch = self
            .scratch
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        self.vectoriser.vectorise(text, &mut scratch);
        let mut vector = vec![0.0f32; self.dimensions];
        for &(feature, value) in &scratch.features {
            let start = feature as usize * self.dimensions;
            for (sum, direction) in vector.iter_mut().zip(&self.directions[start..]) {
                *sum += value * direction;
            }
        }
        let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        if norm > 0.0 {
            for value in &mut vector {
                *value /= norm;
            }
        }
        vector
    }
}

/// Words for what is said, characters for inflections, typing errors and languages without spaces.
fn blocks(texts: usize) -> [BlockSettings; 2] {
    let block = |analyser, min_n, max_n| BlockSettings {
        analyser,
        min_n,
        max_n,
        max_features: Some(20_000),
        // A term of a single text says nothing of likeness, except where there are hardly any texts.
        min_df: if texts < 50 { 1 } else { 2 },
        sublinear: true,
    };
    [block(Analyser::Words, 1, 2), block(Analyser::Characters, 3, 4)]
}

/// A dense matrix, row by row.
struct Matrix {
    values: Vec<f64>,
    columns: usize,
}

impl Matrix {
    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// `selfᵀ self`.
    fn gram(&self) -> Self {
        let n = self.columns;
        let mut gram = vec![0.0; n * n];
        for row in self.values.chunks_exact(n) {
            for (i, &left) in row.iter().enumerate() {
                if left != 0.0 {
                    for (sum, right) in gram[i * n..][..n].iter_mut().zip(row) {
                        *sum += left * right;
                    }
                }
            }
        }
        Self {
            values: gram,
            columns: n,
        }
    }

    /// `self · right`.
    fn times(&self, right: &Self) -> Self {
        let mut values = Vec::with_capacity(self.values.len() / self.columns.max(1) * right.columns);
        for row in self.values.chunks_exact(self.columns) {
            let start = values.len();
            values.resize(start + right.columns, 0.0);
            for (inner, &left) in row.iter().enumerate() {
                for (sum, factor) in values[start..].iter_mut().zip(right.row(inner)) {
                    *sum += left * factor;
                }
            }
        }
        Self {
            values,
            columns: right.columns,
        }
    }
}

/// An orthonormal basis of the strongest right singular directions, shape (features, at most `wanted`).
fn strongest_directions(rows: &SparseRows, features: usize, wanted: usize, seed: u64) -> Matrix {
    let columns = (wanted + OVERSAMPLING).min(rows.len()).min(features);
    if columns == 0 {
        // Texts that share no term have no direction in common.
        return Matrix {
            values: Vec::new(),
            columns: 0,
        };
    }
    let mut random = SplitMix::new(seed);
    let signs = (0..features * columns).map(|_| random.sign());
    let mut basis = Matrix {
        values: signs.collect(),
        columns,
    };
    for _ in 0..ROUNDS {
        basis = orthonormal(&basis, columns);
        let projected = times_sparse(rows, &basis);
        basis = transposed_times_sparse(rows, &projected, features);
    }
    basis = orthonormal(&basis, columns);
    // Rayleigh-Ritz: within the subspace, turn to the strongest directions and keep the wanted ones.
    let projected = times_sparse(rows, &basis);
    let (strengths, turns) = eigen(&projected.gram());
    let kept = kept_columns(&strengths, wanted);
    basis.times(&columns_of(&turns, &kept, |_| 1.0))
}

/// `rows · basis`, shape (texts, columns).
fn times_sparse(rows: &SparseRows, basis: &Matrix) -> Matrix {
    let columns = basis.columns;
    let mut values = vec![0.0; rows.len() * columns];
    for (row, sums) in values.chunks_exact_mut(columns).enumerate() {
        let (indices, weights) = rows.row(row);
        for (&feature, &weight) in indices.iter().zip(weights) {
            for (sum, direction) in sums.iter_mut().zip(basis.row(feature as usize)) {
                *sum += f64::from(weight) * direction;
            }
        }
    }
    Matrix { values, columns }
}

/// `rowsᵀ · projected`, shape (features, columns).
fn transposed_times_sparse(rows: &SparseRows, projected: &Matrix, features: usize) -> Matrix {
    let columns = projected.columns;
    let mut values = vec![0.0; features * columns];
    for row in 0..rows.len() {
        let (indices, weights) = rows.row(row);
        for (&feature, &weight) in indices.iter().zip(weights) {
            let sums = &mut values[feature as usize * columns..][..columns];
            for (sum, along) in sums.iter_mut().zip(projected.row(row)) {
                *sum += f64::from(weight) * along;
            }
        }
    }
    Matrix { values, columns }
}

/// Orthonormal columns that span the same; directions that others already span fall away.
fn orthonormal(matrix: &Matrix, wanted: usize) -> Matrix {
    let (strengths, turns) = eigen(&matrix.gram());
    let kept = kept_columns(&strengths, wanted);
    matrix.times(&columns_of(&turns, &kept, |column| {
        1.0 / strengths[column].sqrt()
    }))
}

/// The strongest columns, strongest first, without those that are noise.
fn kept_columns(strengths: &[f64], wanted: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..strengths.len()).collect();
    order.sort_by(|&a, &b| strengths[b].total_cmp(&strengths[a]));
    let strongest = order.first().map_or(0.0, |&first| strengths[first]);
    order.retain(|&column| strengths[column] > strongest * NOISE && strengths[column] > 0.0);
    order.truncate(wanted);
    order
}

fn columns_of(matrix: &Matrix, columns: &[usize], scale: impl Fn(usize) -> f64) -> Matrix {
    let rows = matrix.values.chunks_exact(matrix.columns);
    let values = rows.flat_map(|row| columns.iter().map(|&column| row[column] * scale(column)));
    Matrix {
        values: values.collect(),
        columns: columns.len(),
    }
}

/// Eigenvalues and eigenvectors (as columns) of a symmetric matrix, by Jacobi's cyclic method (Golub and Van Loan,
/// Matrix Computations, algorithm 8.5.3).
fn eigen(symmetric: &Matrix) -> (Vec<f64>, Matrix) {
    let n = symmetric.columns;
    let mut a = symmetric.values.clone();
    let mut vectors = vec![0.0; n * n];
    for i in 0..n {
        vectors[i * n + i] = 1.0;
    }
    let total: f64 = a.iter().map(|value| value * value).sum();
    for _ in 0..MAX_SWEEPS {
        let off: f64 = (0..n)
            .flat_map(|row| (row + 1..n).map(move |column| (row, column)))
            .map(|(row, column)| a[row * n + column] * a[row * n + column])
            .sum();
        if off <= total * 1e-24 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, n, p, q);
            }
        }
    }
    let values = (0..n).map(|i| a[i * n + i]).collect();
    (
        values,
        Matrix {
            values: vectors,
            columns: n,
        },
    )
}

/// Makes the entry at (p, q) zero.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let off = a[p * n + q];
    if off == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for k in 0..n {
        let (left, right) = (a[k * n + p], a[k * n + q]);
        a[k * n + p] = c * left - s * right;
        a[k * n + q] = s * left + c * right;
    }
    for k in 0..n {
        let (left, right) = (a[p * n + k], a[q * n + k]);
        a[p * n + k] = c * left - s * right;
        a[q * n + k] = s * left + c * right;
        let (left, right) = (vectors[k * n + p], vectors[k * n + q]);
        vectors[k * n + p] = c * left - s * right;
        vectors[k * n + q] = s * left + c * right;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn eigenvectors_solve_their_equation() {
        let symmetric = Matrix {
            values: vec![4.0, 1.0, -2.0, 1.0, 2.0, 0.0, -2.0, 0.0, 3.0],
            columns: 3,
        };
        let (values, vectors) = eigen(&symmetric);
        // Sum and product of the eigenvalues are trace and determinant: 4 · 6 - 1 · 3 - 2 · 4 = 13.
        assert!((values.iter().sum::<f64>() - 9.0).abs() < 1e-12);
        assert!((values.iter().product::<f64>() - 13.0).abs() < 1e-12);
        let product = symmetric.times(&vectors);
        for (row, line) in product.values.chunks_exact(3).enumerate() {
            for column in 0..3 {
                assert!((line[column] - values[column] * vectors.row(row)[column]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn directions_keep_what_a_full_decomposition_keeps() {
        // Rank two: three texts of two kinds of words. Two directions keep all lengths and angles.
        let texts = ["red green", "red green", "blue yellow"];
        let vectoriser = Vectoriser::fit(&blocks(3)[..1], &texts);
        let rows = vectoriser.transform(&texts);
        let basis = strongest_directions(&rows, vectoriser.feature_count(), 2, 1);
        assert_eq!(basis.columns, 2);
        let gram = basis.gram();
        for (number, value) in gram.values.iter().enumerate() {
            assert!(
                (value - if number % 3 == 0 { 1.0 } else { 0.0 }).abs() < 1e-9,
                "orthonormal"
            );
        }
        for row in times_sparse(&rows, &basis).values.chunks_exact(2) {
            assert!(
                (row[0].hypot(row[1]) - 1.0).abs() < 1e-6,
                "a row of length one keeps its length"
            );
        }
    }

    #[test]
    fn texts_that_share_company_are_alike_and_unknown_ones_are_zero() {
        let texts = [
            "the parcel has not arrived yet",
            "my parcel is late",
            "when does the parcel arrive",
            "i want my money back",
            "please refund the money",
            "how do i get a refund",
        ];
        let lsa = Lsa::fit(&texts, 4, 7);
        assert_eq!(lsa.dimensions(), 4);
        let asked = lsa.embed("parcel still not arrived");
        let near = cosine(&asked, &lsa.embed(texts[0]));
        let far = cosine(&asked, &lsa.embed(texts[4]));
        assert!(near > far + 0.3, "{near} {far}");
        assert_eq!(Lsa::fit(&[""; 60], 4, 7).embed("a"), [] as [f32; 0]);
        assert!(lsa.embed("12345").iter().all(|value| *value == 0.0));
        assert_eq!(
            lsa.embed("a parcel"),
            Lsa::fit(&texts, 4, 7).embed("a parcel"),
            "repeatable"
        );
    }
}
