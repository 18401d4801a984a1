//! What is said of bad input: which field, and what it should be.

use crate::object::Object;

/// One field that cannot be taken, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field, such as `/feedback/rating`; empty for the whole document.
    pub pointer: String,
    /// What is wrong and what it should be.
    pub detail: String,
}

/// Input that is refused as a whole; nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", describe(.0))]
pub struct InvalidInput(pub Vec<FieldError>);

impl InvalidInput {
    /// Refuses because of one field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(vec![FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        }])
    }
}

/// Reads one JSON object into `T`; a refusal names the field by its JSON pointer.
///
/// The fast path costs one plain parse; only a refused document is read a second time, to find the field.
pub fn parse_json<T: serde::de::DeserializeOwned>(document: &[u8]) -> Result<T, InvalidInput> {
    let plain_error = match serde_json::from_slice::<Object<T>>(document) {
        Ok(object) => return Ok(object.0),
        Err(error) => error,
    };
    if std::str::from_utf8(document).is_err() {
        return Err(InvalidInput::field(
            "",
            "not valid UTF-8; send JSON encoded as UTF-8",
        ));
    }
    let mut reader = serde_json::Deserializer::from_slice(document);
    match serde_path_to_error::deserialize::<_, Object<T>>(&mut reader) {
        Ok(_) => Err(InvalidInput::field("", format!("not valid JSON: {plain_error}"))),
        Err(error) => {
            let (mut pointer, detail) = (json_pointer(error.path()), error.inner().to_string());
            // A field that is not there has no path of its own.
            if let Some(name) = detail
                .strip_prefix("missing field `")
                .and_then(|rest| rest.split('`').next())
            {
                pointer = format!("{pointer}/{name}");
            }
            Err(InvalidInput::field(pointer, detail))
        }
    }
}

fn json_pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn describe(errors: &[FieldError]) -> String {
    errors
        .iter()
        .map(|error| match error.pointer.as_str() {
            "" => error.detail.clone(),
            pointer => format!("{pointer}: {}", error.detail),
        })
        .collect::<Vec<_>>()
        .join("; ")
}
