//! What can be said of a text alone: its normalised form and hash, its words and its n-grams.
//!
//! Called by `learn` for features and by `engine` for duplicates. Pure and synchronous; knows no product noun.

mod ngrams;
mod normalise;
mod words;

pub use ngrams::{for_each_char_ngram, for_each_word_ngram};
pub use normalise::{normalise, normalised_hash};
pub use words::WordBuffer;
