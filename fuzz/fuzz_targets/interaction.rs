//! Any bytes as an interaction: taken or refused with a named field, never a panic; what is taken survives writing.
#![no_main]

use hone_domain::{NewInteraction, parse_json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    if let Ok(interaction) = parse_json::<NewInteraction>(document)
        && interaction.validate(1_768_719_600_000_000).is_ok()
    {
        let written = serde_json::to_vec(&interaction).expect("an interaction can be written");
        let read: NewInteraction = parse_json(&written).expect("what was written can be read");
        assert_eq!(read.content_hash(), interaction.content_hash());
    }
});
