//! A text with the disguises of its characters taken off, and the way back to the places in the original.

use std::ops::Range;

/// Where the decimal digits of other scripts begin, each with ten in a row (Unicode category Nd).
const ZEROS: [char; 24] = [
    '\u{660}',
    '\u{6f0}',
    '\u{7c0}',
    '\u{966}',
    '\u{9e6}',
    '\u{a66}',
    '\u{ae6}',
    '\u{b66}',
    '\u{be6}',
    '\u{c66}',
    '\u{ce6}',
    '\u{d66}',
    '\u{de6}',
    '\u{e50}',
    '\u{ed0}',
    '\u{f20}',
    '\u{1040}',
    '\u{17e0}',
    '\u{1810}',
    '\u{ff10}',
    '\u{1d7ce}',
    '\u{1d7d8}',
    '\u{1d7e2}',
    '\u{1d7ec}',
];

/// A folded text.
pub(super) struct Folded {
    pub text: String,
    /// For each byte of it, where its character begins in the original; at the end the length of the original.
    origins: Vec<usize>,
}

impl Folded {
    pub fn new(original: &str) -> Self {
        let (mut text, mut origins) = (String::with_capacity(original.len()), Vec::new());
        for (place, character) in original.char_indices() {
            if crate::normalise::is_invisible(character) {
                continue;
            }
            text.push(folded(character));
            origins.resize(text.len(), place);
        }
        origins.push(original.len());
        Self { text, origins }
    }

    /// Where a range of the folded text is in the original.
    pub fn original(&self, range: &Range<usize>) -> Range<usize> {
        self.origins[range.start]..self.origins[range.end]
    }
}

fn folded(character: char) -> char {
    match character {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => '-',
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        '\u{3002}' => '.',
        _ => digit(character)
            .or_else(|| narrow(character))
            .unwrap_or(character),
    }
}

fn digit(character: char) -> Option<char> {
    let zero = ZEROS.iter().rev().find(|&&zero| zero <= character)?;
    char::from_digit(character as u32 - *zero as u32, 10)
}

/// The ASCII character of a full-width one.
fn narrow(character: char) -> Option<char> {
    let code = character as u32;
    (0xff01..=0xff5e)
        .contains(&code)
        .then(|| char::from_u32(code - 0xfee0))?
}
