//! A stand-in provider: speaks both protocols and misbehaves on request. What it does is named by the model it is asked
//! for; what it was asked is kept for the test to look at.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

/// What the provider was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Path and query.
    pub uri: String,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: String,
}

/// A provider on a free port.
#[derive(Debug, Clone)]
pub struct StandIn {
    /// `http://127.0.0.1:port`.
    pub address: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<Vec<Asked>>,
    /// Streams whose client is still there.
    open_streams: Arc<()>,
    tasks: TaskTracker,
}

impl StandIn {
    /// Starts it.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let routes = Router::new()
            .route("/v1/chat/completions", post(chat))
            .route("/v1/responses", post(responses))
            .route("/v1/embeddings", post(embeddings))
            .route("/v1/messages", post(messages))
            .route("/openai/deployments/{deployment}/chat/completions", post(chat))
            .route("/v1/models", get(models))
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        shared
            .tasks
            .spawn(async move { axum::serve(listener, routes).await });
        Self { address, shared }
    }

    /// Everything it was asked so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// The body it was asked with last.
    pub fn last_body(&self) -> Value {
        let asked = self.asked();
        serde_json::from_str(&asked.last().unwrap().body).unwrap()
    }

    /// Streams that somebody still listens to.
    pub fn open_streams(&self) -> usize {
        Arc::strong_count(&self.shared.open_streams) - 1
    }
}

/// Notes what was asked; gives the body, and what is answered in place of the usual where the model asks for that.
async fn heard(shared: &Arc<Shared>, uri: &Uri, headers: HeaderMap, body: &Bytes) -> Result<Value, Response> {
    let authorization = headers.get("authorization").cloned();
    let asked = Asked {
        uri: uri.to_string(),
        headers,
        body: String::from_utf8_lossy(body).into_owned(),
    };
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let model = request["model"].as_str().unwrap_or_default().to_owned();
    let times_asked = {
        let mut all = shared.asked.lock().unwrap();
        all.push(asked);
        let same = format!("\"{model}\"");
        all.iter().filter(|earlier| earlier.body.contains(&same)).count()
    };
    let error = |status: StatusCode, kind: &str| {
        let body = json!({ "error": { "message": format!("stand-in says {kind}"), "type": kind, "param": null, "code": kind } });
        (status, [("x-request-id", "req-1")], body.to_string()).into_response()
    };
    Err(match model.as_str() {
        "rate-limited" => {
            let mut response = error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded");
            response
                .headers_mut()
                .insert("retry-after", "30".parse().unwrap());
            response
        }
        "failing" => error(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        "failing-once" if times_asked == 1 => error(StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        "refusing" => error(StatusCode::BAD_REQUEST, "invalid_request_error"),
        "telling-the-key" => error(StatusCode::UNAUTHORIZED, &format!("wrong key: {authorization:?}")),
        "compressed" => (
            [("content-type", "application/json"), ("content-encoding", "gzip")],
            "{}",
        )
            .into_response(),
        "broken-json" => ([("content-type", "application/json")], "{\"id\": \"x\", \"choi").into_response(),
        "page" => ([("content-type", "text/html")], "<html>gateway error</html>").into_response(),
        "silent" => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            StatusCode::OK.into_response()
        }
        "slow" => {
            tokio::time::sleep(Duration::from_millis(400)).await;
            return Ok(request);
        }
        "endless" => endless(shared, request["stream"] == true),
        _ => return Ok(request),
    })
}

/// A reply that never ends.
fn endless(shared: &Arc<Shared>, is_streamed: bool) -> Response {
    let listening = shared.open_streams.clone();
    let piece = if is_streamed {
        let chunk = json!({ "choices": [{ "index": 0, "delta": { "content": "x".repeat(10_000) } }] });
        format!("data: {chunk}\n\n")
    } else {
        " ".repeat(100_000)
    };
    let stream = futures::stream::repeat_with(move || {
        let _ = &listening;
        Ok::<_, std::convert::Infallible>(piece.clone())
    });
    let content_type = if is_streamed {
        "text/event-stream"
    } else {
        "application/json"
    };
    ([("content-type", content_type)], Body::from_stream(stream)).into_response()
}

/// Events one after the other, each as a piece of its own; `cut` breaks the connection in the middle of the next one.
fn events(shared: &Arc<Shared>, model: &str, events: Vec<String>) -> Response {
    let listening = shared.open_streams.clone();
    let cut_at = (model == "cut").then_some(events.len() / 2);
    let pause = if model == "slow-stream" { 200 } else { 1 };
    let stream = futures::stream::iter(events.into_iter().enumerate()).then(move |(number, event)| {
        let listening = listening.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            drop(listening);
            match cut_at {
                Some(at) if number == at => Ok(event[..event.len() / 2].to_owned()),
                Some(at) if number > at => Err(std::io::Error::other("cut")),
                _ => Ok(event),
            }
        }
    });
    let body = Body::from_stream(stream);
    ([("content-type", "text/event-stream")], body).into_response()
}

