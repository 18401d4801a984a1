//! What a whole reply says: text, tokens, model, and the parts that are more than text. Reading never changes the reply.

use serde_json::value::RawValue;

use crate::body::quoted;
use crate::endpoint::Endpoint;
use crate::question::content_text;

/// What was seen of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Observed {
    /// The model as the provider names it.
    pub model: Option<String>,
    pub output: Option<String>,
    /// The JSON of an answer that is more than text.
    pub reply: Option<String>,
    pub usage: Usage,
    /// Whether the answer ends where the tokens did.
    pub is_cut: bool,
}

impl Observed {
    /// What a provider's error says, as JSON.
    pub fn of_error(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let is_json = serde_json::from_str::<&RawValue>(&text).is_ok();
        let document = if is_json { text.into_owned() } else { quoted(&text) };
        Self {
            reply: (!body.is_empty()).then_some(document),
            ..Self::default()
        }
    }
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Of the whole input, with what came from a cache and what was written to it.
    pub input: Option<u32>,
    pub output: Option<u32>,
    /// Of the input, what was read from a cache.
    pub cached: u32,
    /// Of the input, what was written to a cache.
    pub cache_written: u32,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct UsageView {
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
    prompt_tokens_details: Option<Details>,
    input_tokens: Option<u32>,
    output_tokens: Option<u32>,
    input_tokens_details: Option<Details>,
    cache_read_input_tokens: Option<u32>,
    cache_creation_input_tokens: Option<u32>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u32>,
}

impl From<UsageView> for Usage {
    fn from(view: UsageView) -> Self {
        let cached_of =
            |details: &Option<Details>| details.as_ref().and_then(|details| details.cached_tokens);
        let inside = cached_of(&view.prompt_tokens_details).or(cached_of(&view.input_tokens_details));
        // Anthropic counts what came from a cache, and what was written to it, beside the input.
        let read = view.cache_read_input_tokens.unwrap_or(0);
        let cache_written = view.cache_creation_input_tokens.unwrap_or(0);
        let input = view.prompt_tokens.or(view.input_tokens);
        Self {
            input: input.map(|input| input.saturating_add(read).saturating_add(cache_written)),
            output: view.completion_tokens.or(view.output_tokens),
            cached: inside.unwrap_or(read),
            cache_written,
        }
    }
}

#[derive(serde::Deserialize)]
struct ChatReply<'a> {
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    usage: Option<UsageView>,
}

#[derive(serde::Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "word")]
    finish_reason: Option<String>,
}

#[derive(serde::Deserialize)]
struct ChatMessage<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct ResponsesReply<'a> {
    #[serde(default)]
    model: Option<String>,
    #[serde(default, deserialize_with = "word")]
    status: Option<String>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(default)]
    usage: Option<UsageView>,
}

#[derive(serde::Deserialize)]
struct ResponsesItem<'a> {
    #[serde(default)]
    r#type: String,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct MessagesReply<'a> {
    #[serde(default)]
    model: Option<String>,
    #[serde(default, deserialize_with = "word")]
    stop_reason: Option<String>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    usage: Option<UsageView>,
}

#[derive(serde::Deserialize)]
struct Typed {
    #[serde(default)]
    r#type: String,
}

#[derive(serde::Deserialize)]
struct EmbeddingsReply {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<UsageView>,
}

/// Reads a whole reply; `None` when it is no JSON object. A shape that is not known gives what is.
pub(crate) fn observe(endpoint: Endpoint, body: &[u8]) -> Option<Observed> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let read = match endpoint {
        Endpoint::ChatCompletions => serde_json::from_slice(body).ok().map(of_chat),
        Endpoint::Responses => serde_json::from_slice(body).ok().map(of_responses),
        Endpoint::Messages => serde_json::from_slice(body).ok().map(of_messages),
        Endpoint::Embeddings => serde_json::from_slice(body).ok().map(of_embeddings),
    };
    let is_json = || serde_json::from_slice::<&RawValue>(body).is_ok();
    read.or_else(|| is_json().then(Observed::default))
}

/// Whether an answer ended because no more tokens were allowed, in the words of any protocol.
pub(crate) fn is_out_of_tokens(reason: Option<&str>) -> bool {
    let cut = [
        "length",
        "max_tokens",
        "incomplete",
        "model_context_window_exceeded",
    ];
    reason.is_some_and(|reason| cut.contains(&reason))
}

/// A word that says how an answer ended. What is there and no text, as some servers send, still says that it ended.
pub(crate) fn word<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    use serde::Deserialize as _;
    Ok(match serde_json::Value::deserialize(value)? {
        serde_json::Value::Null => None,
        serde_json::Value::String(word) => Some(word),
        other => Some(other.to_string()),
    })
}

