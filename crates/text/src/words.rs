//! Words as the documented vectoriser sees them: lower-cased runs of two or more letters, digits or underscores.
//!
//! Chinese, Japanese, Thai and other scripts without spaces become one word a character, so that word 1-3 grams are
//! character 1-3 grams there and never one "word" a sentence.

use std::ops::Range;

/// The words of one text, joined by single spaces, so that every word n-gram is one contiguous slice. Reused from
/// text to text without allocating.
#[derive(Debug, Default)]
pub struct WordBuffer {
    joined: String,
    spans: Vec<Range<u32>>,
}

impl WordBuffer {
    /// Replaces the contents by the words of this text.
    pub fn fill(&mut self, text: &str) {
        self.joined.clear();
        self.spans.clear();
        if text.is_ascii() {
            self.fill_ascii(text);
        } else {
            self.fill_unicode(text);
        }
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether the text had no word.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The words from `first` to `last` (inclusive), joined by single spaces.
    pub fn slice(&self, first: usize, last: usize) -> &str {
        &self.joined[self.spans[first].start as usize..self.spans[last].end as usize]
    }

    fn fill_ascii(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut position = 0;
        while position < bytes.len() {
            if !is_ascii_word(bytes[position]) {
                position += 1;
                continue;
            }
            let start = position;
            while position < bytes.len() && is_ascii_word(bytes[position]) {
                position += 1;
            }
            if position - start >= 2 {
                let begin = self.begin_word();
                self.joined.push_str(&text[start..position]);
                self.joined[begin..].make_ascii_lowercase();
                self.end_word(begin);
            }
        }
    }

    fn fill_unicode(&mut self, text: &str) {
        let mut begin = self.joined.len();
        let mut characters = 0;
        for character in text.chars().flat_map(char::to_lowercase) {
            let unspaced = is_written_without_spaces(character);
            if (unspaced || !is_word(character)) && characters > 0 {
                self.close_word(begin, characters);
                characters = 0;
            }
            if unspaced {
                begin = self.begin_word();
                self.joined.push(character);
                self.end_word(begin);
            } else if is_word(character) {
                if characters == 0 {
                    begin = self.begin_word();
                }
                self.joined.push(character);
                characters += 1;
            }
        }
        if characters > 0 {
            self.close_word(begin, characters);
        }
    }

    fn begin_word(&mut self) -> usize {
        if !self.spans.is_empty() {
            self.joined.push(' ');
        }
        self.joined.len()
    }

    fn end_word(&mut self, begin: usize) {
        self.spans.push(begin as u32..self.joined.len() as u32);
    }

    /// Keeps a word of two or more characters, takes a shorter one back.
    fn close_word(&mut self, begin: usize, characters: usize) {
        if characters >= 2 {
            self.end_word(begin);
        } else {
            self.joined
                .truncate(self.spans.last().map_or(0, |span| span.end as usize));
        }
    }
}

const fn is_ascii_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether the character belongs to a script that is written without spaces between words.
fn is_written_without_spaces(character: char) -> bool {
    matches!(character,
        '\u{0e00}'..='\u{0eff}'       // Thai, Lao
        | '\u{1000}'..='\u{109f}'     // Myanmar
        | '\u{1780}'..='\u{17ff}'     // Khmer
        | '\u{3005}'..='\u{3007}'     // ideographic iteration mark and zero
        | '\u{3041}'..='\u{30ff}'     // Hiragana, Katakana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'   // Han
        | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut buffer = WordBuffer::default();
        buffer.fill(text);
        (0..buffer.len())
            .map(|index| buffer.slice(index, index).to_owned())
            .collect()
    }

    #[test]
    fn words_are_lower_cased_and_two_letters_or_more() {
        assert_eq!(
            words("I can't top-up my_card 24/7!"),
            ["can", "top", "up", "my_card", "24"]
        );
        assert_eq!(
            words("ÜBER die Straße à Paris"),
            ["über", "die", "straße", "paris"]
        );
        assert!(words("? ! a").is_empty());
    }

    #[test]
    fn scripts_without_spaces_give_a_word_a_character() {
        assert_eq!(words("我的卡"), ["我", "的", "卡"]);
        assert_eq!(words("カードを pay2"), ["カ", "ー", "ド", "を", "pay2"]);
    }

    #[test]
    fn words_and_ngrams_are_slices_of_one_buffer() {
        let mut buffer = WordBuffer::default();
        buffer.fill("a lost é card x today");
        assert_eq!(buffer.slice(0, 2), "lost card today");
    }
}
