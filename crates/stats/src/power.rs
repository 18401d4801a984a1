//! What a comparison can see, before it begins: said with the same interval that decides later.

use statrs::distribution::{ContinuousCDF as _, Normal};

use crate::Sequential;

/// More outcomes are never waited for.
const MOST: f64 = 1e12;

/// The least difference of means that is found with this power by the time of `count` outcomes, of which the second arm has this
/// share. An outcome's variance is `variance`. An approximation: that the difference is found at the last look, not before.
pub fn minimum_detectable_effect(
    sequential: &Sequential,
    variance: f64,
    share: f64,
    count: f64,
    power: f64,
) -> Option<f64> {
    let is_valid = variance > 0.0 && share > 0.0 && share < 1.0 && count > 0.0 && power > 0.0 && power < 1.0;
    if !is_valid {
        return None;
    }
    let standard_error = (variance / (count * share) + variance / (count * (1.0 - share))).sqrt();
    let quantile = Normal::standard().inverse_cdf(power);
    Some(sequential.half_width(standard_error, count) + quantile * standard_error)
}

/// The outcomes after which a difference of this size is found with this power; `None` where it never is.
pub fn expected_count(
    sequential: &Sequential,
    variance: f64,
    share: f64,
    effect: f64,
    power: f64,
) -> Option<f64> {
    let is_seen = |count: f64| {
        minimum_detectable_effect(sequential, variance, share, count, power)
            .is_some_and(|least| least <= effect.abs())
    };
    let (mut low, mut high) = (1.0_f64, 2.0_f64);
    while !is_seen(high) {
        (low, high) = (high, high * 2.0);
        if high > MOST {
            return None;
        }
    }
    while high - low > 1.0 {
        let middle = low.midpoint(high).floor();
        if is_seen(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arm;

    #[test]
    fn an_effect_is_found_by_the_expected_count_about_as_often_as_the_power_says() {
        let sequential = Sequential::new(0.05, 500.0).unwrap();
        let count = expected_count(&sequential, 0.25, 0.5, 0.1, 0.8).unwrap();
        let least = minimum_detectable_effect(&sequential, 0.25, 0.5, count, 0.8).unwrap();
        assert!((least - 0.1).abs() < 1e-3, "{least}");
        let mut random = fastrand::Rng::with_seed(5);
        let found = (0..1_000).filter(|_| {
            let half = count as u64 / 2;
            let mut arm =
                |rate: f64| Arm::of_counts((0..half).filter(|_| random.f64() < rate).count() as u64, half);
            let evidence = sequential.difference(&arm(0.45), &arm(0.55)).unwrap();
            evidence.lower() > 0.0
        });
        let found = found.count();
        assert!((760..=850).contains(&found), "{found} of 1000 after {count}");
        assert_eq!(expected_count(&sequential, 0.25, 0.5, 0.0, 0.8), None);
        assert_eq!(minimum_detectable_effect(&sequential, 0.0, 0.5, 10.0, 0.8), None);
    }
}
