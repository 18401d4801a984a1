//! Which requests a classifier may answer: one question of text, and nothing asked for that only a model can give.

use hone_domain::LABEL_PLACE;
use serde_json::Value;

use crate::body::Fields;
use crate::endpoint::Endpoint;

/// Fields that ask for more than a text, with the values that ask for nothing.
const MORE: [(&str, &[&str]); 8] = [
    ("tools", &["null", "[]"]),
    ("functions", &["null", "[]"]),
    ("tool_choice", &["null", "\"none\"", "\"auto\""]),
    ("n", &["null", "1"]),
    ("logprobs", &["null", "false"]),
    ("audio", &["null"]),
    ("thinking", &["null"]),
    ("previous_response_id", &["null"]),
];

/// Whether the request is one question of text that an answer by `pattern` can answer.
pub(crate) fn is_one_question(endpoint: Endpoint, fields: &Fields<'_>, pattern: &str) -> bool {
    let asks_for_more = |(name, nothing): &(&str, &[&str])| {
        fields
            .get(name)
            .is_some_and(|value| !nothing.contains(&value.trim()))
    };
    if MORE.iter().any(asks_for_more) {
        return false;
    }
    let is_json = pattern != LABEL_PLACE && serde_json::from_str::<Value>(pattern).is_ok();
    let wants_document = ["response_format", "text"]
        .iter()
        .filter_map(|name| fields.get(name))
        .any(|format| format.contains("json"));
    if wants_document && !is_json {
        return false;
    }
    let name = if endpoint == Endpoint::Responses {
        "input"
    } else {
        "messages"
    };
    let messages: Vec<Value> = match fields.get(name) {
        Some(text) if text.trim_start().starts_with('"') => return true,
        Some(list) => serde_json::from_str(list).unwrap_or_default(),
        None => return false,
    };
    let is_instruction = |message: &&Value| matches!(message["role"].as_str(), Some("system" | "developer"));
    let mut said = messages.iter().filter(|message| !is_instruction(message));
    match (said.next(), said.next()) {
        (Some(question), None) => question["role"] == "user" && is_text(&question["content"]),
        // What was said before may change what the last message means.
        _ => false,
    }
}

fn is_text(content: &Value) -> bool {
    let is_text_part = |part: &Value| matches!(part["type"].as_str(), Some("text" | "input_text"));
    content.is_string()
        || content
            .as_array()
            .is_some_and(|parts| parts.iter().all(is_text_part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    #[test]
    fn only_one_question_of_text_is_simple() {
        let simple =
            json!({ "messages": [{ "role": "system", "content": "s" }, { "role": "user", "content": "q" }] });
        let picture = json!([{ "type": "text", "text": "q" }, { "type": "image_url", "image_url": {} }]);
        let check = |change: Value, pattern: &str| {
            let mut body = simple.clone();
            body.as_object_mut()
                .unwrap()
                .extend(change.as_object().unwrap().clone());
            let body = Bytes::from(body.to_string());
            is_one_question(Endpoint::ChatCompletions, &Fields::read(&body).unwrap(), pattern)
        };
        assert!(check(json!({}), LABEL_PLACE));
        assert!(check(
            json!({ "n": 1, "tools": [], "temperature": 0 }),
            LABEL_PLACE
        ));
        for more in [
            json!({ "n": 2 }),
            json!({ "tools": [{}], "tool_choice": "required" }),
            json!({ "logprobs": true }),
            json!({ "response_format": { "type": "json_object" } }),
            json!({ "messages": [{ "role": "user", "content": picture }] }),
            json!({ "messages": [{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }, { "role": "user", "content": "c" }] }),
        ] {
            assert!(!check(more.clone(), LABEL_PLACE), "{more}");
        }
        assert!(check(
            json!({ "response_format": { "type": "json_object" } }),
            "{\"intent\":\"{label}\"}"
        ));
    }
}
