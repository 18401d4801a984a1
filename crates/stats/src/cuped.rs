//! Means compared with what is known of each unit from before taken off: the same difference with less noise (CUPED, Deng, Xu,
//! Kohavi and Walker, WSDM 2013).

/// Units of an arm: what was measured before and what now, in the same order.
#[derive(Debug, Clone, Copy)]
pub struct PairedSample<'a> {
    /// Before.
    pub before: &'a [f64],
    /// Now.
    pub now: &'a [f64],
}

/// The adjusted difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adjusted {
    /// What one unit before is worth now.
    pub theta: f64,
    /// The second arm's adjusted mean less the first one's.
    pub delta: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// The difference of two arms; `None` where an arm has fewer than two units, their lengths differ, or nothing varied before.
pub fn cuped(first: PairedSample<'_>, second: PairedSample<'_>) -> Option<Adjusted> {
    let arms = [first, second];
    if arms
        .iter()
        .any(|arm| arm.before.len() != arm.now.len() || arm.now.len() < 2)
    {
        return None;
    }
    let before: Vec<f64> = [first.before, second.before].concat();
    let now: Vec<f64> = [first.now, second.now].concat();
    let varied = covariance(&before, &before);
    if varied <= 0.0 {
        return None;
    }
    let theta = covariance(&now, &before) / varied;
    let [a, b] = arms.map(|arm| {
        let mean_now = mean(arm.now) - theta * mean(arm.before);
        let variance = covariance(arm.now, arm.now) + theta * theta * covariance(arm.before, arm.before)
            - 2.0 * theta * covariance(arm.now, arm.before);
        (mean_now, variance / arm.now.len() as f64)
    });
    Some(Adjusted {
        theta,
        delta: b.0 - a.0,
        standard_error: (a.1 + b.1).sqrt(),
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let products = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b));
    products.sum::<f64>() / (a.len() as f64 - 1.0)
}
