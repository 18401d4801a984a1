//! A local answer in the shape of the protocol that was asked, plain or streamed.

use bytes::Bytes;
use hone_domain::InteractionId;
use serde_json::{Value, json};

use crate::endpoint::Endpoint;

/// An answer that no provider gave.
pub(crate) struct LocalReply<'a> {
    pub id: InteractionId,
    /// What is not recorded has no id to give feedback on.
    pub is_recorded: bool,
    pub model: &'a str,
    pub content: &'a str,
    pub created_s: i64,
}

impl LocalReply<'_> {
    /// The body of the answer. Tokens are zero: none were used.
    pub fn body(&self, endpoint: Endpoint, is_streamed: bool) -> Bytes {
        Bytes::from(match endpoint {
            Endpoint::ChatCompletions | Endpoint::Embeddings => self.chat(is_streamed),
            Endpoint::Responses => self.response(is_streamed),
            Endpoint::Messages => self.message(is_streamed),
        })
    }

    fn told(&self) -> Option<InteractionId> {
        self.is_recorded.then_some(self.id)
    }

    fn chat(&self, is_streamed: bool) -> String {
        let Self {
            id,
            model,
            content,
            created_s,
            ..
        } = *self;
        let told = self.told();
        let usage = json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 });
        let whole = |object: &str, choice: Value| {
            json!({ "id": format!("chatcmpl-{id}"), "object": object, "created": created_s, "model": model,
            "choices": [choice], "hone_interaction_id": told })
        };
        if !is_streamed {
            let said = json!({ "role": "assistant", "content": content, "refusal": null });
            let mut reply = whole(
                "chat.completion",
                json!({ "index": 0, "message": said, "logprobs": null, "finish_reason": "stop" }),
            );
            reply["usage"] = usage;
            return reply.to_string();
        }
        let chunk = |delta: Value, finish: Value| {
            let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish });
            format!("data: {}\n\n", whole("chat.completion.chunk", choice))
        };
        let said = json!({ "role": "assistant", "content": content });
        [
            chunk(said, Value::Null),
            chunk(json!({}), json!("stop")),
            "data: [DONE]\n\n".to_owned(),
        ]
        .concat()
    }

    fn response(&self, is_streamed: bool) -> String {
        let Self {
            id,
            model,
            content,
            created_s,
            ..
        } = *self;
        let told = self.told();
        let text = json!({ "type": "output_text", "text": content, "annotations": [] });
        let item_id = format!("msg_{id}");
        let item = json!({ "type": "message", "id": item_id, "status": "completed", "role": "assistant", "content": [text] });
        let whole = json!({ "id": format!("resp_{id}"), "object": "response", "created_at": created_s, "model": model,
        "status": "completed", "error": null, "incomplete_details": null, "instructions": null, "metadata": {},
        "parallel_tool_calls": true, "temperature": null, "tool_choice": "auto", "tools": [], "top_p": null,
        "output": [item], "hone_interaction_id": told,
        "usage": { "input_tokens": 0, "output_tokens": 0, "total_tokens": 0,
            "input_tokens_details": { "cached_tokens": 0 }, "output_tokens_details": { "reasoning_tokens": 0 } } });
        if !is_streamed {
            return whole.to_string();
        }
        let mut started = whole.clone();
        (started["status"], started["output"]) = (json!("in_progress"), json!([]));
        let mut begun = item.clone();
        (begun["status"], begun["content"]) = (json!("in_progress"), json!([]));
        let part = json!({ "type": "output_text", "text": "", "annotations": [] });
        let events = [
            json!({ "type": "response.created", "response": started }),
            json!({ "type": "response.output_item.added", "output_index": 0, "item": begun }),
            json!({ "type": "response.content_part.added", "item_id": item_id, "output_index": 0, "content_index": 0, "part": part }),
            json!({ "type": "response.output_text.delta", "item_id": item_id, "output_index": 0, "content_index": 0,
            "delta": content, "logprobs": [] }),
            json!({ "type": "response.output_text.done", "item_id": item_id, "output_index": 0, "content_index": 0,
            "text": content, "logprobs": [] }),
            json!({ "type": "response.content_part.done", "item_id": item_id, "output_index": 0, "content_index": 0, "part": text }),
            json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
            json!({ "type": "response.completed", "response": whole }),
        ];
        let numbered = events.into_iter().enumerate().map(|(number, mut event)| {
            event["sequence_number"] = json!(number);
            named_event(&event)
        });
        numbered.collect::<Vec<_>>().concat()
    }

    fn message(&self, is_streamed: bool) -> String {
        let Self {
            id, model, content, ..
        } = *self;
        let told = self.told();
        let usage = json!({ "input_tokens": 0, "output_tokens": 0 });
        let whole = json!({ "id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": model,
        "content": [{ "type": "text", "text": content }], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": usage, "hone_interaction_id": told });
        if !is_streamed {
            return whole.to_string();
        }
        let mut started = whole;
        (started["content"], started["stop_reason"]) = (json!([]), Value::Null);
        let events = [
            json!({ "type": "message_start", "message": started }),
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": content } }),
            json!({ "type": "content_block_stop", "index": 0 }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": usage }),
            json!({ "type": "message_stop", "hone_interaction_id": told }),
        ];
        events.iter().map(named_event).collect::<Vec<_>>().concat()
    }
}

/// An event under the name of its type.
fn named_event(event: &Value) -> String {
    format!(
        "event: {}\ndata: {event}\n\n",
        event["type"].as_str().unwrap_or_default()
    )
}
