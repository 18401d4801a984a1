//! Server-sent events in a stream of bytes: where each one ends, what its data is, and how a field is put into it.

use bytes::{Bytes, BytesMut};

/// The longest event that is taken.
pub(crate) const MAX_EVENT_BYTES: usize = 16 << 20;

/// Bytes of a stream that do not end an event yet.
#[derive(Debug, Default)]
pub(crate) struct EventBuffer {
    kept: BytesMut,
}

/// A stream whose event does not end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EventTooLong;

impl EventBuffer {
    /// Adds what arrived; gives the whole events of it as one piece of bytes.
    pub fn push(&mut self, arrived: Bytes) -> Result<Bytes, EventTooLong> {
        let whole = if self.kept.is_empty() {
            // Most pieces that a provider sends end with an event: they pass without being copied.
            let mut whole = arrived;
            let rest = whole.split_off(end_of_last_event(&whole, 0));
            self.kept.extend_from_slice(&rest);
            whole
        } else {
            // What was kept holds no end, but may hold the beginning of one.
            let looked_at = self.kept.len().saturating_sub(2);
            self.kept.extend_from_slice(&arrived);
            let end = end_of_last_event(&self.kept, looked_at);
            self.kept.split_to(end).freeze()
        };
        if self.kept.len() > MAX_EVENT_BYTES {
            return Err(EventTooLong);
        }
        Ok(whole)
    }

    /// What is left when the stream ends: an event without its end.
    pub fn rest(&mut self) -> Bytes {
        self.kept.split().freeze()
    }
}

/// Where the last whole event of `bytes` ends; 0 where none ends after `from`.
fn end_of_last_event(bytes: &[u8], from: usize) -> usize {
    let mut end = bytes.len();
    while end > from {
        if ends_event(&bytes[..end]) {
            return end;
        }
        let before = bytes[from..end - 1].iter().rposition(|&byte| byte == b'\n');
        end = before.map_or(0, |place| from + place + 1);
    }
    0
}

fn ends_event(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\n\n") || bytes.ends_with(b"\n\r\n")
}

/// The events in a piece of whole events, in order.
pub(crate) fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let mut end = 0;
        while let Some(line) = bytes[end..].iter().position(|&byte| byte == b'\n') {
            end += line + 1;
            if ends_event(&bytes[..end]) {
                break;
            }
        }
        let end = if end == 0 { bytes.len() } else { end };
        let (event, rest) = bytes.split_at(end);
        bytes = rest;
        Some(event)
    })
}

/// The data of an event that has one line of it, as every provider sends; `None` for comments and the like.
pub(crate) fn data_of(event: &[u8]) -> Option<&[u8]> {
    event
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"data:"))
        .map(<[u8]>::trim_ascii)
}

/// The event with a field put first into the object that is its data.
pub(crate) fn with_field(event: &[u8], name: &str, value: &str) -> Option<Vec<u8>> {
    let data = data_of(event)?;
    let start = event.windows(5).position(|window| window == b"data:")?;
    let brace = start + event[start..].iter().position(|&byte| byte == b'{')?;
    let is_empty = data[1..].trim_ascii_start().starts_with(b"}");
    let field = format!("\"{name}\":\"{value}\"{}", if is_empty { "" } else { "," });
    let mut changed = Vec::with_capacity(event.len() + field.len());
    changed.extend_from_slice(&event[..=brace]);
    changed.extend_from_slice(field.as_bytes());
    changed.extend_from_slice(&event[brace + 1..]);
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_field_is_put_first() {
        let changed = with_field(b"event: x\ndata: {\"a\":1}\n\n", "id", "7").unwrap();
        assert_eq!(changed, b"event: x\ndata: {\"id\":\"7\",\"a\":1}\n\n");
        assert_eq!(
            with_field(b"data: {}\n\n", "id", "7").unwrap(),
            b"data: {\"id\":\"7\"}\n\n"
        );
        assert_eq!(with_field(b"data: [DONE]\n\n", "id", "7"), None);
        assert_eq!(with_field(b": comment\n\n", "id", "7"), None);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut buffer = EventBuffer::default();
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let refused = (0..20).find_map(|_| buffer.push(piece.clone()).err());
        assert_eq!(refused, Some(EventTooLong));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_the_stream_is_cut(
            texts in proptest::collection::vec("[a-z \\r]{0,12}", 1..8),
            cuts in proptest::collection::vec(1usize..7, 0..40),
        ) {
            let events: Vec<String> = texts.iter().map(|text| format!("data: {}\n\n", text.trim())).collect();
            let stream = events.concat();
            let (mut buffer, mut given, mut rest) = (EventBuffer::default(), Vec::new(), stream.as_bytes());
            for cut in cuts.into_iter().chain(std::iter::repeat(5)) {
                if rest.is_empty() { break }
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                let whole = buffer.push(Bytes::copy_from_slice(piece)).unwrap();
                prop_assert!(whole.is_empty() || whole.ends_with(b"\n\n"));
                given.extend(split(&whole).map(<[u8]>::to_vec));
            }
            prop_assert!(buffer.rest().is_empty());
            prop_assert_eq!(given.concat(), stream.as_bytes());
            prop_assert_eq!(given.len(), texts.len());
        }
    }
}
