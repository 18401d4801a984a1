//! A JSON document kept as the text it came as: what went to a model and what came back is stored as it was.

use serde_json::value::RawValue;

/// JSON as text, checked once and never rebuilt.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct JsonText(Box<RawValue>);

impl JsonText {
    /// The text, when it is JSON.
    pub fn parse(text: String) -> Option<Self> {
        RawValue::from_string(text).ok().map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The text, for storing.
    pub fn into_string(self) -> String {
        String::from(Box::<str>::from(self.0))
    }
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
