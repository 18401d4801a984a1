//! What speaks against learning from a text, by its form alone: too short, cut off, a refusal, the same over and over,
//! left-overs of a template, hardly a letter.

use std::hash::BuildHasher as _;

use rustc_hash::FxBuildHasher;

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
    let characters = Characters::of(text);
    has(&mut flaws, characters.is_repetitive(text), TextFlaw::Repetitive);
    has(&mut flaws, TEMPLATE.is_match(text), TextFlaw::Template);
    has(&mut flaws, characters.are_symbols(), TextFlaw::Symbols);
    has(&mut flaws, characters.are_shouting(), TextFlaw::Shouting);
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

/// What the characters of a text are, blanks left out.
#[derive(Default)]
struct Characters {
    letters: usize,
    capitals: usize,
    others: usize,
    /// How often the same one stands in a row at most.
    longest_run: usize,
    last: Option<char>,
}

impl Characters {
    fn of(text: &str) -> Self {
        let mut seen = Self::default();
        let mut run = 0;
        for character in text.chars().filter(|character| !character.is_whitespace()) {
            run = if seen.last == Some(character) { run + 1 } else { 1 };
            seen.longest_run = seen.longest_run.max(run);
            seen.last = Some(character);
            if character.is_alphabetic() {
                seen.letters += 1;
                seen.capitals += usize::from(character.is_uppercase());
            } else {
                seen.others += 1;
            }
        }
        seen
    }

    fn are_symbols(&self) -> bool {
        let all = self.letters + self.others;
        all >= FEWEST_LETTERS && (self.letters as f64) < LETTER_SHARE * all as f64
    }

    fn are_shouting(&self) -> bool {
        self.letters >= FEWEST_LETTERS && self.capitals as f64 > CAPITAL_SHARE * self.letters as f64
    }

    fn is_repetitive(&self, text: &str) -> bool {
        let words: Vec<u64> = text
            .split_whitespace()
            .map(|word| FxBuildHasher.hash_one(word))
            .collect();
        if self.longest_run >= LONGEST_RUN {
            // Lines of dashes and the like divide a text.
            return self.last.is_some_and(char::is_alphanumeric) || words.len() < REPEATED_WORDS;
        }
        if words.len() < REPEATED_WORDS {
            return false;
        }
        let threes = words.windows(3).map(|three| FxBuildHasher.hash_one(three));
        let mut threes: Vec<u64> = threes.collect();
        threes.sort_unstable();
        threes.dedup();
        (threes.len() as f64) < DISTINCT_SHARE * (words.len() - 2) as f64
    }
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