async fn chat(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let request = match heard(&shared, &uri, headers, &body).await {
        Ok(request) => request,
        Err(response) => return response,
    };
    let model = request["model"].as_str().unwrap_or_default();
    let answer = answer_to(&request["messages"]);
    let calls_tool = request["tools"].is_array() && model == "tools";
    let tool_call = json!([{ "index": 0, "id": "call_1", "type": "function",
        "function": { "name": "find_parcel", "arguments": "{\"number\":7}" } }]);
    let usage = json!({ "prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17,
        "prompt_tokens_details": { "cached_tokens": 2 } });
    let base =
        json!({ "id": "chatcmpl-1", "created": 1_760_000_000, "model": model, "system_fingerprint": "fp_1" });
    let with = |fields: Value| merged(&base, fields);
    if request["stream"] != true {
        let message = if calls_tool {
            json!({ "role": "assistant", "content": null, "tool_calls": tool_call })
        } else {
            json!({ "role": "assistant", "content": answer, "refusal": null })
        };
        let finish = if calls_tool { "tool_calls" } else { "stop" };
        let reply = with(
            json!({ "object": "chat.completion", "usage": usage, "x_unknown": { "kept": [1.0, 2.50] },
            "choices": [{ "index": 0, "message": message, "finish_reason": finish, "logprobs": null }] }),
        );
        return (
            [("content-type", "application/json"), ("x-request-id", "req-1")],
            reply.to_string(),
        )
            .into_response();
    }
    let chunk = |delta: Value, finish: Option<&str>| {
        let chunk = with(json!({ "object": "chat.completion.chunk",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] }));
        format!("data: {chunk}\n\n")
    };
    let mut all = vec![chunk(json!({ "role": "assistant", "content": "" }), None)];
    if calls_tool {
        all.push(chunk(json!({ "tool_calls": tool_call }), None));
        all.push(chunk(json!({}), Some("tool_calls")));
    } else {
        all.extend(
            answer
                .split_inclusive(' ')
                .map(|word| chunk(json!({ "content": word }), None)),
        );
        all.push(chunk(json!({}), Some("stop")));
    }
    if request["stream_options"]["include_usage"] == true {
        all.push(format!(
            "data: {}\n\n",
            with(json!({ "object": "chat.completion.chunk", "choices": [], "usage": usage }))
        ));
    }
    all.push("data: [DONE]\n\n".to_owned());
    events(&shared, model, all)
}

async fn responses(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let request = match heard(&shared, &uri, headers, &body).await {
        Ok(request) => request,
        Err(response) => return response,
    };
    let model = request["model"].as_str().unwrap_or_default();
    let answer = format!("echo: {}", request["input"].as_str().unwrap_or("items"));
    let whole = json!({ "id": "resp_1", "object": "response", "created_at": 1_760_000_000, "model": model,
        "status": "completed", "error": null, "incomplete_details": null, "instructions": null, "metadata": {},
        "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "output": [{ "type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{ "type": "output_text", "text": answer, "annotations": [] }] }],
        "usage": { "input_tokens": 12, "output_tokens": 5, "total_tokens": 17,
            "input_tokens_details": { "cached_tokens": 0 }, "output_tokens_details": { "reasoning_tokens": 0 } } });
    if request["stream"] != true {
        return ([("content-type", "application/json")], whole.to_string()).into_response();
    }
    let event = |name: &str, fields: Value| {
        let data = merged(&json!({ "type": name, "sequence_number": 0 }), fields);
        format!("event: {name}\ndata: {data}\n\n")
    };
    let place = json!({ "item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": [] });
    let mut started = whole.clone();
    started["status"] = json!("in_progress");
    let mut all = vec![event("response.created", json!({ "response": started }))];
    for word in answer.split_inclusive(' ') {
        all.push(event(
            "response.output_text.delta",
            merged(&place, json!({ "delta": word })),
        ));
    }
    all.push(event("response.completed", json!({ "response": whole })));
    events(&shared, model, all)
}

