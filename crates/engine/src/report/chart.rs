//! Days as bars and a line, in the coordinates of an SVG.

use hone_domain::{DAY_US, Indicator, Measure, Sums, format_rfc3339};
use hone_storage::rollups::Rollup;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 160.0;

/// Interactions by day as bars, the share that was judged right as a line.
#[derive(Debug, serde::Serialize)]
pub(super) struct Chart {
    width: f64,
    height: f64,
    /// The highest bar.
    most: i64,
    bars: Vec<Bar>,
    /// Points of the line; days that nobody judged have none.
    line: String,
}

#[derive(Debug, serde::Serialize)]
struct Bar {
    x: String,
    y: String,
    width: String,
    height: String,
    label: String,
}

impl Chart {
    pub fn of(counted: &[Rollup], from_us: i64, to_us: i64) -> Self {
        let first = from_us.div_euclid(DAY_US);
        let count = usize::try_from(to_us.div_euclid(DAY_US) - first + 1).unwrap_or(1);
        let mut days = vec![Sums::default(); count];
        for row in counted {
            let place = usize::try_from(row.at_us.div_euclid(DAY_US) - first).unwrap_or(usize::MAX);
            if let Some(day) = days.get_mut(place) {
                *day += &row.sums;
            }
        }
        let most = days
            .iter()
            .map(|day| day.get(Measure::Interactions))
            .max()
            .unwrap_or(0);
        let step = WIDTH / count as f64;
        let mut chart = Self {
            width: WIDTH,
            height: HEIGHT,
            most,
            bars: Vec::new(),
            line: String::new(),
        };
        let mut points = Vec::new();
        for (number, day) in days.iter().enumerate() {
            let x = number as f64 * step;
            let interactions = day.get(Measure::Interactions);
            if interactions > 0 {
                let height = HEIGHT * interactions as f64 / most as f64;
                let date = format_rfc3339((first + number as i64) * DAY_US);
                chart.bars.push(Bar {
                    x: format!("{:.1}", x + step * 0.1),
                    y: format!("{:.1}", HEIGHT - height),
                    width: format!("{:.1}", step * 0.8),
                    height: format!("{height:.1}"),
                    label: format!("{}: {interactions}", &date[..10]),
                });
            }
            if let Some(correctness) = Indicator::Correctness.of(day, 0.0) {
                let y = HEIGHT * (1.0 - correctness);
                points.push(format!("{:.1},{y:.1}", x + step / 2.0));
            }
        }
        chart.line = points.join(" ");
        chart
    }
}

#[cfg(test)]
mod tests {
    use hone_domain::HOUR_US;

    use super::*;

    #[test]
    fn days_become_bars_and_only_judged_days_points() {
        let hour = |day: i64, interactions, judged, correct| {
            let mut sums = Sums::default();
            sums.add(Measure::Interactions, interactions);
            sums.add(Measure::Judged, judged);
            sums.add(Measure::Correct, correct);
            Rollup {
                at_us: day * DAY_US + HOUR_US,
                value: String::new(),
                sums,
            }
        };
        let chart = Chart::of(
            &[hour(0, 5, 0, 0), hour(0, 5, 2, 1), hour(2, 20, 4, 4)],
            0,
            3 * DAY_US,
        );
        let heights: Vec<&str> = chart.bars.iter().map(|bar| bar.height.as_str()).collect();
        assert_eq!((heights.as_slice(), chart.most), (&["80.0", "160.0"][..], 20));
        assert_eq!(chart.line, "80.0,80.0 400.0,0.0");
        assert_eq!(chart.bars[1].label, "1970-01-03: 20");
        assert!(Chart::of(&[], 0, DAY_US).bars.is_empty());
    }
}
