//! The label in an answer of a model, found where the task's pattern has it.

use hone_domain::LABEL_PLACE;
use serde_json::Value;

/// What is longer, in bytes or in words, is talk and no label.
const MAX_LABEL_BYTES: usize = 64;
const MAX_LABEL_WORDS: usize = 4;

/// The label that an answer gives by the task's pattern, as one of the `known` ones where it is one in another case. Another
/// one counts too, as models name what is new, but not a sentence.
pub(crate) fn label_in(content: &str, pattern: &str, known: &[String]) -> Option<String> {
    let found = if let Some(pattern) = document(pattern) {
        let answer: Value = serde_json::from_str(unfenced(content)).ok()?;
        at_place(&pattern, &answer)?.as_str()?.to_owned()
    } else {
        let (before, after) = pattern.split_once(LABEL_PLACE)?;
        let content = content.trim();
        content.strip_prefix(before)?.strip_suffix(after)?.to_owned()
    };
    let found = found.trim().trim_matches(['"', '.', '`', '\'']).trim();
    if let Some(known) = known.iter().find(|known| known.eq_ignore_ascii_case(found)) {
        return Some(known.clone());
    }
    let is_label = !found.is_empty()
        && found.len() <= MAX_LABEL_BYTES
        && found.split_whitespace().count() <= MAX_LABEL_WORDS
        && !found.contains(|character: char| character.is_control() || ",;!?".contains(character));
    is_label.then(|| found.to_owned())
}

/// The pattern of answers that are JSON documents; `None` for one of texts.
pub(super) fn document(pattern: &str) -> Option<Value> {
    serde_json::from_str(pattern)
        .ok()
        .filter(|pattern: &Value| !pattern.is_string())
}

/// The value that stands in `answer` where the pattern has the place of the label.
fn at_place<'a>(pattern: &Value, answer: &'a Value) -> Option<&'a Value> {
    match pattern {
        Value::String(text) if text == LABEL_PLACE => Some(answer),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| at_place(value, answer.get(name)?)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(number, value)| at_place(value, answer.get(number)?)),
        _ => None,
    }
}

/// JSON without the fence that models like to put around it.
fn unfenced(content: &str) -> &str {
    let content = content.trim();
    let inside = content
        .strip_prefix("```json")
        .or_else(|| content.strip_prefix("```"));
    inside
        .and_then(|inside| inside.strip_suffix("```"))
        .unwrap_or(content)
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_in_texts_and_documents() {
        let known = ["refund".to_owned(), "order_status".to_owned()];
        let json = r#"{"intent":"{label}","why":"x"}"#;
        for (content, pattern, label) in [
            (" Refund.\n", "{label}", Some("refund")),
            ("\"order_status\"", "{label}", Some("order_status")),
            ("new_intent", "{label}", Some("new_intent")),
            ("Intent: refund!", "Intent: {label}!", Some("refund")),
            ("refund", "Intent: {label}", None),
            (r#"{"why":"because","intent":"REFUND"}"#, json, Some("refund")),
            ("```json\n{\"intent\":\"refund\"}\n```", json, Some("refund")),
            ("{\"intent\":7}", json, None),
            ("refund", json, None),
            ("line one\nline two", "{label}", None),
            ("I'm sorry, I can't help with that.", "{label}", None),
            ("It is about a refund", "{label}", None),
            ("", "{label}", None),
        ] {
            assert_eq!(
                label_in(content, pattern, &known).as_deref(),
                label,
                "{content} by {pattern}"
            );
        }
    }
}
