//! Free text as stored: one leading byte says how the rest is written, so that compression and encryption need no
//! migration.

/// The rest is UTF-8.
const PLAIN: u8 = 0;
/// The rest is zstd-compressed UTF-8.
const ZSTD: u8 = 1;
/// Texts of this many bytes and more are compressed.
const COMPRESS_FROM: usize = 4 * 1024;
/// No stored text may unpack to more.
const MAX_UNPACKED: usize = 64 << 20;

/// A text read through the codec.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredText(pub String);

impl StoredText {
    /// The bytes to store.
    pub fn encode(text: &str) -> Vec<u8> {
        if text.len() >= COMPRESS_FROM
            && let Ok(packed) = zstd::bulk::compress(text.as_bytes(), 1)
            && packed.len() < text.len()
        {
            return tagged(ZSTD, &packed);
        }
        tagged(PLAIN, text.as_bytes())
    }

    /// The bytes to store, when there is a text.
    pub fn encode_option(text: Option<&str>) -> Option<Vec<u8>> {
        text.map(Self::encode)
    }
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(bytes.len() + 1);
    stored.push(tag);
    stored.extend_from_slice(bytes);
    stored
}

/// Stored bytes that the codec does not know.
#[derive(Debug, thiserror::Error)]
#[error("stored text cannot be read: {0}")]
pub struct UnreadableText(String);

impl TryFrom<Vec<u8>> for StoredText {
    type Error = UnreadableText;

    fn try_from(mut stored: Vec<u8>) -> Result<Self, Self::Error> {
        let bytes = match stored.first() {
            Some(&PLAIN) => {
                stored.remove(0);
                stored
            }
            Some(&ZSTD) => zstd::bulk::decompress(&stored[1..], MAX_UNPACKED)
                .map_err(|error| UnreadableText(format!("damaged compression: {error}")))?,
            Some(tag) => {
                return Err(UnreadableText(format!(
                    "format {tag} is not known to this version of hone"
                )));
            }
            None => return Err(UnreadableText("it is empty".to_owned())),
        };
        String::from_utf8(bytes)
            .map(Self)
            .map_err(|_| UnreadableText("it is no UTF-8".to_owned()))
    }
}

/// A text that may be absent, read through the codec.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OptionalText(pub Option<String>);

impl TryFrom<Option<Vec<u8>>> for OptionalText {
    type Error = UnreadableText;

    fn try_from(stored: Option<Vec<u8>>) -> Result<Self, Self::Error> {
        stored
            .map(StoredText::try_from)
            .transpose()
            .map(|text| Self(text.map(|text| text.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_and_long_ones_shrink() {
        for text in [String::new(), "short".to_owned(), "long ".repeat(2_000)] {
            let stored = StoredText::encode(&text);
            assert!(stored.len() <= text.len() + 1);
            assert_eq!(StoredText::try_from(stored).unwrap().0, text);
        }
    }

    #[test]
    fn unknown_formats_are_refused() {
        assert!(
            StoredText::try_from(vec![9, 1, 2])
                .unwrap_err()
                .to_string()
                .contains("format 9")
        );
        assert!(StoredText::try_from(vec![]).is_err());
    }
}
