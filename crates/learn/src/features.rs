//! Text to features: TF-IDF over word n-grams, and over characters inside word boundaries.
//!
//! A [`Vectoriser`] is a list of blocks; each has its own vocabulary, idf and row norm, and blocks stand side by side
//! in the row, as with scikit-learn's `FeatureUnion` of `TfidfVectorizer`s, whose formulas these are:
//! idf `ln((1+n)/(1+df))+1`, raw or sublinear (`1+ln tf`) term counts, rows of length one.

use hone_text::{WordBuffer, for_each_char_ngram, for_each_word_ngram};
use rayon::prelude::*;

use crate::sparse::SparseRows;
use crate::terms::TermTable;

/// Longest n-gram, in words or characters.
pub(crate) const LONGEST_NGRAM: usize = 8;
/// Terms with more bytes are never features; an artifact stores the length of a term in 16 bits.
const LONGEST_TERM_BYTES: usize = u16::MAX as usize;

/// What a block counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Analyser {
    /// N-grams of words.
    Words,
    /// N-grams of characters inside word boundaries.
    Characters,
}

/// How one block of features is made.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BlockSettings {
    /// What is counted.
    pub analyser: Analyser,
    /// Shortest n-gram.
    pub min_n: usize,
    /// Longest n-gram.
    pub max_n: usize,
    /// Keep only this many terms, the most frequent over the corpus; ties go to the first in byte order.
    pub max_features: Option<usize>,
    /// Keep only terms that stand in at least this many texts.
    pub min_df: u32,
    /// Count `1 + ln tf` in place of `tf`.
    pub sublinear: bool,
}

/// One block of features: settings, vocabulary in byte order and the idf of each term.
#[derive(Debug, Clone)]
pub struct Block {
    settings: BlockSettings,
    table: TermTable,
    idf: Vec<f32>,
}

/// Turns texts into rows of features.
#[derive(Debug, Clone, Default)]
pub struct Vectoriser {
    blocks: Vec<Block>,
}

/// Space that vectorising one text needs, reused from text to text.
#[derive(Debug, Default)]
pub struct VectorScratch {
    words: WordBuffer,
    characters: String,
    terms: Vec<u32>,
    /// Index and value of each feature of the text, blocks one after the other.
    pub(crate) features: Vec<(u32, f32)>,
}

/// Texts handled by one thread at a time: large enough that joining the parts costs nothing, small enough to share.
const CHUNK: usize = 1_024;

impl Block {
    /// Rebuilds a block from its stored parts.
    pub fn from_parts(
        settings: BlockSettings,
        terms: impl IntoIterator<Item = Vec<u8>>,
        idf: Vec<f32>,
    ) -> Self {
        let mut table = TermTable::default();
        for term in terms {
            table.intern(&term);
        }
        Self { settings, table, idf }
    }

    /// Fits a block whose vocabulary is given (in any order); only idf is learned.
    pub fn fit_with_vocabulary(settings: BlockSettings, terms: &[String], texts: &[&str]) -> Self {
        let mut sorted: Vec<&String> = terms.iter().collect();
        sorted.sort_unstable();
        let owned = sorted.iter().map(|term| term.as_bytes().to_vec());
        let mut block = Self::from_parts(settings, owned, vec![1.0; terms.len()]);
        let mut document_counts = vec![0u32; block.table.len()];
        let mut scratch = VectorScratch::default();
        for text in texts {
            block.count_terms(text, &mut scratch);
            scratch.terms.dedup();
            for &term in &scratch.terms {
                document_counts[term as usize] += 1;
            }
        }
        block.idf = document_counts
            .iter()
            .map(|&count| idf(texts.len(), count))
            .collect();
        block
    }

    /// Learns vocabulary and idf.
    fn fit(settings: &BlockSettings, texts: &[&str]) -> Self {
        let counts = CorpusCounts::of(settings, texts);
        let kept = counts.kept_terms(settings);
        let idf = kept
            .iter()
            .map(|&term| idf(texts.len(), counts.documents[term as usize]))
            .collect();
        let terms: Vec<Vec<u8>> = kept
            .iter()
            .map(|&term| counts.table.term(term as usize).to_vec())
            .collect();
        Self::from_parts(settings.clone(), terms, idf)
    }

