//! The texts nearest to a text by their features: why a label is doubted is shown by its neighbours.

use rayon::prelude::*;

use crate::sparse::SparseRows;

/// The rows most similar to one row by cosine, most similar first, with their similarity; only those that `is_candidate`
/// lets through. Rows have length 1 per block of features, so that their products are cosines up to a common factor.
pub fn nearest(
    rows: &SparseRows,
    feature_count: usize,
    row: usize,
    count: usize,
    is_candidate: impl Fn(usize) -> bool + Sync,
) -> Vec<(usize, f32)> {
    let mut dense = vec![0.0f32; feature_count];
    let (indices, values) = rows.row(row);
    for (&index, &value) in indices.iter().zip(values) {
        dense[index as usize] = value;
    }
    let norm = rows.squared_norm(row).sqrt();
    let mut similar: Vec<(usize, f32)> = (0..rows.len())
        .into_par_iter()
        .filter(|&other| other != row && is_candidate(other))
        .map(|other| {
            let (indices, values) = rows.row(other);
            let products = indices
                .iter()
                .zip(values)
                .map(|(&index, &value)| dense[index as usize] * value);
            let product: f32 = products.sum();
            (
                other,
                product / (norm * rows.squared_norm(other).sqrt()).max(f32::MIN_POSITIVE),
            )
        })
        .filter(|&(_, similarity)| similarity > 0.0)
        .collect();
    similar.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    similar.truncate(count);
    similar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first_and_only_candidates_come() {
        let mut rows = SparseRows::with_capacity(4);
        for row in [
            &[(0, 1.0), (1, 1.0)][..],
            &[(0, 1.0)],
            &[(0, 2.0), (1, 2.0)],
            &[(2, 1.0)],
        ] {
            for &(index, value) in row {
                rows.push(index, value);
            }
            rows.end_row();
        }
        let all = nearest(&rows, 3, 0, 5, |_| true);
        assert_eq!(all.iter().map(|near| near.0).collect::<Vec<_>>(), [2, 1]);
        assert!((all[0].1 - 1.0).abs() < 1e-6);
        assert_eq!(nearest(&rows, 3, 0, 5, |other| other != 2)[0].0, 1);
    }
}
