//! The support desk: who writes what, in which order, and what is right.

/// One message of a customer with its true intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub text: String,
    pub intent: &'static str,
}

/// All messages, shuffled the same way every time.
pub(super) fn messages() -> Vec<Message> {
    let mut messages = Vec::new();
    let mut intent = "";
    for line in include_str!("support_desk.txt").lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            intent = name;
        } else if !line.is_empty() && !line.starts_with('#') {
            messages.push(Message {
                text: line.to_owned(),
                intent,
            });
            messages.push(Message {
                text: with_greeting(line, messages.len()),
                intent,
            });
        }
    }
    shuffle(&mut messages);
    messages
}

/// The same request as another customer would send it: a greeting, a thank-you, two letters swapped.
fn with_greeting(line: &str, number: usize) -> String {
    match number % 4 {
        0 => format!("hello, {line}"),
        1 => format!("{line} thanks"),
        2 => format!("hi there {}", swap_letters(line, number)),
        _ => swap_letters(line, number),
    }
}

/// Swaps two neighbouring letters inside the longest word, as hurried fingers do.
fn swap_letters(line: &str, number: usize) -> String {
    let Some(word) = line
        .split(' ')
        .filter(|word| word.is_ascii())
        .max_by_key(|word| word.len())
    else {
        return line.to_owned();
    };
    if word.len() < 4 {
        return line.to_owned();
    }
    let position = 1 + number % (word.len() - 2);
    let mut letters: Vec<char> = word.chars().collect();
    letters.swap(position, position - 1);
    line.replacen(word, &letters.into_iter().collect::<String>(), 1)
}

/// Fisher-Yates with a small fixed generator, so that every demo tells the same story.
fn shuffle(messages: &mut [Message]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..messages.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        messages.swap(last, (state >> 33) as usize % (last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_desk_has_a_dozen_intents_and_several_hundred_messages() {
        let messages = messages();
        let intents: BTreeSet<&str> = messages.iter().map(|message| message.intent).collect();
        assert_eq!(intents.len(), 12);
        assert!(messages.len() >= 600, "{}", messages.len());
        assert!(
            messages
                .iter()
                .all(|message| !message.intent.is_empty() && !message.text.is_empty())
        );
    }
}