    /// How the block was made.
    pub fn settings(&self) -> &BlockSettings {
        &self.settings
    }

    /// The terms in order of their feature index.
    pub fn terms(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.table.len()).map(|number| self.table.term(number))
    }

    /// The idf of each term.
    pub fn idf(&self) -> &[f32] {
        &self.idf
    }

    /// Leaves the numbers of the text's known terms in `scratch.terms`, sorted, each as often as it stands there.
    fn count_terms(&self, text: &str, scratch: &mut VectorScratch) {
        let VectorScratch {
            words,
            characters,
            terms,
            ..
        } = scratch;
        terms.clear();
        for_each_ngram(&self.settings, text, words, characters, |ngram| {
            terms.extend(self.table.find(ngram.as_bytes()));
        });
        terms.sort_unstable();
    }

    /// Appends the block's features of one text, shifted by `offset`.
    fn append_features(&self, text: &str, offset: u32, scratch: &mut VectorScratch) {
        self.count_terms(text, scratch);
        let first = scratch.features.len();
        let mut squares = 0.0f64;
        for group in scratch.terms.chunk_by(|a, b| a == b) {
            let count = group.len() as f32;
            let frequency = if self.settings.sublinear {
                1.0 + count.ln()
            } else {
                count
            };
            let value = frequency * self.idf[group[0] as usize];
            squares += f64::from(value) * f64::from(value);
            scratch.features.push((group[0] + offset, value));
        }
        let scale = if squares > 0.0 {
            (1.0 / squares.sqrt()) as f32
        } else {
            0.0
        };
        for feature in &mut scratch.features[first..] {
            feature.1 *= scale;
        }
    }
}

impl Vectoriser {
    /// Puts fitted blocks side by side.
    pub fn from_blocks(blocks: Vec<Block>) -> Self {
        Self { blocks }
    }

    /// Learns the vocabulary and idf of every block.
    pub fn fit(settings: &[BlockSettings], texts: &[&str]) -> Self {
        Self {
            blocks: settings
                .iter()
                .map(|settings| Block::fit(settings, texts))
                .collect(),
        }
    }

    /// The blocks in their order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Number of features of a row.
    pub fn feature_count(&self) -> usize {
        self.blocks.iter().map(|block| block.table.len()).sum()
    }

    /// Leaves the features of one text in `scratch`.
    pub(crate) fn vectorise(&self, text: &str, scratch: &mut VectorScratch) {
        scratch.features.clear();
        let mut offset = 0;
        for block in &self.blocks {
            block.append_features(text, offset, scratch);
            offset += block.table.len() as u32;
        }
    }

    /// The features of many texts, on all cores.
    pub fn transform(&self, texts: &[&str]) -> SparseRows {
        let parts: Vec<SparseRows> = texts
            .par_chunks(CHUNK)
            .map_init(VectorScratch::default, |scratch, chunk| {
                let mut rows = SparseRows::with_capacity(chunk.len());
                for text in chunk {
                    self.vectorise(text, scratch);
                    for &(index, value) in &scratch.features {
                        rows.push(index, value);
                    }
                    rows.end_row();
                }
                rows
            })
            .collect();
        let mut rows = SparseRows::with_capacity(texts.len());
        for part in &parts {
            rows.append(part);
        }
        rows
    }
}

/// How often every term stands in the corpus, and in how many texts.
#[derive(Default)]
struct CorpusCounts {
    table: TermTable,
    total: Vec<u64>,
    documents: Vec<u32>,
    last_document: Vec<u32>,
}

impl CorpusCounts {
    fn of(settings: &BlockSettings, texts: &[&str]) -> Self {
        let half = texts.len().div_ceil(2);
        if half < CHUNK {
            return Self::of_part(settings, texts);
        }
        let (left_texts, right_texts) = texts.split_at(half);
        let (mut left, right) = rayon::join(
            || Self::of_part(settings, left_texts),
            || Self::of_part(settings, right_texts),
        );
        left.add(&right);
        left
    }

