//! Personal data and secrets in a text: where they are, and the text without them.
//!
//! Each kind has a pattern and, where there is one, a check (Luhn, modulo 97, ranges that are never given out); what may be
//! something else counts only beside words that say what it is. Names of people and places are not looked for: without a
//! model of the language most would be missed, and a promise half kept is none.

mod checks;
mod folding;
mod look;
mod patterns;
mod phone;
mod redaction;

use std::ops::Range;

pub use redaction::{Pseudonyms, pseudonymise, redact};

use folding::Folded;
use look::Look;

/// What a piece of personal data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PersonalKind {
    /// A block of a private key (PEM).
    PrivateKey,
    /// A JSON Web Token.
    Jwt,
    /// A key of a service, known by its prefix.
    ApiKey,
    /// A URL with a user and a password.
    CredentialUrl,
    /// What follows `password:` and the like.
    Password,
    /// An e-mail address.
    Email,
    /// A URL.
    Url,
    /// An international bank account number.
    Iban,
    /// An address of Bitcoin or Ethereum.
    CryptoWallet,
    /// A card number.
    Card,
    /// A Social Security Number or an Individual Taxpayer Identification Number of the USA.
    UsSsn,
    /// A National Insurance Number of the United Kingdom.
    UkNino,
    /// A value-added tax number of the European Union.
    VatId,
    /// An address of IP, version 4 or 6.
    IpAddress,
    /// An address of network hardware.
    MacAddress,
    /// A number of a mobile device.
    Imei,
    /// A day of birth, known by the words before it.
    BirthDate,
    /// Degrees of latitude and longitude.
    Coordinates,
    /// A routing number of a bank in the USA, known by the words before it.
    UsRouting,
    /// A number of a passport, an identity card or a driving licence, known by the words before it.
    IdentityDocument,
    /// A phone number.
    Phone,
}

impl PersonalKind {
    /// All kinds, the one that wins first: of two findings in the same place the earlier kind counts.
    pub const ALL: [Self; 21] = [
        Self::PrivateKey,
        Self::Jwt,
        Self::ApiKey,
        Self::CredentialUrl,
        Self::Password,
        Self::Email,
        Self::Url,
        Self::Iban,
        Self::CryptoWallet,
        Self::Card,
        Self::UsSsn,
        Self::UkNino,
        Self::VatId,
        Self::IpAddress,
        Self::MacAddress,
        Self::Imei,
        Self::BirthDate,
        Self::Coordinates,
        Self::UsRouting,
        Self::IdentityDocument,
        Self::Phone,
    ];

    /// The word for it in placeholders, lists and settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrivateKey => "private_key",
            Self::Jwt => "jwt",
            Self::ApiKey => "api_key",
            Self::CredentialUrl => "credential_url",
            Self::Password => "password",
            Self::Email => "email",
            Self::Url => "url",
            Self::Iban => "iban",
            Self::CryptoWallet => "crypto_wallet",
            Self::Card => "card",
            Self::UsSsn => "us_ssn",
            Self::UkNino => "uk_nino",
            Self::VatId => "vat_id",
            Self::IpAddress => "ip_address",
            Self::MacAddress => "mac_address",
            Self::Imei => "imei",
            Self::BirthDate => "birth_date",
            Self::Coordinates => "coordinates",
            Self::UsRouting => "us_routing",
            Self::IdentityDocument => "identity_document",
            Self::Phone => "phone",
        }
    }
}

/// A piece of personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalFinding {
    /// What it is.
    pub kind: PersonalKind,
    /// Its bytes in the text.
    pub range: Range<usize>,
}

/// Finds personal data, in the order of the text; findings do not overlap. Digits of other scripts, full-width letters and
/// characters that nobody sees hide nothing.
pub fn find_personal(text: &str) -> Vec<PersonalFinding> {
    if text.is_ascii() {
        return find_folded(text);
    }
    let folded = Folded::new(text);
    let mut found = find_folded(&folded.text);
    for finding in &mut found {
        finding.range = folded.original(&finding.range);
    }
    found
}

fn find_folded(text: &str) -> Vec<PersonalFinding> {
    let mut found = Vec::new();
    let look = Look::at(text);
    patterns::find(text, &look, &mut found);
    if look.digits >= phone::FEWEST_NAMED_DIGITS {
        phone::find(text, &mut found);
    }
    found.sort_by_key(|finding| (finding.kind, finding.range.start));
    let mut kept: Vec<PersonalFinding> = Vec::with_capacity(found.len());
    for finding in found {
        let overlaps = |other: &PersonalFinding| {
            other.range.start < finding.range.end && finding.range.start < other.range.end
        };
        if !kept.iter().any(overlaps) {
            kept.push(finding);
        }
    }
    kept.sort_by_key(|finding| finding.range.start);
    kept
}

