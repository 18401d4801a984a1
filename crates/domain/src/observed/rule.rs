//! Rules that alert people: a metric over a window of time, a threshold, and when it counts as back.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::{Dimension, Indicator};
use crate::{InvalidInput, UnknownVariant, require_name, require_text, spelled_enum};

/// What a named score is written with.
const SCORE: &str = "score:";
/// The macro-F1 of the version that serves.
const MACRO_F1: &str = "macro_f1";
/// Longest window of a rule.
const MAX_WINDOW_MINUTES: i64 = 60 * 24 * 30;

spelled_enum! {
    /// How bad it is.
    Severity ("severity") {
        /// Good to know.
        Info = "info",
        /// Somebody should look.
        Warning = "warning",
        /// Somebody has to act at once.
        Critical = "critical",
    }
}

spelled_enum! {
    /// Where an alert stands.
    AlertState ("alert state") {
        /// Its rule holds, but not yet for long enough.
        Pending = "pending",
        /// Its rule holds.
        Firing = "firing",
        /// Its rule does not hold any more.
        Resolved = "resolved",
        /// Something that happened once.
        Noted = "noted",
    }
}

spelled_enum! {
    /// How people are told.
    RouteKind ("kind of route") {
        /// An e-mail.
        Email = "email",
        /// A signed JSON message to a URL (Standard Webhooks).
        Webhook = "webhook",
        /// A message to a Slack channel, or to anything that takes Slack's format.
        Slack = "slack",
    }
}

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertMetric {
    /// An indicator of what was counted.
    Indicator(Indicator),
    /// Mean of the score with this name.
    Score(String),
    /// macro-F1 of the version that serves, on what was held out when it was evaluated.
    MacroF1,
}

impl AlertMetric {
    /// Its name in JSON, in the database and in messages.
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Indicator(indicator) => Cow::Borrowed(indicator.as_str()),
            Self::Score(name) => Cow::Owned(format!("{SCORE}{name}")),
            Self::MacroF1 => Cow::Borrowed(MACRO_F1),
        }
    }
}

impl fmt::Display for AlertMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl FromStr for AlertMetric {
    type Err = UnknownVariant;

    fn from_str(given: &str) -> Result<Self, UnknownVariant> {
        if let Some(name) = given.strip_prefix(SCORE)
            && require_name("", name).is_ok()
        {
            return Ok(Self::Score(name.to_owned()));
        }
        if given == MACRO_F1 {
            return Ok(Self::MacroF1);
        }
        given
            .parse()
            .map(Self::Indicator)
            .map_err(|error: UnknownVariant| UnknownVariant {
                noun: "metric",
                expected: format!("{}, {MACRO_F1}, {SCORE}NAME", error.expected),
                ..error
            })
    }
}

impl serde::Serialize for AlertMetric {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> serde::Deserialize<'de> for AlertMetric {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for AlertMetric {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        let names: Vec<&str> = Indicator::ALL
            .iter()
            .map(|indicator| indicator.as_str())
            .collect();
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some(format!(
                "one of {}, {MACRO_F1}, or {SCORE} with the name of a score",
                names.join(", ")
            )))
            .into()
    }
}

impl utoipa::ToSchema for AlertMetric {}

/// A rule that alerts people.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertRule {
    /// What it looks at.
    pub metric: AlertMetric,
    /// It holds above this value; give this or `below`.
    pub above: Option<f64>,
    /// It holds below this value; give this or `above`.
    pub below: Option<f64>,
    /// The value is of the last so many minutes.
    pub window_minutes: i64,
    /// With fewer outcomes in that time nothing is decided.
    pub min_outcomes: i64,
    /// It has to hold for so many minutes before anybody is told.
    pub for_minutes: i64,
    /// The value has to be better than the threshold by so much before it counts as back.
    pub hysteresis: f64,
    /// How bad it is.
    pub severity: Severity,
    /// What it is looked at apart for: all, or each version, action type, label or source.
    pub by: Dimension,
    /// Only what the version that serves answered counts, where one does: what an earlier one did wrong is over.
    pub of_serving: bool,
    /// Only for these tasks; for all when empty.
    pub tasks: Vec<String>,
    /// What to do about it.
    pub advice: String,
    /// Whether it is looked at.
    pub enabled: bool,
}

