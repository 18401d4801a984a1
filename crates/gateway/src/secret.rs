//! A provider's key: it can be sent, and shown nowhere.

use bytes::Bytes;
use http::HeaderValue;

const SHORTEST_KEY: usize = 8;

/// A key that no log, error or page shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a key; surrounding blanks, such as the line end of a file, are not part of it.
    pub fn new(key: &str) -> Self {
        Self(key.trim().to_owned())
    }

    /// `prefix` and the key as a header that is marked sensitive; `None` when a header cannot hold it.
    pub(crate) fn header(&self, prefix: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("{prefix}{}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The text without the key, where somebody repeats it. A key too short to be one is a placeholder, and may be any word.
    pub(crate) fn hidden_in(&self, text: Bytes) -> Bytes {
        match std::str::from_utf8(&text) {
            Ok(shown) if self.0.len() >= SHORTEST_KEY && shown.contains(&self.0) => {
                shown.replace(&self.0, "…").into()
            }
            _ => text,
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_but_never_shown() {
        let key = Secret::new("sk-123\n");
        assert_eq!(format!("{key:?}"), "Secret(…)");
        let header = key.header("Bearer ").unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer sk-123");
        assert_eq!(format!("{header:?}"), "Sensitive");
        assert!(Secret::new("a\nb").header("").is_none());
        let echoed = Bytes::from_static(b"wrong key: sk-12345");
        assert_eq!(Secret::new("sk-12345").hidden_in(echoed), "wrong key: …");
        let error = Bytes::from_static(b"{\"param\":null}");
        assert_eq!(Secret::new("null").hidden_in(error.clone()), error);
    }
}
