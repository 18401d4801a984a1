//! The part of OTLP's trace messages that says what a model was asked, in both encodings: protobuf (fields by number, as in
//! opentelemetry-proto 1.x) and JSON (names in camelCase, ids in hex, 64-bit numbers perhaps as strings). Everything else is
//! skipped.

use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

/// `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TraceRequest {
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    #[serde(deserialize_with = "hex")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    #[serde(rename = "spanId", deserialize_with = "hex")]
    pub id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub name: String,
    #[prost(fixed64, tag = "7")]
    #[serde(deserialize_with = "number")]
    pub start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    #[serde(deserialize_with = "number")]
    pub end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<Event>,
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Event {
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Status {
    #[prost(string, tag = "2")]
    pub message: String,
    /// 2 is an error.
    #[prost(int32, tag = "3")]
    #[serde(deserialize_with = "status_code")]
    pub code: i32,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AnyValue {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Kind {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Whole(i64),
    #[prost(double, tag = "4")]
    Real(f64),
    #[prost(message, tag = "5")]
    List(List),
    #[prost(message, tag = "6")]
    Map(Map),
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct List {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct Map {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// `AnyValue` as JSON names it.
#[expect(clippy::struct_field_names, reason = "the names are OTLP's")]
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AnyValueView {
    string_value: Option<String>,
    bool_value: Option<bool>,
    int_value: Option<Json>,
    double_value: Option<Json>,
    array_value: Option<List>,
    kvlist_value: Option<Map>,
}

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let view = AnyValueView::deserialize(deserializer)?;
        let whole = view.int_value.as_ref().and_then(as_number);
        let real = view.double_value.as_ref().and_then(as_number);
        let kind = view
            .string_value
            .map(Kind::Text)
            .or_else(|| view.bool_value.map(Kind::Bool))
            .or_else(|| whole.map(Kind::Whole))
            .or_else(|| real.map(Kind::Real))
            .or_else(|| view.array_value.map(Kind::List))
            .or_else(|| view.kvlist_value.map(Kind::Map));
        Ok(Self { kind })
    }
}

impl AnyValue {
    /// The value as plain JSON.
    pub fn into_json(self) -> Json {
        match self.kind {
            None => Json::Null,
            Some(Kind::Text(text)) => Json::String(text),
            Some(Kind::Bool(value)) => Json::Bool(value),
            Some(Kind::Whole(number)) => Json::from(number),
            Some(Kind::Real(number)) => Json::from(number),
            Some(Kind::List(list)) => list.values.into_iter().map(Self::into_json).collect(),
            Some(Kind::Map(map)) => Json::Object(into_object(map.values)),
        }
    }
}

/// Attributes as a JSON object.
pub(crate) fn into_object(attributes: Vec<KeyValue>) -> serde_json::Map<String, Json> {
    let pairs = attributes.into_iter();
    pairs
        .map(|pair| (pair.key, pair.value.map_or(Json::Null, AnyValue::into_json)))
        .collect()
}

/// A number, or a string that holds one.
fn as_number<T: std::str::FromStr>(value: &Json) -> Option<T> {
    match value {
        Json::String(text) => text.parse().ok(),
        other => other.to_string().parse().ok(),
    }
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Json::deserialize(deserializer)?;
    as_number(&value).ok_or_else(|| serde::de::Error::custom("is no whole number"))
}

/// A status by its number or, as some exporters write it, by its name.
fn status_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    let value = Json::deserialize(deserializer)?;
    Ok(match &value {
        Json::String(name) if name == "STATUS_CODE_ERROR" => 2,
        other => as_number(other).unwrap_or(0),
    })
}

fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_hex = text.len() % 2 == 0 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex {
        return Err(serde::de::Error::custom("is no id in hex"));
    }
    let digits = text.as_bytes().chunks_exact(2);
    let bytes = digits.map(|pair| {
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
        value(pair[0]) * 16 + value(pair[1])
    });
    Ok(bytes.collect())
}
