//! What versions are compared by on live traffic: a metric with its direction, and how far it may fall.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::{InvalidInput, UnknownVariant, require_name, spelled_enum};

/// What a named score is written with.
const SCORE: &str = "score:";

/// Something that is measured of a version's answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Share of the judged answers (thumbs, corrections of labels and texts) that were right.
    Correctness,
    /// Share of thumbs that are up.
    Thumb,
    /// Mean rating, 1 to 5.
    Rating,
    /// Share of answers that somebody corrected.
    CorrectionRate,
    /// Share of requests that were handed to a person.
    EscalationRate,
    /// Share of requests that did not fail.
    SuccessRate,
    /// Mean time to answer, in milliseconds.
    Latency,
    /// Mean cost of an answer, in USD.
    Cost,
    /// Mean of the score with this name.
    Score(String),
}

impl Metric {
    const PLAIN: [(Self, &'static str); 8] = [
        (Self::Correctness, "correctness"),
        (Self::Thumb, "thumb"),
        (Self::Rating, "rating"),
        (Self::CorrectionRate, "correction_rate"),
        (Self::EscalationRate, "escalation_rate"),
        (Self::SuccessRate, "success_rate"),
        (Self::Latency, "latency_ms"),
        (Self::Cost, "cost_usd"),
    ];

    /// Its name in JSON, in the database and in messages.
    pub fn name(&self) -> Cow<'static, str> {
        if let Self::Score(name) = self {
            return Cow::Owned(format!("{SCORE}{name}"));
        }
        let known = Self::PLAIN.iter().find(|(metric, _)| metric == self);
        Cow::Borrowed(known.map_or("", |&(_, name)| name))
    }

    /// Which way is better, where nobody says otherwise.
    pub const fn direction(&self) -> Direction {
        match self {
            Self::Correctness | Self::Thumb | Self::Rating | Self::SuccessRate | Self::Score(_) => {
                Direction::Higher
            }
            Self::CorrectionRate | Self::EscalationRate | Self::Latency | Self::Cost => Direction::Lower,
        }
    }

    /// Whether an outcome is either 0 or 1.
    pub const fn is_share(&self) -> bool {
        !matches!(self, Self::Rating | Self::Latency | Self::Cost | Self::Score(_))
    }

    /// Whether a margin is a share of the live version's mean; of others it is a difference of means.
    pub const fn has_relative_margin(&self) -> bool {
        matches!(self, Self::Latency | Self::Cost)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl FromStr for Metric {
    type Err = UnknownVariant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix(SCORE)
            && require_name("", name).is_ok()
        {
            return Ok(Self::Score(name.to_owned()));
        }
        let known = Self::PLAIN.iter().find(|&&(_, name)| name == text);
        known.map(|(metric, _)| metric.clone()).ok_or_else(|| {
            let names = Self::PLAIN.map(|(_, name)| name).join(", ");
            UnknownVariant {
                noun: "metric",
                given: text.to_owned(),
                expected: format!("{names}, {SCORE}<name>"),
            }
        })
    }
}

impl serde::Serialize for Metric {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Metric {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Metric {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        let names = Self::PLAIN.map(|(_, name)| name).join(", ");
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some(format!(
                "one of {names}, or {SCORE} with the name of a score"
            )))
            .into()
    }
}

impl utoipa::ToSchema for Metric {}

spelled_enum! {
    /// Which way a metric is better.
    Direction ("direction") {
        /// More is better.
        Higher = "higher",
        /// Less is better.
        Lower = "lower",
    }
}

/// A metric by which versions are compared, and how much worse a new one may be.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricGoal {
    /// What is compared.
    pub metric: Metric,
    /// Which way is better; the metric's own way when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// How much worse the new version may be: a difference of means; for latency and cost a share of the live version's mean.
    #[serde(default)]
    pub margin: f64,
}

impl MetricGoal {
    /// The metric in its own direction.
    pub const fn new(metric: Metric, margin: f64) -> Self {
        Self {
            metric,
            direction: None,
            margin,
        }
    }

    /// Which way is better.
    pub fn direction(&self) -> Direction {
        self.direction.unwrap_or_else(|| self.metric.direction())
    }

    pub(crate) fn validate(&self, pointer: &str) -> Result<(), InvalidInput> {
        let most = if self.metric.is_share() { 1.0 } else { 1e6 };
        if !(0.0..=most).contains(&self.margin) {
            let detail = format!("give a margin from 0 to {most}, in what the metric is measured in");
            return Err(InvalidInput::field(format!("{pointer}/margin"), detail));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_others_are_refused_with_the_known_ones() {
        let score = Metric::Score("clarity".to_owned());
        for metric in Metric::PLAIN.map(|(metric, _)| metric).into_iter().chain([score]) {
            assert_eq!(metric.name().parse::<Metric>().unwrap(), metric);
        }
        for wrong in ["accuracy", "score:", ""] {
            let error = wrong.parse::<Metric>().unwrap_err().to_string();
            assert!(error.contains("correctness"), "{error}");
        }
    }
}
