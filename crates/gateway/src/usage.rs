//! The use of a call where the provider's count of tokens did not arrive: estimated from the lengths of the texts.

use crate::reply::Usage;

/// Bytes of text that make a token in the languages of most requests.
const BYTES_PER_TOKEN: usize = 4;
/// Longer strings of nothing but the letters of base64 are pictures, sounds and the like, which are not paid by length.
const LONGEST_WORD: usize = 512;

/// What is known of the use, with the rest estimated: the input from the JSON that was sent, the output from the length of
/// what was heard of it.
pub(crate) fn estimated(known: Usage, sent: &[u8], heard_bytes: usize) -> Usage {
    Usage {
        input: known.input.or_else(|| Some(tokens(text_bytes(sent)))),
        output: known.output.max(Some(tokens(heard_bytes))),
        ..known
    }
}

fn tokens(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX)
}

/// Length of the strings in a JSON document, without those that are no text.
fn text_bytes(json: &[u8]) -> usize {
    let (mut sum, mut rest) = (0, json);
    while let Some(start) = rest.iter().position(|&byte| byte == b'"') {
        let string = &rest[start + 1..];
        let end = end_of_string(string);
        if is_text(&string[..end]) {
            sum += end;
        }
        rest = string.get(end + 1..).unwrap_or_default();
    }
    sum
}

fn end_of_string(string: &[u8]) -> usize {
    let mut end = 0;
    while end < string.len() && string[end] != b'"' {
        end += if string[end] == b'\\' { 2 } else { 1 };
    }
    end.min(string.len())
}

fn is_text(string: &[u8]) -> bool {
    let is_code = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-\\".contains(byte);
    let Some(longest) = string.get(..LONGEST_WORD) else {
        return true;
    };
    !string.starts_with(b"data:") && !longest.iter().all(is_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_count_and_pictures_do_not() {
        let picture = "iVBORw0KGgo".repeat(100_000);
        let sent = format!(
            r#"{{"messages":[{{"content":[{{"text":"what is \"this\"?"}},{{"url":"data:image/png;base64,{picture}"}},{{"data":"{picture}"}}]}}]}}"#
        );
        let usage = estimated(Usage::default(), sent.as_bytes(), 10);
        assert!((5..30).contains(&usage.input.unwrap()), "{usage:?}");
        assert_eq!(usage.output, Some(3));
        let long = "一个很长的没有空格的问题".repeat(100);
        let usage = estimated(
            Usage::default(),
            format!("{{\"input\":\"{long}\"}}").as_bytes(),
            0,
        );
        assert!(usage.input.unwrap() > 800);
        assert_eq!(text_bytes(b"{\"broken\\"), 7);
    }

    #[test]
    fn what_is_known_stays() {
        let known = Usage {
            input: Some(100_000),
            output: Some(1),
            cached: 90_000,
            cache_written: 7,
        };
        let expected = Usage {
            output: Some(25),
            ..known
        };
        assert_eq!(estimated(known, b"{}", 100), expected);
    }
}
