//! What one look at the bytes of a text tells of the personal data that it can hold at all: most texts hold none and need no
//! pattern tried.

/// Counts over the bytes of a text.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// ASCII digits.
    pub digits: usize,
    /// Bytes of the longest run without a blank.
    pub longest_run: usize,
    pub ats: usize,
    pub colons: usize,
    pub dashes: usize,
    /// Dots with a letter or a digit after them.
    pub inner_dots: usize,
    /// Whether two letters with two digits after them are somewhere.
    pub has_code: bool,
    /// Whether "pas" or "pwd" is somewhere, in any case.
    pub has_pass: bool,
}

impl Look {
    pub fn at(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut look = Self::default();
        let mut run_start = 0;
        for (place, byte) in bytes.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    look.digits += 1;
                    look.has_code |= is_code(&bytes[place.saturating_sub(3)..=place]);
                }
                b'p' | b'P' => look.has_pass |= is_pass(&bytes[place..]),
                b'@' => look.ats += 1,
                b':' => look.colons += 1,
                b'-' => look.dashes += 1,
                b'.' => {
                    let next = bytes.get(place + 1);
                    look.inner_dots += usize::from(next.is_some_and(u8::is_ascii_alphanumeric));
                }
                blank if blank.is_ascii_whitespace() => {
                    look.longest_run = look.longest_run.max(place - run_start);
                    run_start = place + 1;
                }
                _ => {}
            }
        }
        look.longest_run = look.longest_run.max(bytes.len() - run_start);
        look
    }
}

fn is_code(bytes: &[u8]) -> bool {
    matches!(bytes, [a, b, c, d]
        if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit())
}

fn is_pass(bytes: &[u8]) -> bool {
    let start = bytes.get(..3);
    start.is_some_and(|start| start.eq_ignore_ascii_case(b"pas") || start.eq_ignore_ascii_case(b"pwd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_counts_what_patterns_need() {
        let look = Look::at("My Password: x-1.2, DE89 a@b");
        assert_eq!((look.digits, look.longest_run, look.ats), (4, 9, 1));
        assert_eq!((look.colons, look.dashes, look.inner_dots), (1, 1, 1));
        assert!(look.has_code && look.has_pass);
        let look = Look::at("");
        assert_eq!((look.digits, look.longest_run), (0, 0));
        assert!(!Look::at("D89 up").has_code && !Look::at("a map").has_pass);
    }
}
