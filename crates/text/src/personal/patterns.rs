//! The kinds that have a fixed shape, each with the check that tells it from what only looks alike.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use regex::Regex;

use super::checks::{digits_of, is_card, is_iban, is_us_routing, is_us_ssn, luhn};
use super::look::Look;
use super::{PersonalFinding, PersonalKind, has_word, is_after_word};
use crate::pattern::pattern;

/// How far before a number the words are looked for that say what it is, in bytes.
const REACH: usize = 32;
/// Fewer digits make none of the numbers.
const FEWEST_DIGITS: usize = 4;
/// Shorter runs without a blank are no key, token or wallet.
const SHORTEST_SECRET: usize = 15;

/// Lengths of account numbers by country (SWIFT's IBAN registry, release 99).
const IBAN_LENGTHS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27\
    GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30\
    NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

pattern!(
    PRIVATE_KEY,
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"
);
pattern!(JWT, r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*");
pattern!(
    API_KEY,
    r"sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}|xox[abeprs]-[A-Za-z0-9-]{10,}|A[KS]IA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|hone_[0-9a-f]{64}"
);
pattern!(
    CREDENTIAL_URL,
    r#"[A-Za-z][A-Za-z0-9+.-]*://[^\s/@:]+:[^\s/@]+@[!-~&&[^<>"']]+"#
);
pattern!(
    PASSWORD,
    r#"(?i:password|passwort|passwd|passphrase|pwd)\s*(?i:is\s|:|=)\s*["']?([^\s"',;\[][^\s"',;]{3,})"#
);
pattern!(
    EMAIL,
    r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}"
);
pattern!(
    URL,
    r#"(?i:https?|ftp)://[!-~&&[^<>"']]+|(?i:www)\.[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?:[/?#][!-~&&[^<>"']]*)?"#
);
pattern!(IBAN, r"[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,40}");
pattern!(
    WALLET,
    r"bc1[a-z0-9]{25,62}|0x[A-Fa-f0-9]{40}|[13][a-km-zA-HJ-NP-Z1-9]{25,34}"
);
pattern!(SSN, r"[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}");
pattern!(
    NINO,
    r"(?i)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]"
);
pattern!(
    VAT_ID,
    r"ATU[0-9]{8}|BE[01][0-9]{9}|BG[0-9]{9,10}|CY[0-9]{8}[A-Z]|CZ[0-9]{8,10}|ES[A-Z0-9][0-9]{7}[A-Z0-9]|FR[A-Z0-9]{2}[0-9]{9}|IE[0-9]{7}[A-Z]{1,2}|LT[0-9]{9,12}|NL[0-9]{9}B[0-9]{2}|RO[0-9]{2,10}|(?:DE|EE|EL|GB|PT)[0-9]{9}|(?:DK|FI|HU|LU|MT|SI)[0-9]{8}|(?:HR|IT|LV)[0-9]{11}|(?:PL|SK)[0-9]{10}|SE[0-9]{12}"
);
pattern!(IP_V4, r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}");
pattern!(
    IP_V6,
    r"[0-9A-Fa-f:]*:[0-9A-Fa-f]*:[0-9A-Fa-f:]*(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3})?"
);
pattern!(MAC, r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}");
pattern!(IMEI, r"[0-9]{2}[- ]?[0-9]{6}[- ]?[0-9]{6}[- ]?[0-9]");
pattern!(
    DATE,
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}|[0-9]{1,2}(?:st|nd|rd|th|\.)? (?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*,? [0-9]{4}|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* [0-9]{1,2}(?:st|nd|rd|th)?,? [0-9]{4}"
);
pattern!(COORDINATES, r"-?[0-9]{1,2}\.[0-9]{4,}, ?-?[0-9]{1,3}\.[0-9]{4,}");
pattern!(NINE_DIGITS, r"[0-9]{9}");
pattern!(DOCUMENT, r"[A-Za-z0-9][A-Za-z0-9-]{4,16}[A-Za-z0-9]");
pattern!(GROUPS, r"[0-9](?:[ -]?[0-9]){11,40}");

/// Finds every kind but phone numbers. What each `if` asks for, every match of the pattern has.
pub(super) fn find(text: &str, look: &Look, found: &mut Vec<PersonalFinding>) {
    let mut search = Search { text, look, found };
    search.secrets();
    if look.ats > 0 {
        search.whole(&EMAIL, PersonalKind::Email, |text, range| {
            // The dot or dash that stands before an address is none of it.
            let local = text[range.clone()].trim_start_matches(['.', '-', '\'']);
            let start = range.end - local.len();
            (!local.starts_with('@')).then_some(start..range.end)
        });
    }
    if look.colons + look.inner_dots > 0 {
        search.whole(&URL, PersonalKind::Url, |text, range| {
            Some(without_punctuation(text, range))
        });
    }
    if look.digits >= FEWEST_DIGITS {
        search.numbers();
    }
    if look.colons + look.dashes >= 5 {
        search.whole(&MAC, PersonalKind::MacAddress, as_it_is);
    }
    if look.colons > 1 {
        search.whole(&IP_V6, PersonalKind::IpAddress, |text, range| {
            let shown = text[range.clone()].trim_end_matches(':');
            let end = range.start + shown.len().max(text[range.clone()].len().min(2));
            let shown = &text[range.start..end];
            let is_address =
                shown.parse::<Ipv6Addr>().is_ok() && shown.bytes().any(|byte| byte.is_ascii_digit());
            is_address.then_some(range.start..end)
        });
    }
}

