//! Listens to a stream as it passes: gathers what the answer says, and knows whether it came to its end.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::endpoint::Endpoint;
use crate::reply::{Observed, Usage, UsageView, is_out_of_tokens, observe, word};

/// Text of one answer that is kept; more is passed on, but not recorded.
const MAX_KEPT_BYTES: usize = hone_domain::MAX_TEXT_BYTES;

/// What one event means for the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventRole {
    /// Passed on.
    Part,
    /// Passed on with the interaction's id: the last that carries an answer.
    Last,
    /// Not passed on: the count of tokens that only we asked for.
    Ours,
}

/// What was heard of a stream so far.
#[derive(Debug)]
pub(crate) struct Transcript {
    endpoint: Endpoint,
    /// Whether the count of tokens was asked for by us and not by the client.
    is_usage_ours: bool,
    model: Option<String>,
    text: Option<String>,
    /// Calls of tools by their position.
    tool_calls: BTreeMap<u32, ToolCall>,
    /// The answer as the protocol repeats it at the end.
    whole: Option<Observed>,
    usage: Usage,
    /// Why the answer ended, in the protocol's word.
    ending: Option<String>,
    /// Whether the protocol's end was heard.
    pub is_complete: bool,
    /// Whether the provider sent an error in place of an end.
    pub has_failed: bool,
}

#[derive(Debug, Default, serde::Serialize)]
struct ToolCall {
    id: String,
    name: String,
    arguments: String,
}

#[derive(serde::Deserialize)]
struct ChatChunk {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Vec<ChunkChoice>,
    #[serde(default)]
    usage: Option<UsageView>,
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default, deserialize_with = "word")]
    finish_reason: Option<String>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<ToolDelta>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct ToolDelta {
    index: u32,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(serde::Deserialize)]
struct TypedEvent<'a> {
    r#type: String,
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(default)]
    content_block: Option<ContentBlock>,
    #[serde(default)]
    usage: Option<UsageView>,
}

#[derive(serde::Deserialize)]
struct ContentBlock {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct BlockDelta {
    text: Option<String>,
    partial_json: Option<String>,
    #[serde(deserialize_with = "word")]
    stop_reason: Option<String>,
}

impl Transcript {
    pub fn new(endpoint: Endpoint, is_usage_ours: bool) -> Self {
        Self {
            endpoint,
            is_usage_ours,
            model: None,
            text: None,
            tool_calls: BTreeMap::new(),
            whole: None,
            usage: Usage::default(),
            ending: None,
            is_complete: false,
            has_failed: false,
        }
    }

    /// Hears one event's data and says what to do with the event.
    pub fn hear(&mut self, data: &[u8]) -> EventRole {
        match self.endpoint {
            Endpoint::ChatCompletions | Endpoint::Embeddings => self.hear_chunk(data),
            Endpoint::Responses => self.hear_response_event(data),
            Endpoint::Messages => self.hear_message_event(data),
        }
    }

    /// Everything that was heard.
    pub fn observed(&mut self) -> Observed {
        if let Some(whole) = self.whole.take() {
            return whole;
        }
        let calls: Vec<&ToolCall> = self.tool_calls.values().collect();
        let reply = (!calls.is_empty())
            .then(|| serde_json::json!({ "content": self.text, "tool_calls": calls }).to_string());
        Observed {
            model: self.model.take(),
            reply,
            output: self.text.take(),
            usage: self.usage,
            is_cut: is_out_of_tokens(self.ending.as_deref()),
        }
    }

    fn hear_chunk(&mut self, data: &[u8]) -> EventRole {
        if data == b"[DONE]" {
            self.is_complete = true;
            return EventRole::Part;
        }
        let Ok(chunk) = serde_json::from_slice::<ChatChunk>(data) else {
            return EventRole::Part;
        };
        self.has_failed |= chunk.error.is_some();
        if self.model.is_none() {
            self.model = chunk.model;
        }
        let (is_empty, has_usage) = (chunk.choices.is_empty(), chunk.usage.is_some());
        if let Some(usage) = chunk.usage {
            self.usage = usage.into();
        }
        let mut is_last = false;
        for choice in chunk.choices {
            is_last |= choice.finish_reason.is_some();
            if choice.index == 0 {
                self.ending = choice.finish_reason.or(self.ending.take());
                self.add_delta(choice.delta.unwrap_or_default());
            }
        }
        if is_last {
            // What follows is at most a count of tokens.
            self.is_complete = true;
            return EventRole::Last;
        }
        if is_empty && has_usage && self.is_usage_ours {
            return EventRole::Ours;
        }
        EventRole::Part
    }

    fn add_delta(&mut self, delta: Delta) {
        for text in [delta.content, delta.refusal].into_iter().flatten() {
            self.add_text(&text);
        }
        for call in delta.tool_calls.unwrap_or_default() {
            let known = self.tool_calls.entry(call.index).or_default();
            if let Some(id) = call.id {
                known.id = id;
            }
            let function = call.function.unwrap_or_default();
            known.name.push_str(&function.name.unwrap_or_default());
            push_bounded(&mut known.arguments, &function.arguments.unwrap_or_default());
        }
    }

