//! Isotonic calibration: one step function per label, by pool-adjacent-violators.

/// A rising function given by points, linear in between and constant outside.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Isotonic {
    /// Margins, rising.
    pub x: Vec<f64>,
    /// Probabilities, never falling.
    pub y: Vec<f64>,
}

impl Isotonic {
    /// Probability for one margin.
    pub fn probability(&self, margin: f64) -> f64 {
        let (Some(&first), Some(&last)) = (self.y.first(), self.y.last()) else {
            return 0.0;
        };
        let above = self.x.partition_point(|&x| x < margin);
        if above == 0 {
            return first;
        }
        if above == self.x.len() {
            return last;
        }
        let (x0, x1) = (self.x[above - 1], self.x[above]);
        let share = if x1 > x0 { (margin - x0) / (x1 - x0) } else { 1.0 };
        self.y[above - 1] + share * (self.y[above] - self.y[above - 1])
    }

    /// Fits by pool-adjacent-violators (Ayer et al., 1955); equal margins are averaged first, and points inside a
    /// constant stretch and those without weight are left out.
    pub fn fit(margins: &[f64], positive: &[bool], weights: &[f64]) -> Self {
        let mut points: Vec<(f64, f64, f64)> = margins
            .iter()
            .zip(positive)
            .zip(weights)
            .filter(|&(_, &weight)| weight > 0.0)
            .map(|((&margin, &is), &weight)| (margin, f64::from(u8::from(is)), weight))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Each pool: first margin, last margin, mean, weight.
        let mut pools: Vec<(f64, f64, f64, f64)> = Vec::new();
        for group in points.chunk_by(|a, b| (a.0 - b.0).abs() < 1e-12) {
            let weight: f64 = group.iter().map(|point| point.2).sum();
            let mean = group.iter().map(|point| point.1 * point.2).sum::<f64>() / weight;
            pools.push((group[0].0, group[0].0, mean, weight));
            while let [.., before, last] = pools[..] {
                if before.2 < last.2 {
                    break;
                }
                let weight = before.3 + last.3;
                let mean = (before.2 * before.3 + last.2 * last.3) / weight;
                pools.pop();
                pools.pop();
                pools.push((before.0, last.1, mean, weight));
            }
        }
        let mut fitted = Self::default();
        for (first, last, mean, _) in pools {
            fitted.x.push(first);
            fitted.y.push(mean);
            if last > first {
                fitted.x.push(last);
                fitted.y.push(mean);
            }
        }
        fitted
    }
}
