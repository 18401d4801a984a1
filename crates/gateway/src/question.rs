//! What a request asks: the text of the last thing that the person said, whichever protocol carries it.

use serde_json::value::RawValue;

use crate::body::Fields;
use crate::endpoint::Endpoint;

#[derive(serde::Deserialize)]
struct Message<'a> {
    #[serde(default)]
    role: String,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Part {
    #[serde(default)]
    text: Option<String>,
}

/// The text that is asked; empty where there is none, such as a picture alone.
pub(crate) fn question(endpoint: Endpoint, fields: &Fields<'_>) -> String {
    let name = match endpoint {
        Endpoint::ChatCompletions | Endpoint::Messages => "messages",
        Endpoint::Responses | Endpoint::Embeddings => "input",
    };
    let Some(value) = fields.get(name) else {
        return String::new();
    };
    if endpoint == Endpoint::Embeddings {
        return embedded_text(value);
    }
    if value.starts_with('"') {
        return serde_json::from_str(value).unwrap_or_default();
    }
    last_user_text(value)
}

/// The text of the last message of a person in a JSON array of messages.
pub(crate) fn last_user_text(messages: &str) -> String {
    let messages: Vec<Message<'_>> = serde_json::from_str(messages).unwrap_or_default();
    let last = messages.iter().rev().find(|message| message.role == "user");
    last.and_then(|message| message.content)
        .map_or_else(String::new, |content| content_text(content.get()))
}

/// The text of a message's content: a string, or parts of which those with text are joined.
pub(crate) fn content_text(content: &str) -> String {
    if content.starts_with('"') {
        return serde_json::from_str(content).unwrap_or_default();
    }
    let parts: Vec<Part> = serde_json::from_str(content).unwrap_or_default();
    let texts: Vec<String> = parts.into_iter().filter_map(|part| part.text).collect();
    texts.join("\n")
}

/// What is to be embedded: one text, or several joined; token numbers have no text.
fn embedded_text(input: &str) -> String {
    if input.starts_with('"') {
        return serde_json::from_str(input).unwrap_or_default();
    }
    serde_json::from_str::<Vec<String>>(input).map_or_else(|_| String::new(), |texts| texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn asked(endpoint: Endpoint, body: &'static str) -> String {
        question(endpoint, &Fields::read(&Bytes::from(body)).unwrap())
    }

    #[test]
    fn the_last_thing_a_person_said_is_the_question() {
        let chat = r#"{"messages":[{"role":"system","content":"be kind"},{"role":"user","content":"hi"},
            {"role":"assistant","content":null,"tool_calls":[]},
            {"role":"user","content":[{"type":"text","text":"what is this?"},{"type":"image_url","image_url":{"url":"x"}}]}]}"#;
        assert_eq!(asked(Endpoint::ChatCompletions, chat), "what is this?");
        assert_eq!(asked(Endpoint::Messages, chat), "what is this?");
        assert_eq!(asked(Endpoint::Responses, r#"{"input":"tell me"}"#), "tell me");
        let items = r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"tell me"}]},{"type":"function_call_output"}]}"#;
        assert_eq!(asked(Endpoint::Responses, items), "tell me");
        assert_eq!(asked(Endpoint::Embeddings, r#"{"input":["a","b"]}"#), "a\nb");
        assert_eq!(asked(Endpoint::Embeddings, r#"{"input":[[1,2]]}"#), "");
        assert_eq!(asked(Endpoint::ChatCompletions, r#"{"messages":7}"#), "");
    }
}