    fn hear_response_event(&mut self, data: &[u8]) -> EventRole {
        let Ok(event) = serde_json::from_slice::<TypedEvent<'_>>(data) else {
            return EventRole::Part;
        };
        match event.r#type.as_str() {
            "response.output_text.delta" => {
                if let Some(Ok(text)) = event
                    .delta
                    .map(|delta| serde_json::from_str::<String>(delta.get()))
                {
                    self.add_text(&text);
                }
                EventRole::Part
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.is_complete = true;
                self.has_failed |= event.r#type == "response.failed";
                let whole = event.response.map(|response| response.get().as_bytes());
                self.whole = whole.and_then(|whole| observe(Endpoint::Responses, whole));
                EventRole::Last
            }
            "error" => {
                self.has_failed = true;
                EventRole::Part
            }
            _ => EventRole::Part,
        }
    }

    fn hear_message_event(&mut self, data: &[u8]) -> EventRole {
        let Ok(event) = serde_json::from_slice::<TypedEvent<'_>>(data) else {
            return EventRole::Part;
        };
        match event.r#type.as_str() {
            "message_start" => {
                let start = event.message.map(|message| message.get().as_bytes());
                let start = start
                    .and_then(|start| observe(Endpoint::Messages, start))
                    .unwrap_or_default();
                (self.model, self.usage) = (start.model, start.usage);
            }
            "content_block_start" => {
                if let Some(block) = event.content_block.filter(|block| block.r#type == "tool_use") {
                    let call = self.tool_calls.entry(event.index).or_default();
                    (call.id, call.name) = (block.id, block.name);
                }
            }
            "content_block_delta" => {
                let delta = event
                    .delta
                    .map(|delta| serde_json::from_str::<BlockDelta>(delta.get()));
                let delta = delta.and_then(Result::ok).unwrap_or_default();
                if let Some(text) = delta.text {
                    self.add_text(&text);
                }
                if let (Some(json), Some(call)) = (delta.partial_json, self.tool_calls.get_mut(&event.index))
                {
                    push_bounded(&mut call.arguments, &json);
                }
            }
            "message_delta" => {
                let delta = event
                    .delta
                    .and_then(|delta| serde_json::from_str::<BlockDelta>(delta.get()).ok());
                self.ending = delta.and_then(|delta| delta.stop_reason).or(self.ending.take());
                let usage = Usage::from(event.usage.unwrap_or_default());
                self.usage.output = usage.output.or(self.usage.output);
            }
            "message_stop" => {
                self.is_complete = true;
                return EventRole::Last;
            }
            "error" => self.has_failed = true,
            _ => {}
        }
        EventRole::Part
    }

    fn add_text(&mut self, text: &str) {
        push_bounded(self.text.get_or_insert_default(), text);
    }
}

fn push_bounded(kept: &mut String, text: &str) {
    if kept.len() + text.len() <= MAX_KEPT_BYTES {
        kept.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear_all(endpoint: Endpoint, events: &[&str]) -> (Vec<EventRole>, Transcript) {
        let mut transcript = Transcript::new(endpoint, true);
        let roles = events
            .iter()
            .map(|event| transcript.hear(event.as_bytes()))
            .collect();
        (roles, transcript)
    }

    #[test]
    fn chunks_of_a_chat_add_up() {
        let (roles, mut heard) = hear_all(
            Endpoint::ChatCompletions,
            &[
                r#"{"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"he"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"llo"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#,
                "[DONE]",
            ],
        );
        assert_eq!(roles[3..], [EventRole::Last, EventRole::Ours, EventRole::Part]);
        assert!(heard.is_complete && !heard.has_failed);
        let seen = heard.observed();
        assert_eq!(
            (seen.output.as_deref(), seen.usage.input),
            (Some("hello"), Some(5))
        );
    }

    #[test]
    fn calls_of_tools_add_up() {
        let (_, mut heard) = hear_all(
            Endpoint::ChatCompletions,
            &[
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"find","arguments":"{\"a\""}}]}}]}"#,
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}"#,
            ],
        );
        assert!(!heard.is_complete);
        let reply: serde_json::Value = serde_json::from_str(&heard.observed().reply.unwrap()).unwrap();
        assert_eq!(reply["tool_calls"][0]["arguments"], r#"{"a":1}"#);
    }

    #[test]
    fn events_of_messages_and_responses_add_up() {
        let (roles, mut heard) = hear_all(
            Endpoint::Messages,
            &[
                r#"{"type":"message_start","message":{"model":"c","usage":{"input_tokens":7,"output_tokens":1}}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}"#,
                r#"{"type":"message_stop"}"#,
            ],
        );
        assert_eq!(roles[3], EventRole::Last);
        let seen = heard.observed();
        assert_eq!((seen.usage.input, seen.usage.output), (Some(7), Some(4)));
        assert_eq!(seen.output.as_deref(), Some("hi"));

        let (_, mut heard) = hear_all(
            Endpoint::Responses,
            &[
                r#"{"type":"response.output_text.delta","delta":"h"}"#,
                r#"{"type":"response.completed","response":{"model":"r","output":[{"type":"message","content":[{"text":"hi"}]}],"usage":{"input_tokens":1,"output_tokens":2}}}"#,
            ],
        );
        assert!(heard.is_complete);
        assert_eq!(heard.observed().output.as_deref(), Some("hi"));
    }
}
