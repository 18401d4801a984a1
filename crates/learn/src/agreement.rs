//! How far people who label the same things agree, beyond what chance gives.

use std::collections::BTreeMap;

/// Krippendorff's alpha for nominal values, 1 for full agreement and 0 for that of chance (Krippendorff, "Content Analysis",
/// 2004). Each unit holds the values that its observers gave; units with fewer than two do not count. `None` where there is
/// nothing to compare, or nothing but one value.
pub fn krippendorff_alpha(units: &[Vec<u32>]) -> Option<f64> {
    let mut coincidences: BTreeMap<(u32, u32), f64> = BTreeMap::new();
    let mut totals: BTreeMap<u32, f64> = BTreeMap::new();
    for unit in units.iter().filter(|unit| unit.len() >= 2) {
        let share = 1.0 / (unit.len() - 1) as f64;
        for (position, &value) in unit.iter().enumerate() {
            *totals.entry(value).or_default() += 1.0;
            for (other_position, &other) in unit.iter().enumerate() {
                if position != other_position {
                    *coincidences.entry((value, other)).or_default() += share;
                }
            }
        }
    }
    let count: f64 = totals.values().sum();
    let observed: f64 = coincidences
        .iter()
        .filter(|((a, b), _)| a != b)
        .map(|(_, coincidence)| coincidence)
        .sum();
    let same_by_chance: f64 = totals.values().map(|total| total * (total - 1.0)).sum();
    let expected = (count * (count - 1.0) - same_by_chance) / (count - 1.0);
    (count > 1.0 && expected > 0.0).then(|| 1.0 - observed / expected)
}

/// Cohen's kappa of two observers who labelled the same things, 1 for full agreement and 0 for that of chance (Cohen, 1960).
/// `None` without pairs, or where both gave one and the same value throughout.
pub fn cohen_kappa(pairs: &[(u32, u32)]) -> Option<f64> {
    let count = pairs.len() as f64;
    let mut firsts: BTreeMap<u32, f64> = BTreeMap::new();
    let mut seconds: BTreeMap<u32, f64> = BTreeMap::new();
    for &(first, second) in pairs {
        *firsts.entry(first).or_default() += 1.0;
        *seconds.entry(second).or_default() += 1.0;
    }
    let same = pairs.iter().filter(|(first, second)| first == second).count() as f64 / count;
    let by_chance: f64 = firsts
        .iter()
        .map(|(value, first)| first / count * seconds.get(value).unwrap_or(&0.0) / count)
        .sum();
    (count > 0.0 && by_chance < 1.0).then(|| (same - by_chance) / (1.0 - by_chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: .743.
    #[test]
    fn alpha_equals_the_published_example() {
        const NONE: u32 = 0;
        let observers = [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
            [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
        ];
        let units: Vec<Vec<u32>> = (0..12)
            .map(|unit| {
                let values = observers.iter().map(|values| values[unit]);
                values.filter(|&value| value != NONE).collect()
            })
            .collect();
        let alpha = krippendorff_alpha(&units).unwrap();
        assert!((alpha - 0.743).abs() < 5e-4, "{alpha}");
    }

    /// The example of scikit-learn's documentation of `cohen_kappa_score`.
    #[test]
    fn kappa_equals_scikit_learn() {
        let pairs = [(2, 0), (0, 0), (2, 2), (2, 2), (0, 0), (1, 2)];
        assert!((cohen_kappa(&pairs).unwrap() - 0.428_571_428_571).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_said_where_nothing_can_be() {
        assert_eq!(krippendorff_alpha(&[vec![1], vec![]]), None);
        assert_eq!(krippendorff_alpha(&[vec![1, 1], vec![1, 1]]), None);
        assert_eq!(cohen_kappa(&[]), None);
        assert_eq!(cohen_kappa(&[(3, 3)]), None);
    }
}
