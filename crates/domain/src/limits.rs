//! Budgets and rate limits of a key, a task or a project: how much of what may be used in a minute and in a day (UTC).

use crate::{InvalidInput, spelled_enum};

/// Largest number that a limit may have.
const MAX_COUNT: u64 = 1_000_000_000_000;

/// What may be used in a minute and in a day; absent fields do not limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// In a minute.
    #[serde(
        deserialize_with = "crate::object",
        skip_serializing_if = "Allowance::is_unlimited"
    )]
    pub per_minute: Allowance,
    /// In a day, from midnight UTC.
    #[serde(
        deserialize_with = "crate::object",
        skip_serializing_if = "Allowance::is_unlimited"
    )]
    pub per_day: Allowance,
}

/// How much may be used; absent fields do not limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Allowance {
    /// Requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens, of inputs and outputs together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Cost in USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

spelled_enum! {
    /// What a limit counts.
    LimitedQuantity ("limited quantity") {
        /// Requests.
        Requests = "requests",
        /// Tokens of inputs and outputs.
        Tokens = "tokens",
        /// Cost in USD.
        Cost = "cost",
    }
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        self.per_minute.is_unlimited() && self.per_day.is_unlimited()
    }

    /// Checks every number; `pointer` leads to the limits.
    pub fn validate(&self, pointer: &str) -> Result<(), InvalidInput> {
        for (name, allowance) in [("per_minute", &self.per_minute), ("per_day", &self.per_day)] {
            for (field, count) in [("requests", allowance.requests), ("tokens", allowance.tokens)] {
                if count.is_some_and(|count| count > MAX_COUNT) {
                    let detail = format!("give 0 to {MAX_COUNT}, or leave it out");
                    return Err(InvalidInput::field(format!("{pointer}/{name}/{field}"), detail));
                }
            }
            if allowance.cost_usd.is_some_and(|usd| !(0.0..=1e9).contains(&usd)) {
                let pointer = format!("{pointer}/{name}/cost_usd");
                return Err(InvalidInput::field(
                    pointer,
                    "give USD from 0 to 1000000000, or leave it out",
                ));
            }
        }
        Ok(())
    }
}

impl Allowance {
    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// The first quantity of which as much is used as is allowed.
    pub fn exhausted(&self, requests: i64, tokens: i64, cost_micro_usd: i64) -> Option<LimitedQuantity> {
        let is_used_up = |used: i64, allowed: Option<u64>| {
            allowed.is_some_and(|allowed| used >= i64::try_from(allowed).unwrap_or(i64::MAX))
        };
        if is_used_up(requests, self.requests) {
            return Some(LimitedQuantity::Requests);
        }
        if is_used_up(tokens, self.tokens) {
            return Some(LimitedQuantity::Tokens);
        }
        let is_spent = self
            .cost_usd
            .is_some_and(|usd| cost_micro_usd as f64 >= usd * 1e6);
        is_spent.then_some(LimitedQuantity::Cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_is_named() {
        let allowance = Allowance {
            requests: Some(10),
            tokens: None,
            cost_usd: Some(0.5),
        };
        assert_eq!(allowance.exhausted(9, 1_000_000, 499_999), None);
        assert_eq!(allowance.exhausted(10, 0, 0), Some(LimitedQuantity::Requests));
        assert_eq!(allowance.exhausted(0, 0, 500_000), Some(LimitedQuantity::Cost));
        assert!(Limits::default().is_unlimited());
    }

    #[test]
    fn impossible_numbers_are_refused_by_field() {
        let limits: Limits = serde_json::from_str(r#"{"per_day":{"cost_usd":-1}}"#).unwrap();
        let error = limits.validate("/policy/limits").unwrap_err();
        assert_eq!(error.0[0].pointer, "/policy/limits/per_day/cost_usd");
    }
}