impl Default for AlertRule {
    fn default() -> Self {
        Self {
            metric: AlertMetric::Indicator(Indicator::Correctness),
            above: None,
            below: None,
            window_minutes: 1_440,
            min_outcomes: 20,
            for_minutes: 0,
            hysteresis: 0.0,
            severity: Severity::Warning,
            by: Dimension::All,
            of_serving: false,
            tasks: Vec::new(),
            advice: String::new(),
            enabled: true,
        }
    }
}

impl AlertRule {
    /// The rules that every project has: the documented ones, and one for failing calls.
    pub fn shipped() -> Vec<(&'static str, Self)> {
        let day = 1_440;
        let above = |indicator, limit, minutes, severity, advice: &str| Self {
            metric: AlertMetric::Indicator(indicator),
            above: Some(limit),
            window_minutes: minutes,
            severity,
            advice: advice.to_owned(),
            hysteresis: 0.01,
            ..Self::default()
        };
        let below = |indicator, limit, minutes, severity, advice: &str| Self {
            above: None,
            below: Some(limit),
            ..above(indicator, limit, minutes, severity, advice)
        };
        let serving = |rule: Self| Self {
            of_serving: true,
            ..rule
        };
        let accuracy =
            "review the latest answers at once, and go back to the version before if it was better";
        let accuracy = below(Indicator::Correctness, 0.70, day, Severity::Critical, accuracy);
        let escalation = "the model is not sure enough: add examples for what is escalated";
        let escalation = above(
            Indicator::EscalationRate,
            0.30,
            day,
            Severity::Warning,
            escalation,
        );
        let f1 = "train again with more examples; look at the labels with the lowest F1";
        let f1 = Self {
            metric: AlertMetric::MacroF1,
            ..below(Indicator::Correctness, 0.70, day, Severity::Warning, f1)
        };
        let wrong = "review labels and prompts: people correct too many answers";
        let wrong = above(Indicator::CorrectionRate, 0.15, day, Severity::Warning, wrong);
        let approval = "look at what people dislike: hone topics names what goes wrong again and again";
        let approval = below(Indicator::ApprovalRate, 0.75, day, Severity::Warning, approval);
        let action = "collect examples of this kind of action, or change its prompt";
        let action = Self {
            by: Dimension::ActionType,
            ..below(Indicator::ApprovalRate, 0.85, 7 * day, Severity::Info, action)
        };
        let errors = "look at the errors of the last calls and at the provider's status";
        let errors = above(Indicator::ErrorRate, 0.05, 60, Severity::Warning, errors);
        let failing = "add a fallback model, or go back to the version before";
        let failing = above(Indicator::ErrorRate, 0.20, 15, Severity::Critical, failing);
        vec![
            ("accuracy", serving(accuracy)),
            ("escalation", escalation),
            ("f1", f1),
            ("misclassification", serving(wrong)),
            ("approval", serving(approval)),
            ("action-approval", action),
            ("errors", errors),
            ("failing", failing),
        ]
    }

    /// Whether it holds. A rule that fires goes on until the value is better than the threshold by the hysteresis.
    pub fn holds(&self, value: f64, is_firing: bool) -> bool {
        let slack = if is_firing { self.hysteresis } else { 0.0 };
        self.above.is_some_and(|above| value > above - slack)
            || self.below.is_some_and(|below| value < below + slack)
    }

    /// The threshold, in words.
    pub fn threshold(&self) -> String {
        match (self.above, self.below) {
            (Some(above), _) => format!("above {above}"),
            (None, Some(below)) => format!("below {below}"),
            (None, None) => String::new(),
        }
    }

    /// Whether it is about a task.
    pub fn is_about(&self, task: &str) -> bool {
        self.tasks.is_empty() || self.tasks.iter().any(|name| name == task)
    }