    fn of_part(settings: &BlockSettings, texts: &[&str]) -> Self {
        let mut counts = Self::default();
        let (mut words, mut characters) = (WordBuffer::default(), String::new());
        for (document, text) in texts.iter().enumerate() {
            for_each_ngram(settings, text, &mut words, &mut characters, |ngram| {
                if ngram.len() <= LONGEST_TERM_BYTES {
                    counts.see(ngram.as_bytes(), document as u32);
                }
            });
        }
        counts
    }

    fn see(&mut self, term: &[u8], document: u32) {
        let number = self.number_of(term);
        self.total[number] += 1;
        if self.last_document[number] != document {
            self.last_document[number] = document;
            self.documents[number] += 1;
        }
    }

    fn add(&mut self, other: &Self) {
        for number in 0..other.table.len() {
            let here = self.number_of(other.table.term(number));
            self.total[here] += other.total[number];
            self.documents[here] += other.documents[number];
        }
    }

    fn number_of(&mut self, term: &[u8]) -> usize {
        let number = self.table.intern(term) as usize;
        if number == self.total.len() {
            self.total.push(0);
            self.documents.push(0);
            self.last_document.push(u32::MAX);
        }
        number
    }

    /// The terms to keep, in byte order, so that a vocabulary is the same whatever the order of the texts.
    fn kept_terms(&self, settings: &BlockSettings) -> Vec<u32> {
        let mut kept: Vec<u32> = (0..self.table.len() as u32)
            .filter(|&term| self.documents[term as usize] >= settings.min_df)
            .collect();
        let by_bytes = |&a: &u32, &b: &u32| self.table.term(a as usize).cmp(self.table.term(b as usize));
        if let Some(limit) = settings.max_features.filter(|&limit| limit < kept.len()) {
            let by_frequency = |a: &u32, b: &u32| {
                self.total[*b as usize]
                    .cmp(&self.total[*a as usize])
                    .then_with(|| by_bytes(a, b))
            };
            if limit > 0 {
                kept.select_nth_unstable_by(limit - 1, by_frequency);
            }
            kept.truncate(limit);
        }
        kept.sort_unstable_by(by_bytes);
        kept
    }
}

fn for_each_ngram(
    settings: &BlockSettings,
    text: &str,
    words: &mut WordBuffer,
    characters: &mut String,
    visit: impl FnMut(&str),
) {
    match settings.analyser {
        Analyser::Words => {
            words.fill(text);
            for_each_word_ngram(words, settings.min_n, settings.max_n, visit);
        }
        Analyser::Characters => for_each_char_ngram(text, settings.min_n, settings.max_n, characters, visit),
    }
}

fn idf(documents: usize, document_count: u32) -> f32 {
    (((1.0 + documents as f64) / (1.0 + f64::from(document_count))).ln() + 1.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(max_features: Option<usize>) -> BlockSettings {
        BlockSettings {
            analyser: Analyser::Words,
            min_n: 1,
            max_n: 1,
            max_features,
            min_df: 1,
            sublinear: false,
        }
    }

    #[test]
    fn the_most_frequent_terms_are_kept_and_ties_go_by_byte_order() {
        let block = Block::fit(&words(Some(2)), &["card lost", "card stolen", "lost phone"]);
        let terms: Vec<&[u8]> = block.terms().collect();
        assert_eq!(terms, [b"card".as_slice(), b"lost"]);
        let tied = Block::fit(&words(Some(1)), &["zebra apple"]);
        assert_eq!(tied.terms().next(), Some(b"apple".as_slice()));
    }

    #[test]
    fn rows_have_length_one_or_are_empty() {
        let vectoriser = Vectoriser::fit(&[words(None)], &["card lost", "card stolen"]);
        let rows = vectoriser.transform(&["card card lost", "unknown words"]);
        assert!((rows.squared_norm(0) - 1.0).abs() < 1e-6);
        assert_eq!(rows.squared_norm(1), 0.0);
    }

    #[test]
    fn a_given_vocabulary_learns_the_same_idf() {
        let texts = ["card lost", "card stolen", "lost phone"];
        let learned = Block::fit(&words(None), &texts);
        let names: Vec<String> = learned
            .terms()
            .map(|term| String::from_utf8(term.to_vec()).unwrap())
            .collect();
        assert_eq!(
            Block::fit_with_vocabulary(words(None), &names, &texts).idf(),
            learned.idf()
        );
    }
}
