//! The metrics of a task over a period: indicators of the whole, the same of the period before, their trend, and by version, action
//! type, label or source. Read from counts that are kept up as things come.

use std::collections::BTreeMap;

use hone_domain::{
    DAY_US, Dimension, Grain, HOUR_US, Indicator, InvalidInput, MINUTE_US, ModelVersionId, Period, Sums,
    format_rfc3339,
};
use hone_storage::rollups::{self, Stretch};
use hone_storage::tasks::Task;
use hone_storage::{Conn, versions};
use uuid::Uuid;

use crate::{Engine, EngineError};

/// Longest trend that is given, in points.
const MAX_POINTS: i64 = 1_500;
/// Longest period whose trend is by minutes when nobody says.
const MINUTES_UNTIL_US: i64 = 3 * HOUR_US;
/// Longest period whose trend is by hours when nobody says.
const HOURS_UNTIL_US: i64 = 8 * DAY_US;
/// Values of a dimension that are given, those with the most interactions.
const MAX_VALUES: i64 = 200;

/// Indicators by their names; what nothing was counted of is absent.
pub type Indicators = BTreeMap<&'static str, f64>;

/// Which metrics are asked for.
#[derive(Debug, Clone, Default)]
pub struct MetricsRequest {
    /// A period up to now; the last day when neither it nor `from_us` is there.
    pub period: Option<Period>,
    /// First moment, in place of a period.
    pub from_us: Option<i64>,
    /// The moment after the last; now when absent.
    pub to_us: Option<i64>,
    /// Length of the trend's points; what suits the period when absent.
    pub grain: Option<Grain>,
    /// What the whole is broken down by as well.
    pub by: Option<Dimension>,
}

/// The metrics of a task over a period.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct TaskMetrics {
    /// Name of the task.
    pub task: String,
    /// First moment of the period (RFC 3339).
    pub from: String,
    /// The moment after it (RFC 3339).
    pub to: String,
    /// Length of the trend's points.
    pub grain: Grain,
    /// Indicators of the whole period.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub totals: Indicators,
    /// The same of the period of equal length before it; empty for all time.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub before: Indicators,
    /// Named scores of the whole period.
    pub scores: BTreeMap<String, ScoreMean>,
    /// Indicators by minute, hour or day; those in which nothing was counted are left out.
    pub trend: Vec<TrendPoint>,
    /// Indicators of the whole period by value, the value with the most interactions first (200 at most).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<ValueMetrics>,
}

/// A named score.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct ScoreMean {
    /// How many were given.
    pub count: i64,
    /// Their mean.
    pub mean: f64,
}

/// Indicators of a minute, an hour or a day.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct TrendPoint {
    /// When it begins (RFC 3339).
    pub at: String,
    /// Its indicators.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub indicators: Indicators,
}

/// Indicators of one version, action type, label or source.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct ValueMetrics {
    /// Which one; a version by its semantic version.
    pub value: String,
    /// Its indicators.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub indicators: Indicators,
    /// Its named scores.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, ScoreMean>,
}

/// A period, cut at whole minutes, hours or days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub grain: Grain,
    pub from_us: i64,
    pub to_us: i64,
}

impl Span {
    pub fn minutes(&self) -> f64 {
        (self.to_us - self.from_us) as f64 / MINUTE_US as f64
    }

    pub fn stretch(&self, task: &Task, dimension: Dimension) -> Stretch {
        Stretch {
            task: task.task_id(),
            grain: self.grain,
            dimension,
            from_us: self.from_us,
            to_us: self.to_us,
        }
    }
}

impl Engine {
    /// The metrics of a task over a period. What is cut by the ends of the period at the given grain counts as a whole.
    pub async fn metrics(&self, task: &Task, request: &MetricsRequest) -> Result<TaskMetrics, EngineError> {
        let mut conn = self.db.read().await?;
        let span = self.span_of(&mut conn, task, request).await?;
        let minutes = span.minutes();
        let points = rollups::list(&mut conn, &span.stretch(task, Dimension::All)).await?;
        let mut totals = Sums::default();
        for point in &points {
            totals += &point.sums;
        }
        let is_all_time = request.period == Some(Period::All);
        let before = Span {
            from_us: span.from_us - (span.to_us - span.from_us),
            to_us: span.from_us,
            ..span
        };
        let before = if is_all_time {
            Indicators::new()
        } else {
            let found = rollups::list_totals(&mut conn, &before.stretch(task, Dimension::All), 1).await?;
            let sums = found.first().map(|found| found.sums);
            indicators(&sums.unwrap_or_default(), minutes)
        };
        let point_minutes = span.grain.length_us() as f64 / MINUTE_US as f64;
        Ok(TaskMetrics {
            task: task.name.clone(),
            from: format_rfc3339(span.from_us),
            to: format_rfc3339(span.to_us),
            grain: span.grain,
            totals: indicators(&totals, minutes),
            before,
            scores: scores_by_value(&mut conn, &span.stretch(task, Dimension::All))
                .await?
                .remove("")
                .unwrap_or_default(),
            trend: points
                .iter()
                .map(|point| TrendPoint {
                    at: format_rfc3339(point.at_us),
                    indicators: indicators(&point.sums, point_minutes),
                })
                .collect(),
            by: match request.by.filter(|&by| by != Dimension::All) {
                Some(dimension) => by_value(&mut conn, &span, task, dimension).await?,
                None => Vec::new(),
            },
        })
    }