/// The check of a pattern that needs none.
#[expect(clippy::unnecessary_wraps, reason = "the shape of a check")]
fn as_it_is(_: &str, range: Range<usize>) -> Option<Range<usize>> {
    Some(range)
}

struct Search<'a, 'f> {
    text: &'a str,
    look: &'a Look,
    found: &'f mut Vec<PersonalFinding>,
}

impl Search<'_, '_> {
    /// Takes the matches that stand alone and pass the check, which gives the part that counts.
    fn whole(
        &mut self,
        pattern: &Regex,
        kind: PersonalKind,
        check: impl Fn(&str, Range<usize>) -> Option<Range<usize>>,
    ) {
        for found in pattern.find_iter(self.text) {
            if let Some(range) = check(self.text, found.range())
                && stands_alone(self.text, &range)
            {
                self.found.push(PersonalFinding { kind, range });
            }
        }
    }

    /// The same for matches of which words must say what they are.
    fn named(&mut self, pattern: &Regex, kind: PersonalKind, words: &[&str], check: impl Fn(&str) -> bool) {
        if !has_word(self.text, words) {
            return;
        }
        self.whole(pattern, kind, |text, range| {
            let is_one = is_after_word(text, range.start, REACH, words) && check(&text[range.clone()]);
            is_one.then_some(range)
        });
    }

    fn secrets(&mut self) {
        if self.look.dashes > 0 {
            self.whole(&PRIVATE_KEY, PersonalKind::PrivateKey, as_it_is);
        }
        if self.look.longest_run >= SHORTEST_SECRET {
            self.codes();
        }
        if self.look.ats > 0 && self.look.colons > 0 {
            self.whole(&CREDENTIAL_URL, PersonalKind::CredentialUrl, |text, range| {
                Some(without_punctuation(text, range))
            });
        }
        if self.look.has_pass {
            self.passwords();
        }
    }

    /// Secrets that are one long run of letters and digits.
    fn codes(&mut self) {
        self.whole(&JWT, PersonalKind::Jwt, as_it_is);
        self.whole(&API_KEY, PersonalKind::ApiKey, as_it_is);
        self.whole(&WALLET, PersonalKind::CryptoWallet, |text, range| {
            // Short addresses look like any other code; a word has to say what they are.
            let is_long = matches!(text.as_bytes()[range.start], b'b' | b'0');
            let words = ["bitcoin", "btc", "wallet", "address"];
            (is_long || is_after_word(text, range.start, REACH, &words)).then_some(range)
        });
    }

    fn passwords(&mut self) {
        for found in PASSWORD.captures_iter(self.text) {
            // "the password is wrong" tells no password: one has a digit or a sign.
            let value = found
                .get(1)
                .map(|value| without_punctuation(self.text, value.range()));
            let is_secret = |range: &Range<usize>| {
                !self.text[range.clone()]
                    .bytes()
                    .all(|byte| byte.is_ascii_alphabetic())
            };
            if let Some(range) = value.filter(is_secret) {
                let kind = PersonalKind::Password;
                self.found.push(PersonalFinding { kind, range });
            }
        }
    }

    fn numbers(&mut self) {
        if self.look.has_code {
            self.accounts();
        }
        if self.look.digits >= 12 {
            self.cards();
        }
        self.tax_numbers();
        if self.look.inner_dots >= 3 {
            self.whole(&IP_V4, PersonalKind::IpAddress, |text, range| {
                let is_address = text[range.clone()].parse::<Ipv4Addr>().is_ok();
                let is_version = is_after_word(text, range.start, 10, &["version", "release", "v"]);
                (is_address && !is_version).then_some(range)
            });
        }
        if self.look.inner_dots >= 2 {
            self.whole(&COORDINATES, PersonalKind::Coordinates, |text, range| {
                let mut degrees = text[range.clone()]
                    .split(',')
                    .filter_map(|part| part.trim().parse::<f64>().ok());
                let is_place = degrees.next()?.abs() <= 90.0 && degrees.next()?.abs() <= 180.0;
                is_place.then_some(range)
            });
        }
        self.named_numbers();
    }