fn of_chat(reply: ChatReply<'_>) -> Observed {
    let mut observed = Observed {
        model: reply.model,
        usage: reply.usage.unwrap_or_default().into(),
        is_cut: reply
            .choices
            .first()
            .is_some_and(|choice| is_out_of_tokens(choice.finish_reason.as_deref())),
        ..Observed::default()
    };
    let messages: Vec<&str> = reply
        .choices
        .iter()
        .filter_map(|choice| choice.message.map(RawValue::get))
        .collect();
    let Some(first) = messages.first() else {
        return observed;
    };
    if let Ok(message) = serde_json::from_str::<ChatMessage<'_>>(first) {
        let content = message
            .content
            .map(RawValue::get)
            .filter(|content| *content != "null");
        observed.output = content.map(content_text);
        let more = [message.tool_calls, message.refusal, message.audio];
        if more
            .into_iter()
            .flatten()
            .any(|value| !matches!(value.get(), "null" | "[]"))
        {
            observed.reply = Some((*first).to_owned());
        }
    }
    if messages.len() > 1 {
        observed.reply = Some(format!("[{}]", messages.join(",")));
    }
    observed
}

fn of_responses(reply: ResponsesReply<'_>) -> Observed {
    let output = reply.output.map_or("[]", RawValue::get);
    let items: Vec<ResponsesItem<'_>> = serde_json::from_str(output).unwrap_or_default();
    let texts: Vec<String> = items
        .iter()
        .filter(|item| item.r#type == "message")
        .filter_map(|item| item.content.map(|content| content_text(content.get())))
        .collect();
    let is_text_only = items.iter().all(|item| item.r#type == "message");
    Observed {
        model: reply.model,
        output: (!texts.is_empty()).then(|| texts.join("\n")),
        reply: (!is_text_only).then(|| output.to_owned()),
        usage: reply.usage.unwrap_or_default().into(),
        is_cut: is_out_of_tokens(reply.status.as_deref()),
    }
}

fn of_messages(reply: MessagesReply<'_>) -> Observed {
    let content = reply.content.map_or("[]", RawValue::get);
    let blocks: Vec<Typed> = serde_json::from_str(content).unwrap_or_default();
    let is_text_only = blocks.iter().all(|block| block.r#type == "text");
    let has_text = blocks.iter().any(|block| block.r#type == "text");
    Observed {
        model: reply.model,
        output: has_text.then(|| content_text(content)),
        reply: (!is_text_only).then(|| content.to_owned()),
        usage: reply.usage.unwrap_or_default().into(),
        is_cut: is_out_of_tokens(reply.stop_reason.as_deref()),
    }
}

fn of_embeddings(reply: EmbeddingsReply) -> Observed {
    Observed {
        model: reply.model,
        usage: reply.usage.unwrap_or_default().into(),
        ..Observed::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_tokens_are_read_from_every_protocol() {
        let chat = br#"{"model":"m-1","choices":[{"message":{"role":"assistant","content":"hi"}}],
            "usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}"#;
        let seen = observe(Endpoint::ChatCompletions, chat).unwrap();
        assert_eq!((seen.output.as_deref(), seen.reply), (Some("hi"), None));
        assert_eq!(
            (seen.usage.input, seen.usage.output, seen.usage.cached),
            (Some(9), Some(2), 4)
        );

        let responses = br#"{"output":[{"type":"reasoning"},{"type":"message","content":[{"type":"output_text","text":"hi"}]}],
            "usage":{"input_tokens":3,"output_tokens":1}}"#;
        let seen = observe(Endpoint::Responses, responses).unwrap();
        assert_eq!(seen.output.as_deref(), Some("hi"));
        assert!(seen.reply.unwrap().contains("reasoning"));

        let messages = br#"{"content":[{"type":"text","text":"hi"},{"type":"tool_use","id":"1"}],
            "usage":{"input_tokens":3,"cache_read_input_tokens":10,"cache_creation_input_tokens":5,"output_tokens":1}}"#;
        let seen = observe(Endpoint::Messages, messages).unwrap();
        assert_eq!(seen.output.as_deref(), Some("hi"));
        assert_eq!(
            (seen.usage.input, seen.usage.cached, seen.usage.cache_written),
            (Some(18), 10, 5)
        );
        assert!(seen.reply.is_some());
    }

    #[test]
    fn calls_of_tools_are_kept_as_they_came() {
        let chat = br#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c1"}]}}]}"#;
        let seen = observe(Endpoint::ChatCompletions, chat).unwrap();
        assert_eq!(seen.output, None);
        assert_eq!(
            seen.reply.as_deref(),
            Some(r#"{"content":null,"tool_calls":[{"id":"c1"}]}"#)
        );
    }

    #[test]
    fn what_is_no_object_is_told_from_an_unknown_shape() {
        for broken in ["", "<html>", "{\"a\":", "[1]"] {
            assert_eq!(
                observe(Endpoint::ChatCompletions, broken.as_bytes()),
                None,
                "{broken}"
            );
        }
        let unknown = observe(Endpoint::ChatCompletions, br#"{"choices":7}"#);
        assert_eq!(unknown, Some(Observed::default()));
    }
}
