//! What a call costs: the price table that ships with Hone, and what an installation puts before it.

use std::collections::HashMap;

use hone_domain::{NewInteraction, ProviderKind};

use crate::reply::Usage;
use crate::route::Candidate;

/// Prices of the providers' own models, in USD per million tokens.
const SHIPPED: &str = include_str!("prices.toml");

/// The price of one model, in USD per million tokens.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Name of a provider as configured, or a provider kind.
    pub provider: String,
    /// The model as the provider names it, without a date at its end.
    pub model: String,
    /// Input tokens.
    pub input: f64,
    /// Output tokens.
    pub output: f64,
    /// Input tokens read from a cache; as `input` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
    /// Input tokens written to a cache; as `input` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<f64>,
}

#[derive(serde::Deserialize)]
struct Document {
    price: Vec<Price>,
}

/// Prices that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPrices {
    /// The table that ships with Hone.
    #[error("the price table cannot be read: {0}")]
    Table(#[from] toml::de::Error),
    /// A price of the settings.
    #[error("gateway.prices: a price of {0} is below zero")]
    Negative(String),
}

/// All prices, by provider and model.
#[derive(Debug, Default)]
pub(crate) struct PriceTable(HashMap<(String, String), Price>);

impl PriceTable {
    /// The shipped table with `overrides` before it.
    pub fn with_overrides(overrides: &[Price]) -> Result<Self, InvalidPrices> {
        let shipped: Document = toml::from_str(SHIPPED)?;
        for price in overrides {
            let optional = [price.cached_input, price.cache_write].into_iter().flatten();
            let is_price = |usd: f64| usd.is_finite() && usd >= 0.0;
            if ![price.input, price.output]
                .into_iter()
                .chain(optional)
                .all(is_price)
            {
                return Err(InvalidPrices::Negative(format!(
                    "{}/{}",
                    price.provider, price.model
                )));
            }
        }
        let prices = shipped.price.into_iter().chain(overrides.iter().cloned());
        Ok(Self(
            prices
                .map(|price| ((price.provider.clone(), price.model.clone()), price))
                .collect(),
        ))
    }

    /// The cost of a call in millionths of a USD; `None` where no price is known or no tokens were counted.
    pub fn cost_micro_usd(
        &self,
        provider: &str,
        kind: ProviderKind,
        model: &str,
        usage: &Usage,
    ) -> Option<f64> {
        let price = self.find(provider, kind, model)?;
        let (input, output) = (usage.input?, usage.output.unwrap_or(0));
        let cached = usage.cached.min(input);
        let written = usage.cache_written.min(input - cached);
        let plain = input - cached - written;
        // USD per million tokens are millionths of a USD per token.
        Some(
            f64::from(plain) * price.input
                + f64::from(cached) * price.cached_input.unwrap_or(price.input)
                + f64::from(written) * price.cache_write.unwrap_or(price.input)
                + f64::from(output) * price.output,
        )
    }

    /// The same of a call to a model that calls itself `model`, or by the name it was asked by.
    pub fn cost_micro_usd_of(&self, candidate: &Candidate, model: &str, usage: &Usage) -> Option<f64> {
        let provider = &candidate.provider;
        let cost = |model: &str| self.cost_micro_usd(&provider.name, provider.kind, model, usage);
        cost(model).or_else(|| cost(&candidate.model))
    }

    /// The cost in USD of a call that went another way, by its model as `provider/model`.
    pub fn cost_usd_of(&self, record: &NewInteraction) -> Option<f64> {
        let (provider, model) = record.model.as_deref()?.split_once('/')?;
        let usage = Usage {
            input: record.tokens_input,
            output: record.tokens_output,
            ..Usage::default()
        };
        let kind = provider.parse().unwrap_or(ProviderKind::OpenAi);
        let micro_usd = self.cost_micro_usd(provider, kind, model, &usage)?;
        Some(micro_usd / 1e6)
    }

    /// The price by the provider's name, then by its kind; Azure sells what is listed for OpenAI.
    fn find(&self, provider: &str, kind: ProviderKind, model: &str) -> Option<&Price> {
        let of = |owner: &str| {
            let get = |model: &str| self.0.get(&(owner.to_owned(), model.to_owned()));
            get(model).or_else(|| get(without_date(model)?))
        };
        let openai = || (kind == ProviderKind::Azure).then(|| of(ProviderKind::OpenAi.as_str()))?;
        of(provider).or_else(|| of(kind.as_str())).or_else(openai)
    }
}

/// The model without the date of its snapshot, `-2026-01-31` or `-20260131` (also after `@`). Other endings name other models.
fn without_date(model: &str) -> Option<&str> {
    let is_date = |text: &str| {
        let digits = |range: std::ops::Range<usize>| text[range].bytes().all(|byte| byte.is_ascii_digit());
        match text.len() {
            8 => digits(0..8),
            10 => digits(0..4) && &text[4..5] == "-" && digits(5..7) && &text[7..8] == "-" && digits(8..10),
            _ => false,
        }
    };
    [10, 8].into_iter().find_map(|length| {
        let start = model.len().checked_sub(length)?;
        let (name, date) = (model.get(..start)?, model.get(start..)?);
        let name = name.strip_suffix(['-', '@'])?;
        (date.is_ascii() && is_date(date)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> PriceTable {
        let overrides = [Price {
            provider: "mine".into(),
            model: "large".into(),
            input: 2.0,
            output: 4.0,
            cached_input: Some(0.5),
            cache_write: None,
        }];
        PriceTable::with_overrides(&overrides).unwrap()
    }

    #[test]
    fn cached_tokens_cost_their_own_price() {
        let usage = Usage {
            input: Some(1_000),
            output: Some(100),
            cached: 400,
            cache_written: 0,
        };
        let cost = table().cost_micro_usd("mine", ProviderKind::OpenAi, "large", &usage);
        assert_eq!(cost, Some(600.0 * 2.0 + 400.0 * 0.5 + 100.0 * 4.0));
    }

    #[test]
    fn a_dated_snapshot_costs_what_its_model_costs_and_nothing_else_does() {
        let (table, usage) = (
            table(),
            Usage {
                input: Some(1_000_000),
                ..Usage::default()
            },
        );
        let cost = |model: &str| table.cost_micro_usd("openai", ProviderKind::OpenAi, model, &usage);
        assert_eq!(cost("gpt-4o-mini"), Some(150_000.0));
        assert_eq!(cost("gpt-4o-mini-2024-07-18"), Some(150_000.0));
        assert_eq!(cost("gpt-4o-mini-audio-preview-2024-12-17"), None);
        assert_eq!(cost("gpt-4o-mini-é-2024-07-18"), None);
        assert_eq!(
            table.cost_micro_usd("east", ProviderKind::Azure, "gpt-4o-mini", &usage),
            Some(150_000.0)
        );
        assert_eq!(
            table.cost_micro_usd("openai", ProviderKind::OpenAi, "gpt-4o-mini", &Usage::default()),
            None,
            "nothing was counted"
        );
    }
}
