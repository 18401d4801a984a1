//! Chat messages as text, whichever tool wrote them: contents that are a text, or parts under several names.

use serde_json::{Value, json};

/// A message with `parts` or `content`, with its content as text.
pub fn message_of(message: &Value) -> Value {
    let content = message
        .get("parts")
        .or_else(|| message.get("content"))
        .unwrap_or(&Value::Null);
    let role = message["role"].as_str().unwrap_or("user");
    json!({ "role": role, "content": content_text(content) })
}

/// The text of a content: a text, or parts of which those with text are joined.
pub fn content_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<String> = parts.iter().filter_map(part_text).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

fn part_text(part: &Value) -> Option<String> {
    let names = ["content", "text", "response", "value", "result"];
    let found = names.iter().find_map(|name| part.get(*name));
    let found = found.or_else(|| part.get("arguments"))?;
    Some(match found {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

/// The text of the last message of a person.
pub fn last_of_user(messages: &[Value]) -> Option<String> {
    let last = messages.iter().rev().find(|message| message["role"] == "user")?;
    Some(content_text(&last["content"]))
}

/// The messages of a prompt that may be a text, a JSON list of messages, or an object that holds one.
pub fn prompt_messages(prompt: &Value) -> Vec<Value> {
    let parsed = match prompt {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| prompt.clone()),
        other => other.clone(),
    };
    let list = parsed.get("messages").unwrap_or(&parsed);
    match list {
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_object) => {
            let system = parsed.get("system").filter(|system| !system.is_null());
            let system = system.map(|system| json!({ "role": "system", "content": as_text(system) }));
            system.into_iter().chain(items.iter().map(message_of)).collect()
        }
        _ => vec![json!({ "role": "user", "content": as_text(prompt) })],
    }
}

/// The text of an answer that may be a text, a message, or a list of messages or parts.
pub fn answer_text(answer: &Value) -> Option<String> {
    let parsed = match answer {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(parsed) if parsed.is_object() || parsed.is_array() => parsed,
            _ => return Some(text.clone()),
        },
        other => other.clone(),
    };
    let text = match &parsed {
        Value::Object(message) if message.contains_key("content") || message.contains_key("parts") => {
            content_text(&message_of(&parsed)["content"])
        }
        Value::Array(items) if items.iter().any(|item| item.get("role").is_some()) => {
            content_text(&message_of(items.iter().find(|item| item.get("role").is_some())?)["content"])
        }
        Value::Array(_) => content_text(&parsed),
        Value::Null => return None,
        _ => as_text(answer),
    };
    (!text.is_empty()).then_some(text)
}

/// A text as it is; anything else as JSON.
fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_and_answers_are_read_in_every_shape() {
        let listed = json!([{ "role": "system", "content": "Be kind." }, { "role": "user", "content": [{ "type": "text", "text": "Hi" }] }]);
        for prompt in [
            listed.clone(),
            json!({ "messages": listed }),
            json!(listed.to_string()),
        ] {
            assert_eq!(
                last_of_user(&prompt_messages(&prompt)).as_deref(),
                Some("Hi"),
                "{prompt}"
            );
        }
        assert_eq!(prompt_messages(&json!("Hi"))[0]["content"], "Hi");
        for answer in [
            json!("Yes."),
            json!({ "role": "assistant", "content": "Yes." }),
            json!([{ "type": "text", "text": "Yes." }]),
            json!([{ "role": "assistant", "parts": [{ "type": "text", "content": "Yes." }] }]),
            json!("{\"role\":\"assistant\",\"content\":\"Yes.\"}"),
        ] {
            assert_eq!(answer_text(&answer).as_deref(), Some("Yes."), "{answer}");
        }
        assert_eq!(answer_text(&Value::Null), None);
        assert_eq!(
            answer_text(&json!({ "intent": "refund" })).as_deref(),
            Some("{\"intent\":\"refund\"}")
        );
    }
}
