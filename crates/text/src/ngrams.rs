//! N-grams of words and of characters inside word boundaries, handed out as slices of the caller's buffers.

use crate::WordBuffer;

/// Calls `visit` with every n-gram of the words, shortest first, for `min <= n <= max`.
pub fn for_each_word_ngram(words: &WordBuffer, min: usize, max: usize, mut visit: impl FnMut(&str)) {
    for n in min..=max.min(words.len()) {
        for first in 0..(words.len() + 1).saturating_sub(n) {
            visit(words.slice(first, first + n - 1));
        }
    }
}

/// Calls `visit` with every character n-gram inside word boundaries (`char_wb` of scikit-learn): each run of
/// non-space characters is lower-cased and padded with a space on both sides; a word shorter than `n` counts once.
///
/// `buffer` is scratch space, reused from text to text.
pub fn for_each_char_ngram(
    text: &str,
    min: usize,
    max: usize,
    buffer: &mut String,
    mut visit: impl FnMut(&str),
) {
    let mut boundaries: Vec<usize> = Vec::with_capacity(32);
    for word in text.split_whitespace() {
        buffer.clear();
        buffer.push(' ');
        if word.is_ascii() {
            buffer.push_str(word);
            buffer.make_ascii_lowercase();
        } else {
            buffer.extend(word.chars().flat_map(char::to_lowercase));
        }
        buffer.push(' ');
        boundaries.clear();
        boundaries.extend(buffer.char_indices().map(|(position, _)| position));
        boundaries.push(buffer.len());
        let length = boundaries.len() - 1;
        for n in min..=max {
            if n >= length {
                visit(buffer);
                break;
            }
            for first in 0..=length - n {
                visit(&buffer[boundaries[first]..boundaries[first + n]]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_ngrams_come_shortest_first() {
        let mut words = WordBuffer::default();
        words.fill("lost my card");
        let mut seen = Vec::new();
        for_each_word_ngram(&words, 1, 3, |ngram| seen.push(ngram.to_owned()));
        assert_eq!(seen, ["lost", "my", "card", "lost my", "my card", "lost my card"]);
    }

    #[test]
    fn char_ngrams_agree_with_scikit_learn() {
        // TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)).build_analyzer()("Ab c")
        let mut seen = Vec::new();
        for_each_char_ngram("Ab c", 2, 4, &mut String::new(), |ngram| {
            seen.push(ngram.to_owned());
        });
        assert_eq!(seen, [" a", "ab", "b ", " ab", "ab ", " ab ", " c", "c ", " c "]);
    }
}