    fn tax_numbers(&mut self) {
        self.whole(&SSN, PersonalKind::UsSsn, |text, range| {
            let shown = &text[range.clone()];
            let number = |range: Range<usize>| {
                digits_of(shown)[range]
                    .iter()
                    .fold(0, |sum, &digit| sum * 10 + u32::from(digit))
            };
            let words = ["ssn", "social security", "itin", "taxpayer", "social"];
            let has_dashes = shown.len() == 11 && shown.as_bytes()[3] == b'-' && shown.as_bytes()[6] == b'-';
            let is_number = is_us_ssn(number(0..3), number(3..5), number(5..9))
                && (has_dashes || is_after_word(text, range.start, REACH, &words));
            is_number.then_some(range)
        });
        self.whole(&NINO, PersonalKind::UkNino, |text, range| {
            let prefix = text[range.start..range.start + 2].to_ascii_uppercase();
            let is_given = !["BG", "GB", "KN", "NK", "NT", "TN", "ZZ"].contains(&prefix.as_str());
            is_given.then_some(range)
        });
        self.named(
            &VAT_ID,
            PersonalKind::VatId,
            &["vat", "ust", "umsatzsteuer", "tva", "iva", "btw", "moms"],
            |_| true,
        );
    }

    /// Numbers of which only words tell what they are.
    fn named_numbers(&mut self) {
        self.named(&IMEI, PersonalKind::Imei, &["imei"], |shown| {
            luhn(&digits_of(shown))
        });
        let born = ["born", "birth", "dob", "geboren", "geburt", "nacido", "naissance"];
        self.named(&DATE, PersonalKind::BirthDate, &born, |_| true);
        self.named(
            &NINE_DIGITS,
            PersonalKind::UsRouting,
            &["routing", "aba"],
            |shown| is_us_routing(&digits_of(shown)),
        );
        let documents = [
            "passport",
            "driver",
            "driving licen",
            "licen",
            "id card",
            "identity card",
            "personalausweis",
            "reisepass",
        ];
        self.named(&DOCUMENT, PersonalKind::IdentityDocument, &documents, |shown| {
            digits_of(shown).len() >= FEWEST_DIGITS
                && shown.parse::<f64>().map_or(true, |_| shown.len() > FEWEST_DIGITS)
        });
    }

    /// Account numbers, of which the country says how long they are.
    fn accounts(&mut self) {
        for found in IBAN.find_iter(self.text) {
            let country = found.as_str()[..2].to_ascii_uppercase();
            let Some(length) = iban_length(&country) else {
                continue;
            };
            let mut compact = Vec::with_capacity(length);
            for (place, byte) in found.as_str().bytes().enumerate() {
                if byte.is_ascii_alphanumeric() {
                    compact.push(byte.to_ascii_uppercase());
                }
                if compact.len() == length {
                    let range = found.start()..found.start() + place + 1;
                    if is_iban(&compact) && stands_alone(self.text, &range) {
                        let kind = PersonalKind::Iban;
                        self.found.push(PersonalFinding { kind, range });
                    }
                    break;
                }
            }
        }
    }

    /// Card numbers: of the digits that stand together, the longest groups that are one.
    fn cards(&mut self) {
        for found in GROUPS.find_iter(self.text) {
            if !stands_alone(self.text, &found.range()) {
                continue;
            }
            let groups = groups_of(found.as_str());
            let mut first = 0;
            while first < groups.len() {
                let last = (first..groups.len()).rev().find(|&last| {
                    let shown = &found.as_str()[groups[first].start..groups[last].end];
                    is_card(&digits_of(shown))
                });
                let Some(last) = last else {
                    first += 1;
                    continue;
                };
                let range = found.start() + groups[first].start..found.start() + groups[last].end;
                let kind = PersonalKind::Card;
                self.found.push(PersonalFinding { kind, range });
                first = last + 1;
            }
        }
    }
}

fn groups_of(text: &str) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (place, byte) in text.bytes().enumerate() {
        match groups.last_mut() {
            Some(group) if byte.is_ascii_digit() && group.end == place => group.end += 1,
            _ if byte.is_ascii_digit() => groups.push(place..place + 1),
            _ => {}
        }
    }
    groups
}

fn iban_length(country: &str) -> Option<usize> {
    let place = (0..IBAN_LENGTHS.len())
        .step_by(4)
        .find(|&place| &IBAN_LENGTHS[place..place + 2] == country)?;
    IBAN_LENGTHS[place + 2..place + 4].parse().ok()
}

/// Whether no letter or digit goes on before or after.
fn stands_alone(text: &str, range: &Range<usize>) -> bool {
    let bytes = text.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first_is_word = bytes.get(range.start).is_some_and(|&byte| is_word(byte));
    let before = range.start.checked_sub(1).map(|place| bytes[place]);
    let last_is_word = range.end > range.start && is_word(bytes[range.end - 1]);
    let after = bytes.get(range.end).copied();
    let next = bytes.get(range.end + 1).copied();
    // A number that goes on after a dot or a comma is another one.
    let goes_on = matches!(after, Some(b'.')) && next.is_some_and(|byte| byte.is_ascii_digit());
    !(first_is_word && before.is_some_and(is_word))
        && !(last_is_word && (after.is_some_and(is_word) || goes_on))
}

/// Without the punctuation of the sentence around it.
fn without_punctuation(text: &str, range: Range<usize>) -> Range<usize> {
    let shown =
        text[range.clone()].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}', '\'', '"', '\\']);
    range.start..range.start + shown.len()
}
