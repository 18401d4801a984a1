//! A request's JSON object, read without rebuilding it: values stay the bytes that the client sent, so that fields nobody
//! here knows travel through untouched.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::refusal::{Refusal, RefusalKind};

/// Fields of one object beyond which it is refused.
const MAX_FIELDS: usize = 256;

/// A field of a body that is to be another than the client wrote, as JSON; left out where it is `None`.
pub(crate) type FieldChange = (Cow<'static, str>, Option<String>);

/// The fields of an object with their values as written. A field that is given twice counts once, as its last value.
#[derive(Debug)]
pub(crate) struct Fields<'a>(Vec<(String, &'a str)>);

impl<'a> Fields<'a> {
    /// Reads the object's top level.
    pub fn read(body: &'a Bytes) -> Result<Self, Refusal> {
        let invalid = |problem: String| {
            let message = format!("the body is no JSON object: {problem}");
            Refusal::new(RefusalKind::Invalid, message)
        };
        let mut reader = serde_json::Deserializer::from_slice(body);
        let fields = reader
            .deserialize_map(FieldsVisitor)
            .map_err(|error| invalid(error.to_string()))?;
        reader.end().map_err(|error| invalid(error.to_string()))?;
        Ok(fields)
    }

    /// The value of a field as written.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|&(_, value)| value)
    }

    /// The value of a field that is a string.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// Writes the object with some fields replaced, added or left out.
    pub fn write(&self, changes: &[FieldChange]) -> Bytes {
        let size: usize = self
            .0
            .iter()
            .map(|(key, value)| key.len() + value.len() + 8)
            .sum();
        let added: usize = changes
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len) + 8)
            .sum();
        let mut written = String::with_capacity(size + added + 2);
        let mut push = |key: &str, value: &str| {
            written.push(if written.is_empty() { '{' } else { ',' });
            written.push_str(&quoted(key));
            written.push(':');
            written.push_str(value);
        };
        for (key, value) in &self.0 {
            match changes.iter().find(|(name, _)| name == key) {
                None => push(key, value),
                Some((_, Some(changed))) => push(key, changed),
                Some((_, None)) => {}
            }
        }
        for (name, value) in changes {
            if let (Some(value), None) = (value, self.get(name)) {
                push(name, value);
            }
        }
        if written.is_empty() {
            written.push('{');
        }
        written.push('}');
        Bytes::from(written)
    }
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut fields: Vec<(String, &'de str)> = Vec::with_capacity(8);
        while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
            match fields.iter().position(|(known, _)| *known == key) {
                Some(position) => fields[position].1 = value.get(),
                None if fields.len() < MAX_FIELDS => fields.push((key, value.get())),
                None => {
                    let problem = format!("more than {MAX_FIELDS} fields");
                    return Err(serde::de::Error::custom(problem));
                }
            }
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_travel_as_written() {
        let body = Bytes::from_static(
            br#"{ "model": "a", "x": [1.0, 1e2,  "\u00e9"], "big": 12345678901234567890123, "model": "b" }"#,
        );
        let fields = Fields::read(&body).unwrap();
        assert_eq!(fields.text("model").as_deref(), Some("b"), "the last one counts");
        let written = fields.write(&[
            ("model".into(), Some(quoted("c"))),
            ("new".into(), Some("1".into())),
        ]);
        let expected = r#"{"model":"c","x":[1.0, 1e2,  "\u00e9"],"big":12345678901234567890123,"new":1}"#;
        assert_eq!(written, expected);
        assert_eq!(
            fields.write(&[("x".into(), None), ("big".into(), None), ("model".into(), None)]),
            "{}"
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["", "[]", "7", "{\"a\":}", "{} {}", "{\"a\":1", "null"] {
            assert!(Fields::read(&Bytes::from(body)).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_object_survives(object in proptest::collection::btree_map("\\PC{0,8}", "\\PC{0,8}", 0..8)) {
            let body = Bytes::from(serde_json::to_vec(&object).unwrap());
            let written = Fields::read(&body).unwrap().write(&[]);
            let back: std::collections::BTreeMap<String, String> = serde_json::from_slice(&written).unwrap();
            prop_assert_eq!(back, object);
        }
    }
}