    async fn span_of(
        &self,
        conn: &mut Conn,
        task: &Task,
        request: &MetricsRequest,
    ) -> Result<Span, EngineError> {
        if request.period.is_some() && (request.from_us.is_some() || request.to_us.is_some()) {
            let detail = "cannot stand beside from and to; give one or the other";
            return Err(EngineError::field("/query/period", detail));
        }
        let now_us = self.ids.now_us();
        let to_us = request.to_us.unwrap_or(now_us + 1);
        let period = request.period.unwrap_or(Period::Day);
        let from_us = match (request.from_us, period.length_us()) {
            (Some(from_us), _) => from_us,
            (None, Some(length_us)) => to_us - length_us,
            (None, None) => match rollups::find_span(conn, task.task_id(), Grain::Day).await? {
                Some((first_us, _)) => first_us,
                None => to_us - DAY_US,
            },
        };
        Ok(cut(from_us, to_us, request.grain)?)
    }
}

/// Cuts a period at whole minutes, hours or days.
fn cut(from_us: i64, to_us: i64, grain: Option<Grain>) -> Result<Span, InvalidInput> {
    if from_us >= to_us {
        return Err(InvalidInput::field(
            "/query/from",
            "is not before the end of the period",
        ));
    }
    let length_us = to_us.saturating_sub(from_us);
    let suitable = if length_us <= MINUTES_UNTIL_US {
        Grain::Minute
    } else if length_us <= HOURS_UNTIL_US {
        Grain::Hour
    } else {
        Grain::Day
    };
    let grain = grain.unwrap_or(suitable);
    if length_us / grain.length_us() > MAX_POINTS && grain != Grain::Day {
        let detail = format!(
            "makes more than {MAX_POINTS} points of the period; give a longer grain or a shorter period"
        );
        return Err(InvalidInput::field("/query/grain", detail));
    }
    let last = grain.start_us(to_us - 1);
    Ok(Span {
        grain,
        from_us: grain.start_us(from_us),
        to_us: last + grain.length_us(),
    })
}

/// All indicators of which something was counted.
pub(super) fn indicators(sums: &Sums, minutes: f64) -> Indicators {
    let all = Indicator::ALL.iter();
    all.filter_map(|indicator| Some((indicator.as_str(), indicator.of(sums, minutes)?)))
        .collect()
}

pub(super) async fn by_value(
    conn: &mut Conn,
    span: &Span,
    task: &Task,
    dimension: Dimension,
) -> Result<Vec<ValueMetrics>, EngineError> {
    let stretch = span.stretch(task, dimension);
    let found = rollups::list_totals(conn, &stretch, MAX_VALUES).await?;
    let mut scores = scores_by_value(conn, &stretch).await?;
    let mut values = Vec::with_capacity(found.len());
    for row in found {
        values.push(ValueMetrics {
            scores: scores.remove(&row.value).unwrap_or_default(),
            indicators: indicators(&row.sums, span.minutes()),
            value: shown(conn, dimension, row.value).await?,
        });
    }
    Ok(values)
}

/// A value as people know it: a registered version by its semantic version.
pub(crate) async fn shown(
    conn: &mut Conn,
    dimension: Dimension,
    value: String,
) -> Result<String, EngineError> {
    let id = value
        .parse::<Uuid>()
        .ok()
        .filter(|_| dimension == Dimension::Version);
    let version = match id {
        Some(id) => versions::find(conn, ModelVersionId(id)).await?,
        None => None,
    };
    Ok(version.map_or(value, |version| version.version))
}

pub(super) async fn scores_by_value(
    conn: &mut Conn,
    stretch: &Stretch,
) -> Result<BTreeMap<String, BTreeMap<String, ScoreMean>>, EngineError> {
    let mut by_value: BTreeMap<String, BTreeMap<String, ScoreMean>> = BTreeMap::new();
    for row in rollups::list_scores(conn, stretch).await? {
        let mean = ScoreMean {
            count: row.scores,
            mean: row.total / row.scores.max(1) as f64,
        };
        by_value.entry(row.value).or_default().insert(row.name, mean);
    }
    Ok(by_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_START_US: i64 = 1_768_694_400_000_000;

    #[test]
    fn periods_are_cut_at_whole_grains_that_suit_them() {
        let now_us = DAY_START_US + 10 * HOUR_US + 30 * MINUTE_US + 1;
        let hour = cut(now_us - HOUR_US, now_us, None).unwrap();
        assert_eq!((hour.grain, hour.minutes()), (Grain::Minute, 61.0));
        let day = cut(now_us - DAY_US, now_us, None).unwrap();
        assert_eq!((day.grain, day.minutes()), (Grain::Hour, 25.0 * 60.0));
        let month = cut(now_us - 30 * DAY_US, now_us, None).unwrap();
        assert_eq!((month.grain, month.to_us), (Grain::Day, DAY_START_US + DAY_US));
        let whole = cut(DAY_START_US, DAY_START_US + DAY_US, Some(Grain::Day)).unwrap();
        assert_eq!(
            (whole.from_us, whole.to_us),
            (DAY_START_US, DAY_START_US + DAY_US)
        );
        assert!(cut(now_us, now_us, None).is_err());
        assert!(cut(now_us - 30 * DAY_US, now_us, Some(Grain::Minute)).is_err());
    }
}
