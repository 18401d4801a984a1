//! Where an increasing function crosses a level.

const STEPS: usize = 200;

/// The argument between `low` and `high` at which an increasing function reaches `level`; `high` where it does not.
pub(crate) fn find_crossing(mut low: f64, mut high: f64, level: f64, function: impl Fn(f64) -> f64) -> f64 {
    if function(high) < level {
        return high;
    }
    for _ in 0..STEPS {
        let middle = low.midpoint(high);
        if middle <= low || middle >= high {
            break;
        }
        if function(middle) < level {
            low = middle;
        } else {
            high = middle;
        }
    }
    low.midpoint(high)
}
