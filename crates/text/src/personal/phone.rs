//! Phone numbers, as people write them in every country: groups of digits with blanks, dots, dashes and parentheses, with or
//! without a country code, with or without an extension.

use super::{PersonalFinding, PersonalKind, has_word, is_after_word};

/// Digits of a number with its country code (ITU-T E.164), and the fewest that anybody dials beside a word.
const MOST_DIGITS: usize = 15;
const FEWEST_DIGITS: usize = 7;
pub(super) const FEWEST_NAMED_DIGITS: usize = 6;
/// How far the words that say what it is may stand before and after, in bytes.
const BEFORE: usize = 48;
const AFTER: usize = 10;
/// Digits of an extension.
const MOST_EXTENSION: usize = 6;

/// Words before a number.
const WORDS: [&str; 29] = [
    "phone",
    "tel",
    "telephone",
    "telefon",
    "call",
    "mobile",
    "cell",
    "handy",
    "fax",
    "desk",
    "home",
    "work",
    "contact",
    "reach",
    "dial",
    "ring",
    "text me",
    "sms",
    "whatsapp",
    "signal",
    "answering",
    "hotline",
    "extension",
    "number is",
    "my number",
    "messages to",
    "line",
    "pager",
    "tfno",
];
/// Words after it.
const WORDS_AFTER: [&str; 6] = ["office", "fax", "mobile", "home", "cell", "desk"];
/// Words before numbers that are none.
const OTHER_WORDS: [&str; 14] = [
    "order",
    "invoice",
    "ticket",
    "tracking",
    "reference",
    "ref",
    "account",
    "serial",
    "zip",
    "postal",
    "isbn",
    "version",
    "item",
    "imei",
];

/// Digits with what stands between them.
struct Candidate {
    start: usize,
    end: usize,
    /// Digits in each group.
    groups: Vec<usize>,
    separators: Vec<u8>,
    has_plus: bool,
    has_parentheses: bool,
    has_extension: bool,
}

impl Candidate {
    fn digits(&self) -> usize {
        self.groups.iter().sum()
    }

    /// Whether its groups are those of a large number: threes after the first.
    fn is_amount(&self) -> bool {
        self.groups.len() > 1
            && self.groups[0] <= 3
            && self.groups[1..].iter().all(|&digits| digits == 3)
            && self
                .separators
                .iter()
                .all(|&separator| matches!(separator, b' ' | b'.'))
            && self.separators.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// Whether it is a day, with or without its time.
    fn is_date(&self, text: &str) -> bool {
        let shown = &text[self.start..self.end];
        let is_year = |digits: &str| matches!(digits.parse::<u32>(), Ok(1_900..=2_099));
        let (first, separators) = (self.groups[0], &self.separators);
        let day_first = self.groups.len() == 3
            && self.groups[0] <= 2
            && self.groups[1] <= 2
            && separators[0] == separators[1]
            && (self.groups[2] == 4 && is_year(&shown[shown.len() - 4..])
                || self.groups[2] == 2 && separators[0] == b'.');
        let year_first = self.groups.len() >= 3
            && first == 4
            && self.groups[1] <= 2
            && self.groups[2] <= 2
            && is_year(&shown[..4]);
        let years = self.groups == [4, 4] && is_year(&shown[..4]) && is_year(&shown[shown.len() - 4..]);
        day_first || year_first || years
    }
}

pub(super) fn find(text: &str, found: &mut Vec<PersonalFinding>) {
    let bytes = text.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        let begins = matches!(bytes[place], b'+' | b'(') || bytes[place].is_ascii_digit();
        if !begins {
            place += 1;
            continue;
        }
        let Some(candidate) = candidate(bytes, place) else {
            place += 1;
            continue;
        };
        if is_phone(text, &candidate) {
            let range = candidate.start..candidate.end;
            let kind = PersonalKind::Phone;
            found.push(PersonalFinding { kind, range });
        }
        place = candidate.end;
    }
}