async fn embeddings(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = match heard(&shared, &uri, headers, &body).await {
        Ok(request) => request,
        Err(response) => return response,
    };
    let reply = json!({ "object": "list", "model": request["model"],
        "data": [{ "object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.75] }],
        "usage": { "prompt_tokens": 4, "total_tokens": 4 } });
    ([("content-type", "application/json")], reply.to_string()).into_response()
}

async fn messages(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let request = match heard(&shared, &uri, headers, &body).await {
        Ok(request) => request,
        Err(response) => return response,
    };
    let model = request["model"].as_str().unwrap_or_default();
    let answer = answer_to(&request["messages"]);
    let calls_tool = request["tools"].is_array() && model == "tools";
    let usage = json!({ "input_tokens": 12, "output_tokens": 5 });
    let content = if calls_tool {
        json!([{ "type": "tool_use", "id": "toolu_1", "name": "find_parcel", "input": { "number": 7 } }])
    } else {
        json!([{ "type": "text", "text": answer }])
    };
    let stop = if calls_tool { "tool_use" } else { "end_turn" };
    let whole = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop, "stop_sequence": null, "usage": usage });
    if request["stream"] != true {
        return ([("content-type", "application/json")], whole.to_string()).into_response();
    }
    let event = |name: &str, fields: Value| {
        let data = merged(&json!({ "type": name }), fields);
        format!("event: {name}\ndata: {data}\n\n")
    };
    let started = merged(
        &whole,
        json!({ "content": [], "stop_reason": null, "usage": { "input_tokens": 12, "output_tokens": 1 } }),
    );
    let mut all = vec![event("message_start", json!({ "message": started }))];
    if calls_tool {
        let block = json!({ "type": "tool_use", "id": "toolu_1", "name": "find_parcel", "input": {} });
        all.push(event(
            "content_block_start",
            json!({ "index": 0, "content_block": block }),
        ));
        let delta = json!({ "type": "input_json_delta", "partial_json": "{\"number\":7}" });
        all.push(event(
            "content_block_delta",
            json!({ "index": 0, "delta": delta }),
        ));
    } else {
        let block = json!({ "type": "text", "text": "" });
        all.push(event(
            "content_block_start",
            json!({ "index": 0, "content_block": block }),
        ));
        for word in answer.split_inclusive(' ') {
            let delta = json!({ "type": "text_delta", "text": word });
            all.push(event(
                "content_block_delta",
                json!({ "index": 0, "delta": delta }),
            ));
        }
    }
    all.push(event("content_block_stop", json!({ "index": 0 })));
    all.push(event(
        "message_delta",
        json!({ "delta": { "stop_reason": stop, "stop_sequence": null }, "usage": { "output_tokens": 5 } }),
    ));
    all.push(event("message_stop", json!({})));
    events(&shared, model, all)
}

async fn models() -> Response {
    let list = json!({ "object": "list", "data": [{ "id": "gpt-4o-mini", "object": "model", "created": 1_700_000_000, "owned_by": "standin" }] });
    ([("content-type", "application/json")], list.to_string()).into_response()
}

/// Answers with what the last message says, or with what an instruction in it asks for.
fn answer_to(messages: &Value) -> String {
    let last = messages.as_array().and_then(|messages| messages.last());
    let content = last.map(|message| &message["content"]);
    let text = match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join(" ")
        }
        _ => String::new(),
    };
    match text.split_once("answer exactly: ") {
        Some((_, exactly)) => exactly.to_owned(),
        None => format!("echo: {text}"),
    }
}

fn merged(base: &Value, fields: Value) -> Value {
    let mut merged = base.clone();
    if let (Some(merged), Value::Object(fields)) = (merged.as_object_mut(), fields) {
        merged.extend(fields);
    }
    merged
}
