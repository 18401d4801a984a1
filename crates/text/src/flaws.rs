//! What speaks against learning from a text, by its form alone: too short, cut off, a refusal, the same over and over,
//! left-overs of a template, hardly a letter.

use rustc_hash::FxHashSet;

use crate::pattern::pattern;

/// Words that an answer has at least before its end is looked at.
const CUT_WORDS: usize = 12;
/// Words, and the share of distinct ones in threes, below which a text repeats itself.
const REPEATED_WORDS: usize = 24;
const DISTINCT_SHARE: f64 = 0.55;
/// The same character so often in a row is no word.
const LONGEST_RUN: usize = 24;
/// Shares of letters among what is not blank, and of capitals among letters.
const LETTER_SHARE: f64 = 0.3;
const CAPITAL_SHARE: f64 = 0.8;
const FEWEST_LETTERS: usize = 20;

/// A flaw of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextFlaw {
    /// Nothing but blanks.
    Empty,
    /// It ends in the middle of a sentence or of a block of code.
    CutOff,
    /// A model says that it will not or cannot.
    Refusal,
    /// It says the same over and over.
    Repetitive,
    /// Places of a template that nobody filled in.
    Template,
    /// Hardly a letter.
    Symbols,
    /// All in capitals.
    Shouting,
}

impl TextFlaw {
    /// The word for it in reasons and lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::CutOff => "cut_off",
            Self::Refusal => "refusal",
            Self::Repetitive => "repetitive",
            Self::Template => "template",
            Self::Symbols => "symbols",
            Self::Shouting => "shouting",
        }
    }
}

pattern!(
    REFUSAL,
    r"(?i)\b(?:as an ai\b|as a (?:large )?language model|i(?:'m| am) (?:sorry|afraid),? (?:but )?(?:i|that)(?: am|'m)? (?:can(?:not|'t)|unable|not able|won't)|i (?:can(?:not|'t)|am unable to|won't be able to) (?:help|assist|comply|fulfil+|provide|do that|answer)|(?:that|this) (?:request )?(?:goes|is) against my|es tut mir leid,? (?:aber )?(?:ich kann|das kann ich)|als ki-|je suis désolé,? (?:mais )?je ne peux|lo siento,? (?:pero )?no puedo|desculpe,? (?:mas )?não posso)|(?:抱歉|对不起)[，,]?我(?:无法|不能)|申し訳(?:ありません|ございません)が"
);
pattern!(
    TEMPLATE,
    r"\{\{[^}\n]*\}\}|\{%[^%\n]*%\}|\$\{[A-Za-z_][^}\n]*\}|(?i:\[(?:insert|your|enter|add|name of|customer|company|recipient)\b[^\]\n]{0,40}\]|<(?:insert|your|enter|name|placeholder)\b[^>\n]{0,40}>|lorem ipsum)|\b(?:TODO|TBD|FIXME|XXX)\b"
);

/// The flaws of a text that a person wrote to a model.
pub fn input_flaws(text: &str) -> Vec<TextFlaw> {
    let mut flaws = Vec::new();
    if text.trim().is_empty() {
        return vec![TextFlaw::Empty];
    }
    let has = |flaws: &mut Vec<TextFlaw>, is_there: bool, flaw| {
        if is_there {
            flaws.push(flaw);
        }
    };
    has(&mut flaws, is_repetitive(text), TextFlaw::Repetitive);
    has(&mut flaws, TEMPLATE.is_match(text), TextFlaw::Template);
    let (letters, capitals, others) = letters_of(text);
    let is_of_symbols =
        letters + others >= FEWEST_LETTERS && (letters as f64) < LETTER_SHARE * (letters + others) as f64;
    has(&mut flaws, is_of_symbols, TextFlaw::Symbols);
    let is_shouting = letters >= FEWEST_LETTERS && capitals as f64 > CAPITAL_SHARE * letters as f64;
    has(&mut flaws, is_shouting, TextFlaw::Shouting);
    flaws
}

