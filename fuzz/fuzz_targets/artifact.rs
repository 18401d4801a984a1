//! Any bytes as an artifact, with and without a right checksum: loaded and able to predict, or refused; never a panic,
//! never a runaway allocation.
#![no_main]

use hone_learn::{Scratch, artifact};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = artifact::decode(bytes);
    // With a right checksum the parser behind it is reached.
    let mut sealed = b"HONEMODL\x01\0\0\0".to_vec();
    sealed.extend_from_slice(bytes);
    let hash = blake3::hash(&sealed);
    sealed.extend_from_slice(hash.as_bytes());
    if let Ok(classifier) = artifact::decode(&sealed) {
        classifier.predict("where is my card", 3, &mut Scratch::default());
    }
});