/// Whether one of the words stands in the text shortly before `start`, in any case.
fn is_after_word(text: &str, start: usize, reach: usize, words: &[&str]) -> bool {
    let from = text.floor_char_boundary(start.saturating_sub(reach));
    has_word(&text[from..start], words)
}

/// Whether one of the words begins a word in the text, in any case. The words are lower case and ASCII and begin with letters.
fn has_word(text: &str, words: &[&str]) -> bool {
    let bytes = text.as_bytes();
    let bit = |letter: u8| 1_u32 << (letter.to_ascii_lowercase() - b'a');
    let firsts = words
        .iter()
        .fold(0, |firsts, word| firsts | bit(word.as_bytes()[0]));
    let mut before = b' ';
    bytes.iter().enumerate().any(|(place, &byte)| {
        let begins = byte.is_ascii_alphabetic() && !before.is_ascii_alphabetic();
        before = byte;
        let is_here = |word: &&str| {
            let here = bytes.get(place..place + word.len());
            here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
        };
        begins && firsts & bit(byte) != 0 && words.iter().any(is_here)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, &str)> {
        let found = find_personal(text).into_iter();
        found
            .map(|finding| (finding.kind.name(), &text[finding.range]))
            .collect()
    }

    #[test]
    fn each_kind_is_found_with_its_check_and_its_words() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----";
        let jwt =
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
        for (text, kind, value) in [
            (key, "private_key", key),
            (jwt, "jwt", jwt),
            (
                "use sk-proj-abcdefghijklmnopqrstuvwx now",
                "api_key",
                "sk-proj-abcdefghijklmnopqrstuvwx",
            ),
            ("AKIAIOSFODNN7EXAMPLE", "api_key", "AKIAIOSFODNN7EXAMPLE"),
            (
                "postgres://me:pw@db.local/x is down",
                "credential_url",
                "postgres://me:pw@db.local/x",
            ),
            ("my password is hunter22, ok?", "password", "hunter22"),
            (
                "mail ann.b+c@mail.example.co.uk.",
                "email",
                "ann.b+c@mail.example.co.uk",
            ),
            (
                "see https://example.com/a?b=c).",
                "url",
                "https://example.com/a?b=c",
            ),
            ("go to www.example.com, please", "url", "www.example.com"),
            (
                "pay DE89 3704 0044 0532 0130 00 today",
                "iban",
                "DE89 3704 0044 0532 0130 00",
            ),
            (
                "to bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
                "crypto_wallet",
                "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
            ),
            ("card 4111 1111 1111 1111 exp", "card", "4111 1111 1111 1111"),
            ("ssn 123-45-6789", "us_ssn", "123-45-6789"),
            ("NI number AB 12 34 56 C", "uk_nino", "AB 12 34 56 C"),
            ("VAT DE136695976 of ours", "vat_id", "DE136695976"),
            ("from 10.218.6.131:80", "ip_address", "10.218.6.131"),
            ("from fe80::1 it came", "ip_address", "fe80::1"),
            ("mac 00:1B:44:11:3A:B7", "mac_address", "00:1B:44:11:3A:B7"),
            ("IMEI 490154203237518", "imei", "490154203237518"),
            ("born on 12 May 1984 in", "birth_date", "12 May 1984"),
            ("date of birth: 1984-05-12", "birth_date", "1984-05-12"),
            (
                "at 52.520008, 13.404954 now",
                "coordinates",
                "52.520008, 13.404954",
            ),
            ("routing number 021000021", "us_routing", "021000021"),
            ("passport no. C01X00T47", "identity_document", "C01X00T47"),
            ("call +49 (0)30 901820 now", "phone", "+49 (0)30 901820"),
            ("call me on 9472 7916?", "phone", "9472 7916"),
            ("Fax: 463-612-6138x036", "phone", "463-612-6138x036"),
        ] {
            assert_eq!(found(text), [(kind, value)], "{text}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_left() {
        for text in [
            "order 4111 1111 1111 1112 is late",
            "it costs 1 000 000 or 1.000.000 dollars",
            "version 1.2.3.4567 of 2024-05-12 10:30:00",
            "666-12-3456 and 900-00-0000 are no numbers",
            "DE89 3704 0044 0532 0130 01",
            "i have 2 cats, 3 dogs and 12345 fish",
            "a@b is no address, nor is @handle",
            "12:30:45 and 3.14159, 99.9 %",
            "on 10/3/1948 we met",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn other_scripts_and_hidden_characters_hide_nothing() {
        for (text, kind) in [
            ("mail ann\u{200b}@example.com", "email"),
            ("ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ", "email"),
            ("card ٤١١١ ١١١١ ١١١١ ١١١١", "card"),
            ("call +49\u{a0}30\u{2011}901820", "phone"),
        ] {
            let found = find_personal(text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].kind.name(), kind);
        }
        assert_eq!(found("名前 ann@example.com です"), [("email", "ann@example.com")]);
    }
}
