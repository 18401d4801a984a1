//! Documents of other tools: fields looked up by any of several names, and lists that were flattened into names.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Fields by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document(pub Map<String, Value>);

impl Document {
    /// The first of these names that is there and not empty.
    pub fn get(&self, names: &[&str]) -> Option<&Value> {
        let found = names.iter().filter_map(|name| self.0.get(*name));
        found.into_iter().find(|value| !value.is_null())
    }

    /// The first of these names as text; numbers and booleans as they are written.
    pub fn text(&self, names: &[&str]) -> Option<String> {
        let text = match self.get(names)? {
            Value::String(text) => text.clone(),
            value @ (Value::Number(_) | Value::Bool(_)) => value.to_string(),
            _ => return None,
        };
        (!text.trim().is_empty()).then_some(text)
    }

    /// The first of these names as a number, also one written as text.
    pub fn number(&self, names: &[&str]) -> Option<f64> {
        match self.get(names)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The first of these names as a count.
    pub fn count(&self, names: &[&str]) -> Option<u32> {
        let number = self.number(names)?;
        (0.0..=f64::from(u32::MAX))
            .contains(&number)
            .then_some(number as u32)
    }

    /// The first of these names as a document: structured, or JSON in a text.
    pub fn document(&self, names: &[&str]) -> Option<Value> {
        match self.get(names)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            other => Some(other.clone()),
        }
    }

    /// Items of a list whose fields were flattened into names such as `gen_ai.prompt.0.role`; the field's name is what
    /// stands behind the number.
    pub fn flattened(&self, prefix: &str) -> Vec<Self> {
        let mut items: BTreeMap<u32, Map<String, Value>> = BTreeMap::new();
        for (name, value) in &self.0 {
            let Some((number, field)) = name
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_prefix('.'))
                .and_then(|rest| rest.split_once('.'))
            else {
                continue;
            };
            if let Ok(number) = number.parse() {
                let item = items.entry(number).or_default();
                item.insert(field.to_owned(), value.clone());
            }
        }
        items.into_values().map(Self).collect()
    }
}
