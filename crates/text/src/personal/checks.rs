//! What tells a number from any other one of its length.

/// Whether the last digit is the check digit of the others (ISO/IEC 7812).
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| match (place % 2, u32::from(digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => 2 * digit - 9,
            (_, digit) => 2 * digit,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether a number has the beginning and the length of one of the big issuers' cards, and their check digit.
pub(super) fn is_card(digits: &[u8]) -> bool {
    let prefix = |length: usize| {
        digits[..length]
            .iter()
            .fold(0, |sum, &digit| sum * 10 + u32::from(digit))
    };
    if !(12..=19).contains(&digits.len()) || digits.iter().all(|&digit| digit == digits[0]) {
        return false;
    }
    let is_issued = match digits.len() {
        13 | 19 => prefix(1) == 4,
        14 => matches!(prefix(2), 30 | 36 | 38 | 39),
        15 => matches!(prefix(2), 34 | 37) || matches!(prefix(4), 1_800 | 2_131),
        16 => prefix(1) == 4 || matches!(prefix(4), 2_221..=2_720 | 3_500..=3_599 | 5_100..=5_599 | 6_011),
        _ => false,
    };
    let is_maestro = matches!(prefix(2), 50 | 56..=69) || prefix(4) == 604;
    (is_issued || is_maestro) && luhn(digits)
}

/// Whether the number of an account fits its check digits (ISO 13616); `text` has no blanks.
pub(super) fn is_iban(text: &[u8]) -> bool {
    if !(15..=34).contains(&text.len()) {
        return false;
    }
    let (head, tail) = text.split_at(4);
    let rest = tail.iter().chain(head).fold(0_u32, |rest, byte| {
        match (*byte as char).to_digit(36).unwrap_or(0) {
            value if value < 10 => (rest * 10 + value) % 97,
            value => (rest * 100 + value) % 97,
        }
    });
    rest == 1
}

/// Whether a number of this shape can be given out as a Social Security Number, or as the number of a taxpayer without one.
pub(super) fn is_us_ssn(area: u32, group: u32, serial: u32) -> bool {
    let is_taxpayer = (900..=999).contains(&area) && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99);
    let is_ssn = (1..=899).contains(&area) && area != 666 && group != 0;
    serial != 0 && (is_ssn || is_taxpayer)
}

/// Whether nine digits are a routing number (ABA).
pub(super) fn is_us_routing(digits: &[u8]) -> bool {
    let weights = [3, 7, 1, 3, 7, 1, 3, 7, 1];
    let sum: u32 = digits
        .iter()
        .zip(weights)
        .map(|(&digit, weight)| u32::from(digit) * weight)
        .sum();
    let beginning = digits
        .iter()
        .take(2)
        .fold(0, |sum, &digit| sum * 10 + u32::from(digit));
    digits.len() == 9 && sum.is_multiple_of(10) && matches!(beginning, 0..=12 | 21..=32 | 61..=72 | 80)
}

/// The digits in a text, as numbers.
pub(super) fn digits_of(text: &str) -> Vec<u8> {
    text.bytes()
        .filter(u8::is_ascii_digit)
        .map(|byte| byte - b'0')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_by_their_check_digits() {
        for card in [
            "4111111111111111",
            "378282246310005",
            "060426070011",
            "5555555555554444",
            "213176828496175",
        ] {
            assert!(is_card(&digits_of(card)), "{card}");
        }
        for other in [
            "4111111111111112",
            "0000000000000000",
            "9111111111111111",
            "411111111111",
        ] {
            assert!(!is_card(&digits_of(other)), "{other}");
        }
        assert!(is_iban(b"GB82WEST12345698765432") && is_iban(b"DE89370400440532013000"));
        assert!(!is_iban(b"GB82WEST12345698765433"));
        assert!(is_us_ssn(123, 45, 6789) && is_us_ssn(912, 70, 1234));
        assert!(!is_us_ssn(666, 1, 1) && !is_us_ssn(0, 1, 1) && !is_us_ssn(1, 0, 1) && !is_us_ssn(900, 1, 1));
        assert!(is_us_routing(&digits_of("021000021")) && !is_us_routing(&digits_of("021000022")));
    }
}
