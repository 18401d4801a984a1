//! What can be said of a text alone: its normalised form and hash, its words and its n-grams.
//!
//! Called by `learn` for features and by `engine` for duplicates. Pure and synchronous; knows no product noun.

mod near;
mod ngrams;
mod normalise;
mod personal;
mod signature;
mod words;

pub use near::NearGroups;
pub use ngrams::{for_each_char_ngram, for_each_word_ngram};
pub use normalise::{normalise, normalised_hash};
pub use personal::{PersonalFinding, PersonalKind, Pseudonyms, find_personal, pseudonymise, redact};
pub use signature::{SIGNATURE_BANDS, Signature, Signer};
pub use words::WordBuffer;