/// The flaws of an answer: those of any text, and that it refuses or does not come to its end.
pub fn answer_flaws(text: &str) -> Vec<TextFlaw> {
    let mut flaws = input_flaws(text);
    if flaws == [TextFlaw::Empty] {
        return flaws;
    }
    if is_cut_off(text) {
        flaws.push(TextFlaw::CutOff);
    }
    if REFUSAL.is_match(text) {
        flaws.push(TextFlaw::Refusal);
    }
    flaws.sort_unstable();
    flaws
}

/// Whether a text ends in the middle: of a block of code, or without what ends a sentence, a list or a document.
fn is_cut_off(text: &str) -> bool {
    let text = text.trim_end();
    if text.matches("```").count() % 2 == 1 {
        return true;
    }
    let last_line = text.lines().next_back().unwrap_or_default().trim();
    let is_item = last_line.starts_with(['-', '*', '#', '|', '•'])
        || last_line.starts_with(|first: char| first.is_ascii_digit());
    let Some(last) = text.chars().next_back() else {
        return false;
    };
    if matches!(last, ',' | ';' | ':' | '-' | '(' | '、' | '，') {
        return true;
    }
    let is_sentence = last_line.split_whitespace().count() >= CUT_WORDS;
    is_sentence && !is_item && last.is_alphanumeric()
}

fn is_repetitive(text: &str) -> bool {
    let (mut longest, mut run, mut before) = (0, 0, None);
    for character in text.chars().filter(|character| !character.is_whitespace()) {
        run = if before == Some(character) { run + 1 } else { 1 };
        longest = longest.max(run);
        before = Some(character);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if longest >= LONGEST_RUN {
        // Lines of dashes and the like divide a text.
        return before.is_some_and(char::is_alphanumeric) || words.len() < REPEATED_WORDS;
    }
    if words.len() < REPEATED_WORDS {
        return false;
    }
    let threes: FxHashSet<&[&str]> = words.windows(3).collect();
    (threes.len() as f64) < DISTINCT_SHARE * (words.len() - 2) as f64
}

/// Letters, capitals among them, and what is neither a letter nor blank.
fn letters_of(text: &str) -> (usize, usize, usize) {
    let (mut letters, mut capitals, mut others) = (0, 0, 0);
    for character in text.chars() {
        if character.is_alphabetic() {
            letters += 1;
            capitals += usize::from(character.is_uppercase());
        } else if !character.is_whitespace() {
            others += 1;
        }
    }
    (letters, capitals, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flaw_is_seen() {
        let again = "I like it a lot. ".repeat(10);
        for (text, flaw) in [
            (" \n", TextFlaw::Empty),
            (
                "Your parcel left our house on Monday and it should reach you within the next",
                TextFlaw::CutOff,
            ),
            ("Here it is:\n```python\nprint(1)", TextFlaw::CutOff),
            ("I'm sorry, but I can't help with that.", TextFlaw::Refusal),
            ("As an AI language model, I do not eat.", TextFlaw::Refusal),
            ("抱歉，我无法回答。", TextFlaw::Refusal),
            (&again, TextFlaw::Repetitive),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", TextFlaw::Repetitive),
            ("Dear [Your Name], thank you.", TextFlaw::Template),
            ("Hello {{ name }}!", TextFlaw::Template),
            ("!!!??? ### $$$ %%% &&& *** ((( 111", TextFlaw::Symbols),
            ("WHERE IS MY PARCEL I WANT IT NOW", TextFlaw::Shouting),
        ] {
            assert_eq!(answer_flaws(text), [flaw], "{text}");
        }
        assert_eq!(
            input_flaws("Your parcel left our house on Monday and it should reach you within the next"),
            []
        );
    }

    #[test]
    fn good_answers_have_none() {
        for text in [
            "Your parcel left our house on Monday and should reach you within two days.",
            "Sure",
            "1. First, open the box and take everything out of it and put it on a table\n2. Then read the leaflet that comes with it and keep it for later",
            "Use `git status`:\n```\ngit status\n```",
            "我的包裹在哪里？",
            "Refund [EMAIL] the amount of 20 USD.",
            "{\"intent\": \"refund\"}",
            "---------------------------------------------\nThat is all there is to say about it, thank you for your patience and have a nice day. Please let us know how it went when you have some time.",
        ] {
            assert_eq!(answer_flaws(text), [], "{text}");
        }
    }
}