/// The longest run of digits and what may stand between them, from here on.
fn candidate(bytes: &[u8], start: usize) -> Option<Candidate> {
    let at = |place: usize| bytes.get(place).copied().unwrap_or(0);
    let mut found = Candidate {
        start,
        end: start,
        groups: Vec::new(),
        separators: Vec::new(),
        has_plus: at(start) == b'+',
        has_parentheses: false,
        has_extension: false,
    };
    let mut place = start + usize::from(found.has_plus);
    let mut is_open = false;
    let mut gap = 0;
    let mut separator = 0;
    while place < bytes.len() {
        match at(place) {
            digit if digit.is_ascii_digit() => {
                if gap > 0 && !found.groups.is_empty() {
                    found.separators.push(separator);
                }
                let from = place;
                while at(place).is_ascii_digit() {
                    place += 1;
                }
                found.groups.push(place - from);
                found.end = place;
                (gap, separator) = (0, 0);
                continue;
            }
            b'(' if !is_open && at(place + 1).is_ascii_digit() => {
                is_open = true;
                separator = b'(';
            }
            b')' if is_open => {
                is_open = false;
                found.has_parentheses = true;
                found.end = place + 1;
                separator = b')';
            }
            byte @ (b' ' | b'.' | b'-' | b'/') if !found.groups.is_empty() || found.has_plus => {
                separator = byte;
            }
            _ => break,
        }
        gap += 1;
        // A blank and a parenthesis or a dash at most: what is further apart is another number.
        if gap > 2 {
            break;
        }
        place += 1;
    }
    if found.groups.is_empty() {
        return None;
    }
    found.extend(bytes);
    Some(found)
}

impl Candidate {
    /// Takes an extension that follows: `x123`, `ext. 123`.
    fn extend(&mut self, bytes: &[u8]) {
        let rest = &bytes[self.end..];
        let blanks = rest.iter().take_while(|&&byte| byte == b' ').count();
        let word = [&b"ext. "[..], b"ext ", b"ext.", b"ext", b"x"]
            .into_iter()
            .find(|word| {
                rest[blanks..].len() >= word.len()
                    && rest[blanks..blanks + word.len()].eq_ignore_ascii_case(word)
            });
        let Some(word) = word else { return };
        let digits = rest[blanks + word.len()..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if (1..=MOST_EXTENSION).contains(&digits) && self.digits() >= FEWEST_DIGITS {
            self.end += blanks + word.len() + digits;
            self.has_extension = true;
        }
    }
}

fn is_phone(text: &str, candidate: &Candidate) -> bool {
    let bytes = text.as_bytes();
    let digits = candidate.digits();
    let before = candidate.start.checked_sub(1).map_or(b' ', |place| bytes[place]);
    let after = bytes.get(candidate.end).copied().unwrap_or(b' ');
    let touches = before.is_ascii_alphanumeric() || b"$#_./=-".contains(&before);
    let goes_on = after.is_ascii_alphanumeric() || b"%_:/".contains(&after);
    let is_dialled = (FEWEST_NAMED_DIGITS..=MOST_DIGITS).contains(&digits);
    if touches || goes_on || !is_dialled || candidate.is_date(text) {
        return false;
    }
    if candidate.has_plus || candidate.has_extension {
        return digits >= FEWEST_DIGITS;
    }
    let behind = text.ceil_char_boundary((candidate.end + AFTER).min(text.len()));
    let is_named = is_after_word(text, candidate.start, BEFORE, &WORDS)
        || has_word(&text[candidate.end..behind], &WORDS_AFTER);
    if is_named {
        return true;
    }
    if is_after_word(text, candidate.start, BEFORE / 2, &OTHER_WORDS)
        || digits < FEWEST_DIGITS
        || candidate.is_amount()
    {
        return false;
    }
    let has_groups = candidate.groups.len() > 1 && candidate.groups.iter().all(|&digits| digits <= 5);
    candidate.has_parentheses || (has_groups && digits >= 8 && looks_dialled(candidate))
}

/// Whether groups without any word look like a number that is dialled: three groups and more, or two of seven digits and more
/// with a dash.
fn looks_dialled(candidate: &Candidate) -> bool {
    let digits = candidate.digits();
    match candidate.groups.len() {
        // The shape of numbers of another kind.
        3 if candidate.groups == [3, 2, 4] => false,
        0 | 1 => false,
        2 => candidate.separators[0] == b'-' && digits >= 9,
        _ => candidate.groups.iter().all(|&group| group >= 2) || digits >= 9,
    }
}
