//! What can be said of a text alone: its normalised form and hash, its words and n-grams, its language and flaws, personal data,
//! words that hurt and signs of injection in it, and the signature by which near-duplicates are found.
//!
//! Called by `learn` for features and by `engine` for duplicates. Pure and synchronous; knows no product noun.

mod band_groups;
mod band_index;
mod flaws;
mod injection;
mod language;
mod moderation;
mod near;
mod ngrams;
mod normalise;
mod pattern;
mod personal;
mod signature;
mod words;

pub use band_groups::BandGroups;
pub use band_index::{BandIndex, INDEXED_BANDS};
pub use flaws::{TextFlaw, answer_flaws, input_flaws};
pub use injection::{InjectionSigns, injection_signs};
pub use language::language;
pub use moderation::{Moderation, moderation};
pub use near::NearGroups;
pub use ngrams::{for_each_char_ngram, for_each_word_ngram};
pub use normalise::{normalise, normalised_hash};
pub use personal::{PersonalFinding, PersonalKind, Pseudonyms, find_personal, pseudonymise, redact};
pub use signature::{SIGNATURE_BANDS, Signature, Signer};
pub use words::WordBuffer;
