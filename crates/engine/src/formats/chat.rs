//! Conversations: lists of messages as OpenAI's fine-tuning and TRL take them.

use serde_json::Value;

use super::{Row, require_known, require_text};

const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];
const MESSAGE_FIELDS: [&str; 8] = [
    "role",
    "content",
    "name",
    "weight",
    "tool_calls",
    "tool_call_id",
    "refusal",
    "function_call",
];
const CHAT_FIELDS: [&str; 5] = [
    "messages",
    "tools",
    "parallel_tool_calls",
    "functions",
    "metadata",
];

/// A chat of OpenAI's supervised fine-tuning.
pub(super) fn openai(value: &Value) -> Result<Row, String> {
    require_known(value, "", &CHAT_FIELDS)?;
    conversation(&value["messages"], "/messages")
}

/// A supervised row of TRL: a conversation, a prompt with its completion, or a text.
pub(super) fn sft(value: &Value) -> Result<Row, String> {
    if value.get("messages").is_some() {
        return conversation(&value["messages"], "/messages");
    }
    if value.get("prompt").is_some() || value.get("completion").is_some() {
        let (prompt, completion) = (
            side(&value["prompt"], "/prompt")?,
            side(&value["completion"], "/completion")?,
        );
        super::pairs::require_same_kind(&[("/prompt", &prompt), ("/completion", &completion)])?;
        return Ok(Row {
            answers: vec![completion.text],
            ..Row::default()
        });
    }
    if value.get("text").is_some() {
        require_text(&value["text"], "/text")?;
        return Ok(Row::default());
    }
    Err("has neither messages, nor prompt and completion, nor text".to_owned())
}

/// A conversation that is learned from: it ends with the assistant.
fn conversation(messages: &Value, place: &str) -> Result<Row, String> {
    let messages = messages_of(messages, place)?;
    let mut answers = Vec::new();
    for message in messages.iter().filter(|message| message["role"] == "assistant") {
        answers.extend(message["content"].as_str().map(str::to_owned));
    }
    if !messages.iter().any(|message| message["role"] == "assistant") {
        return Err(format!(
            "{place} has no message of the assistant; there is nothing to learn"
        ));
    }
    match messages.last().and_then(|last| last["role"].as_str()) {
        Some("assistant") => Ok(Row {
            answers,
            ..Row::default()
        }),
        other => Err(format!(
            "{place} ends with a message of {}; end with the assistant's answer",
            other.unwrap_or("nobody")
        )),
    }
}

/// The messages of a list, each checked.
pub(super) fn messages_of<'a>(messages: &'a Value, place: &str) -> Result<&'a [Value], String> {
    let messages = match messages {
        Value::Array(messages) if messages.is_empty() => return Err(format!("{place} is empty")),
        Value::Array(messages) => messages,
        Value::Null => return Err(format!("{place} is missing")),
        _ => return Err(format!("{place} is no list of messages")),
    };
    let mut calls: Vec<&str> = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let place = format!("{place}/{number}");
        check_message(message, &place, &calls)?;
        let called = message["tool_calls"].as_array().into_iter().flatten();
        calls.extend(called.filter_map(|call| call["id"].as_str()));
    }
    Ok(messages)
}

fn check_message(message: &Value, place: &str, calls: &[&str]) -> Result<(), String> {
    if !message.is_object() {
        return Err(format!(
            "{place} is no message; write {{\"role\":…,\"content\":…}}"
        ));
    }
    require_known(message, place, &MESSAGE_FIELDS)?;
    let role = require_text(&message["role"], &format!("{place}/role"))?;
    if !ROLES.contains(&role) {
        return Err(format!(
            "{place}/role is \"{role}\"; write one of {}",
            ROLES.join(", ")
        ));
    }
    match &message["weight"] {
        Value::Null => {}
        weight if role == "assistant" && (*weight == 0 || *weight == 1) => {}
        _ => {
            return Err(format!(
                "{place}/weight is only for the assistant's messages, 0 or 1"
            ));
        }
    }
    if role == "tool" {
        let id = require_text(&message["tool_call_id"], &format!("{place}/tool_call_id"))?;
        if !calls.contains(&id) {
            return Err(format!(
                "{place}/tool_call_id \"{id}\" answers no call of an earlier message"
            ));
        }
    }
    let calls_tools =
        role == "assistant" && (!message["tool_calls"].is_null() || !message["function_call"].is_null());
    match &message["content"] {
        Value::Null if calls_tools => Ok(()),
        Value::Array(parts) if !parts.is_empty() => check_parts(parts, place),
        content => require_text(content, &format!("{place}/content")).map(|_| ()),
    }
}

fn check_parts(parts: &[Value], place: &str) -> Result<(), String> {
    for (number, part) in parts.iter().enumerate() {
        let place = format!("{place}/content/{number}");
        match part["type"].as_str() {
            Some("text") => require_text(&part["text"], &format!("{place}/text")).map(|_| ())?,
            Some("refusal") => require_text(&part["refusal"], &format!("{place}/refusal")).map(|_| ())?,
            Some("image_url") => {
                require_text(&part["image_url"]["url"], &format!("{place}/image_url/url")).map(|_| ())?;
            }
            Some("image" | "input_audio" | "file") => {}
            _ => {
                return Err(format!(
                    "{place}/type is none of text, refusal, image_url, image, input_audio, file"
                ));
            }
        }
    }
    Ok(())
}

/// One side of a row: a text, or messages.
#[derive(Debug)]
pub(super) struct Side {
    pub text: String,
    pub is_of_messages: bool,
}

/// Reads one side.
pub(super) fn side(value: &Value, place: &str) -> Result<Side, String> {
    if !value.is_array() {
        let text = require_text(value, place)?.to_owned();
        return Ok(Side {
            text,
            is_of_messages: false,
        });
    }
    let messages = messages_of(value, place)?;
    let last = messages.last().map_or(&Value::Null, |last| &last["content"]);
    Ok(Side {
        text: last.as_str().map_or_else(|| last.to_string(), str::to_owned),
        is_of_messages: true,
    })
}
