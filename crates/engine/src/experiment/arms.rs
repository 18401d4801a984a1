//! From the sums of a deployment's arms to what the comparisons take.

use std::collections::BTreeMap;

use hone_stats::Arm;
use hone_storage::experiments::{ArmRow, ArmSums};
use uuid::Uuid;

/// The sums of a deployment's arms, by metric, step and version.
#[derive(Debug, Default)]
pub(super) struct ArmTable(BTreeMap<(String, i64, Uuid), ArmSums>);

impl ArmTable {
    pub fn new(rows: Vec<ArmRow>) -> Self {
        let keyed = rows
            .into_iter()
            .map(|row| ((row.metric, row.step, row.version_id), row.sums));
        Self(keyed.collect())
    }

    /// The sums of one version in one step.
    pub fn of_step(&self, metric: &str, step: i64, version: Uuid) -> ArmSums {
        let key = (metric.to_owned(), step, version);
        self.0.get(&key).copied().unwrap_or_default()
    }

    /// The sums of one version over all steps.
    pub fn of_version(&self, metric: &str, version: Uuid) -> ArmSums {
        let mut all = ArmSums::default();
        for ((of, _, who), sums) in &self.0 {
            if of == metric && *who == version {
                all.add(sums);
            }
        }
        all
    }

    /// Both arms of a comparison. Steps have shares of their own, and what people say changes with time: means are taken step by
    /// step and weighted by the units of both arms, so that neither arm is judged by other days than the other.
    pub fn pair(&self, metric: &str, control: Uuid, challenger: Uuid) -> [Arm; 2] {
        let steps = self
            .0
            .keys()
            .filter(|(of, _, who)| of == metric && *who == control);
        let strata: Vec<[ArmSums; 2]> = steps
            .map(|&(_, step, _)| [control, challenger].map(|version| self.of_step(metric, step, version)))
            .filter(|pair| pair.iter().all(|sums| sums.units > 0))
            .collect();
        let weight = |pair: &[ArmSums; 2]| (pair[0].units + pair[1].units) as f64;
        let total: f64 = strata.iter().map(weight).sum();
        [0, 1].map(|arm| {
            let mut pooled = ArmSums::default();
            let (mut mean, mut spread) = (0.0, 0.0);
            for pair in &strata {
                let share = weight(pair) / total;
                let sums = &pair[arm];
                pooled.add(sums);
                mean += share * sums.total / sums.outcomes.max(1) as f64;
                spread += share * share / sums.units as f64;
            }
            let count = pooled.units as f64;
            Arm {
                count,
                mean,
                variance: variance_of_unit(&pooled) * spread * count,
            }
        })
    }
}

/// The variance of a unit's contribution to the mean outcome, by the delta method for a ratio of sums: units are independent, the
/// outcomes of one are not.
fn variance_of_unit(sums: &ArmSums) -> f64 {
    if sums.units == 0 || sums.outcomes <= 0 {
        return 0.0;
    }
    let units = sums.units as f64;
    let ratio = sums.total / sums.outcomes as f64;
    let residuals = sums.total_squares - 2.0 * ratio * sums.products + ratio * ratio * sums.outcome_squares;
    let per_unit = sums.outcomes as f64 / units;
    // What never varies leaves a remainder of rounding.
    let variance = residuals / units / (per_unit * per_unit);
    if variance > 1e-12 { variance } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);

    fn row(step: i64, version_id: Uuid, units: &[(i64, f64)]) -> ArmRow {
        let mut sums = ArmSums::default();
        for &unit in units {
            sums.unit_changed((0, 0.0), unit);
        }
        ArmRow {
            metric: "thumb".to_owned(),
            step,
            version_id,
            sums,
        }
    }

    #[test]
    fn units_of_one_outcome_give_the_plain_proportion() {
        let units: Vec<(i64, f64)> = (0..100).map(|n| (1, f64::from(n < 80))).collect();
        let table = ArmTable::new(vec![row(0, CONTROL, &units), row(0, NEW, &units)]);
        let [control, new] = table.pair("thumb", CONTROL, NEW);
        let plain = Arm::of_counts(80, 100);
        assert_eq!((control.count, control.mean), (plain.count, plain.mean));
        assert!((control.variance - plain.variance).abs() < 1e-12 && control == new);
    }

    #[test]
    fn a_unit_that_speaks_often_counts_once() {
        let alike = vec![(10, 10.0), (10, 0.0), (10, 10.0), (10, 0.0)];
        let table = ArmTable::new(vec![row(0, CONTROL, &alike), row(0, NEW, &alike)]);
        let [control, _] = table.pair("thumb", CONTROL, NEW);
        assert_eq!((control.count, control.mean, control.variance), (4.0, 0.5, 0.25));
    }

    #[test]
    fn a_bad_day_with_another_share_does_not_blame_the_new_version() {
        // First day: all is well and the new version has little; second day: half is wrong and it has most.
        let (good, bad) = (
            vec![(1, 1.0); 90],
            [vec![(1, 1.0); 5], vec![(1, 0.0); 5]].concat(),
        );
        let (few_good, many_bad) = (
            vec![(1, 1.0); 10],
            [vec![(1, 1.0); 45], vec![(1, 0.0); 45]].concat(),
        );
        let rows = vec![
            row(0, CONTROL, &good),
            row(0, NEW, &few_good),
            row(1, CONTROL, &bad),
            row(1, NEW, &many_bad),
        ];
        let [control, new] = ArmTable::new(rows).pair("thumb", CONTROL, NEW);
        assert!((control.mean - new.mean).abs() < 1e-12, "{control:?} {new:?}");
    }

    #[test]
    fn what_never_varies_has_no_variance_and_steps_of_one_arm_are_left_out() {
        let table = ArmTable::new(vec![
            row(0, CONTROL, &[(3, 0.3), (1, 0.1)]),
            row(0, NEW, &[(1, 0.1)]),
            row(1, NEW, &[(1, 0.9)]),
        ]);
        let [control, new] = table.pair("thumb", CONTROL, NEW);
        assert_eq!((control.variance, new.count), (0.0, 1.0));
        assert!((control.mean - 0.1).abs() < 1e-12 && (new.mean - 0.1).abs() < 1e-12);
        assert_eq!(table.of_version("thumb", NEW).units, 2);
    }
}
