//! Groups of texts by their vectors: spherical k-means with careful seeding (Dhillon and Modha, 2001; Arthur and Vassilvitskii,
//! 2007), then groups that are nearly one are joined.

use rayon::prelude::*;

use crate::order::SplitMix;

const MAX_ROUNDS: usize = 30;
/// Centres that are as similar as this are of one group.
const SAME_GROUP: f32 = 0.85;

/// Groups of vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// The group of each vector.
    pub groups: Vec<usize>,
    /// Cosine of each vector with the centre of its group.
    pub similarities: Vec<f32>,
    /// Number of groups.
    pub count: usize,
}

/// Divides vectors of length 1 (row after row, `dimensions` values each) into at most `most` groups. The same seed and
/// vectors give the same groups.
pub fn cluster(vectors: &[f32], dimensions: usize, most: usize, seed: u64) -> Clusters {
    let rows = vectors.len() / dimensions.max(1);
    if rows == 0 || most == 0 {
        return Clusters {
            groups: vec![0; rows],
            similarities: vec![0.0; rows],
            count: rows.min(1),
        };
    }
    let row = |number: usize| &vectors[number * dimensions..(number + 1) * dimensions];
    let mut centres = seeds(vectors, dimensions, most.min(rows), seed);
    let mut assigned: Vec<(usize, f32)> = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let next: Vec<(usize, f32)> = (0..rows)
            .into_par_iter()
            .map(|number| nearest(row(number), &centres, dimensions))
            .collect();
        let is_settled = assigned.len() == next.len()
            && assigned
                .iter()
                .zip(&next)
                .all(|(before, after)| before.0 == after.0);
        assigned = next;
        if is_settled {
            break;
        }
        centres = centres_of(vectors, dimensions, &assigned, centres.len() / dimensions);
    }
    let joined = joined_groups(&centres, dimensions);
    let mut numbers: Vec<usize> = joined.clone();
    numbers.sort_unstable();
    numbers.dedup();
    let number_of = |group: usize| numbers.partition_point(|&number| number < joined[group]);
    Clusters {
        groups: assigned.iter().map(|(group, _)| number_of(*group)).collect(),
        similarities: assigned.iter().map(|(_, similarity)| *similarity).collect(),
        count: numbers.len(),
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn nearest(row: &[f32], centres: &[f32], dimensions: usize) -> (usize, f32) {
    let similarities = centres.chunks_exact(dimensions).map(|centre| dot(row, centre));
    similarities
        .enumerate()
        .fold((0, f32::MIN), |best, (group, similarity)| {
            if similarity > best.1 {
                (group, similarity)
            } else {
                best
            }
        })
}

/// Rows to begin with: each is drawn with a chance that rises with its distance from those before.
fn seeds(vectors: &[f32], dimensions: usize, count: usize, seed: u64) -> Vec<f32> {
    let rows = vectors.len() / dimensions;
    let row = |number: usize| &vectors[number * dimensions..(number + 1) * dimensions];
    let mut random = SplitMix::new(seed);
    let mut centres = row((random.uniform() * rows as f64) as usize).to_vec();
    let mut distances = vec![f32::MAX; rows];
    while centres.len() < count * dimensions {
        let last = &centres[centres.len() - dimensions..];
        distances
            .par_iter_mut()
            .enumerate()
            .for_each(|(number, distance)| *distance = distance.min((1.0 - dot(row(number), last)).max(0.0)));
        let total: f64 = distances.iter().map(|&distance| f64::from(distance)).sum();
        if total <= 1e-9 {
            break;
        }
        let mut left = random.uniform() * total;
        let chosen = distances.iter().position(|&distance| {
            left -= f64::from(distance);
            left <= 0.0
        });
        let chosen = row(chosen.unwrap_or(rows - 1)).to_vec();
        centres.extend(chosen);
    }
    centres
}

fn centres_of(vectors: &[f32], dimensions: usize, assigned: &[(usize, f32)], count: usize) -> Vec<f32> {
    let mut centres = vec![0.0f32; count * dimensions];
    for (number, (group, _)) in assigned.iter().enumerate() {
        let row = &vectors[number * dimensions..(number + 1) * dimensions];
        let centre = &mut centres[group * dimensions..(group + 1) * dimensions];
        for (sum, value) in centre.iter_mut().zip(row) {
            *sum += value;
        }
    }
    for centre in centres.chunks_exact_mut(dimensions) {
        let norm = dot(centre, centre).sqrt();
        if norm > 0.0 {
            for value in centre {
                *value /= norm;
            }
        }
    }
    centres
}

/// For each group the first one that it is nearly one with.
fn joined_groups(centres: &[f32], dimensions: usize) -> Vec<usize> {
    let all: Vec<&[f32]> = centres.chunks_exact(dimensions).collect();
    let mut joined: Vec<usize> = (0..all.len()).collect();
    for later in 1..all.len() {
        let same = (0..later).find(|&earlier| dot(all[earlier], all[later]) >= SAME_GROUP);
        if let Some(earlier) = same {
            joined[later] = joined[earlier];
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_together_is_one_group_whatever_is_asked_for() {
        let directions = [[1.0f32, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let vectors: Vec<f32> = (0..90)
            .flat_map(|number| {
                let mut row = directions[number % 3];
                row[(number + 1) % 3] += 0.01 * (number % 7) as f32;
                let norm = dot(&row, &row).sqrt();
                row.map(|value| value / norm)
            })
            .collect();
        for most in [3, 12] {
            let found = cluster(&vectors, 3, most, 1);
            assert_eq!(found.count, 3, "at most {most}");
            for (number, group) in found.groups.iter().enumerate() {
                assert_eq!(*group, found.groups[number % 3]);
            }
            assert!(found.similarities.iter().all(|&similarity| similarity > 0.95));
        }
        assert_eq!(cluster(&vectors, 3, 12, 1), cluster(&vectors, 3, 12, 1));
    }

    #[test]
    fn nothing_and_all_the_same_are_no_trouble() {
        assert_eq!(cluster(&[], 3, 5, 1).count, 0);
        let same: Vec<f32> = [1.0f32, 0.0].repeat(10);
        assert_eq!(cluster(&same, 2, 5, 1).count, 1);
    }
}
