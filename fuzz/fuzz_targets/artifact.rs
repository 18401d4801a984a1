//! Any bytes as an artifact, with and without a right checksum: loaded or refused, never a panic or a runaway allocation.
#![no_main]

use hone_learn::artifact;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = artifact::decode(bytes);
    // With a right checksum the parser behind it is reached.
    let mut sealed = b"HONEMODL\x01\0\0\0".to_vec();
    sealed.extend_from_slice(bytes);
    let hash = blake3::hash(&sealed);
    sealed.extend_from_slice(hash.as_bytes());
    let _ = artifact::decode(&sealed);
});