    /// Refuses what cannot be meant, by field.
    pub fn validate(&self) -> Result<(), InvalidInput> {
        let refuse = |pointer: &str, detail: String| Err(InvalidInput::field(pointer, detail));
        match (self.above, self.below) {
            (Some(threshold), None) | (None, Some(threshold)) if threshold.is_finite() => {}
            _ => return refuse("/above", "give either above or below, a number".to_owned()),
        }
        if !(1..=MAX_WINDOW_MINUTES).contains(&self.window_minutes) {
            return refuse("/window_minutes", format!("give 1 to {MAX_WINDOW_MINUTES}"));
        }
        if !(0..=1_000_000_000).contains(&self.min_outcomes) {
            return refuse("/min_outcomes", "give 0 to 1000000000".to_owned());
        }
        if !(0..=MAX_WINDOW_MINUTES).contains(&self.for_minutes) {
            return refuse("/for_minutes", format!("give 0 to {MAX_WINDOW_MINUTES}"));
        }
        if !(self.hysteresis >= 0.0 && self.hysteresis.is_finite()) {
            return refuse(
                "/hysteresis",
                "give 0 or more, in what the metric is measured in".to_owned(),
            );
        }
        if self.metric == AlertMetric::MacroF1 && self.by != Dimension::All {
            return refuse("/by", "is not kept of macro_f1; leave it out".to_owned());
        }
        if self.of_serving && self.by != Dimension::All {
            return refuse(
                "/of_serving",
                "cannot stand beside by; leave one of them out".to_owned(),
            );
        }
        for name in &self.tasks {
            require_name("/tasks", name)?;
        }
        if !self.advice.is_empty() {
            require_text("/advice", &self.advice)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_the_documented_ones_and_valid() {
        let shipped = AlertRule::shipped();
        for (name, rule) in &shipped {
            rule.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
            require_name("/name", name).unwrap();
        }
        let of = |name: &str| {
            let found = shipped.iter().find(|(known, _)| *known == name).unwrap();
            (found.1.metric.name().into_owned(), found.1.above, found.1.below)
        };
        assert_eq!(of("accuracy"), ("correctness".to_owned(), None, Some(0.70)));
        assert_eq!(of("escalation"), ("escalation_rate".to_owned(), Some(0.30), None));
        assert_eq!(of("f1"), ("macro_f1".to_owned(), None, Some(0.70)));
        assert_eq!(
            of("misclassification"),
            ("correction_rate".to_owned(), Some(0.15), None)
        );
    }

    #[test]
    fn a_rule_that_fires_goes_on_until_the_value_is_well_back() {
        let rule = AlertRule {
            below: Some(0.70),
            hysteresis: 0.05,
            ..AlertRule::default()
        };
        assert!(rule.holds(0.69, false) && !rule.holds(0.70, false));
        assert!(rule.holds(0.74, true) && !rule.holds(0.75, true));
        let above = AlertRule {
            above: Some(0.3),
            hysteresis: 0.1,
            ..AlertRule::default()
        };
        assert!(!above.holds(0.3, false) && above.holds(0.31, false));
        assert!(above.holds(0.25, true) && !above.holds(0.19, true));
    }

    #[test]
    fn metrics_read_back_and_what_cannot_be_meant_is_refused_by_its_field() {
        for name in ["error_rate", "macro_f1", "score:tone"] {
            assert_eq!(name.parse::<AlertMetric>().unwrap().name(), name);
        }
        let error = "accuracy".parse::<AlertMetric>().unwrap_err().to_string();
        assert!(error.contains("correctness"), "{error}");
        let valid = AlertRule {
            above: Some(0.1),
            ..AlertRule::default()
        };
        for (rule, pointer) in [
            (AlertRule::default(), "/above"),
            (
                AlertRule {
                    below: Some(0.2),
                    ..valid.clone()
                },
                "/above",
            ),
            (
                AlertRule {
                    window_minutes: 0,
                    ..valid.clone()
                },
                "/window_minutes",
            ),
            (
                AlertRule {
                    hysteresis: f64::NAN,
                    ..valid.clone()
                },
                "/hysteresis",
            ),
            (
                AlertRule {
                    metric: AlertMetric::MacroF1,
                    by: Dimension::Label,
                    ..valid.clone()
                },
                "/by",
            ),
        ] {
            assert_eq!(rule.validate().unwrap_err().0[0].pointer, pointer);
        }
    }
}
