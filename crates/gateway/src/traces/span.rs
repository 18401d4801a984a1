//! What a span says of a model call: by the current GenAI conventions, the older names, or OpenInference.

use hone_domain::{
    AnswerSource, Document, FeedbackKind, FeedbackSource, Identity, InteractionId, InteractionStatus,
    JsonText, NewFeedback, NewInteraction, ProjectId, answer_text, content_text, derive_repeatable_id,
    format_rfc3339, last_of_user, message_of, prompt_messages, require_name,
};
use serde_json::{Value, json};

use super::message::{Event, Span, into_object};

/// `gen_ai.operation.name` of spans that ask a model for text.
const OPERATIONS: [&str; 3] = ["chat", "text_completion", "generate_content"];

/// Where the conventions put the same thing, the current name first.
const MODEL: [&str; 3] = ["gen_ai.response.model", "gen_ai.request.model", "llm.model_name"];
const PROVIDER: [&str; 4] = [
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
];
const FIRST_TOKEN_S: [&str; 2] = [
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.server.time_to_first_token",
];
const CONVERSATION: [&str; 3] = [
    "gen_ai.conversation.id",
    "session.id",
    "traceloop.association.properties.session_id",
];
const PERSON: [&str; 4] = [
    "user.id",
    "enduser.id",
    "llm.user",
    "traceloop.association.properties.user_id",
];
const TOKENS_INPUT: [&str; 3] = [
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
];
const TOKENS_OUTPUT: [&str; 3] = [
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
];
const COST_USD: [&str; 2] = ["llm.cost.total", "gen_ai.usage.cost"];

/// Spans that start later, in the year 2200, have no clock.
const LATEST_START_NS: u64 = 7_258_118_400_000_000_000;

/// A model call that a span tells of, with what was said of it.
#[derive(Debug)]
pub(crate) struct SeenCall {
    pub id: InteractionId,
    /// The task that the span names.
    pub task: Option<String>,
    /// Whether the person of it does not want it kept.
    pub is_opted_out: bool,
    pub record: NewInteraction,
    pub feedback: Vec<NewFeedback>,
}

/// Reads a span; `None` when it is about something else than asking a model for text.
pub(crate) fn read(project: ProjectId, span: Span, resource: &Document) -> Option<SeenCall> {
    let attributes = Document(into_object(span.attributes));
    if !is_model_call(&attributes) {
        return None;
    }
    let events: Vec<(String, Document)> = span.events.into_iter().map(read_event).collect();
    let key = format!("{}-{}", hex(&span.trace_id), hex(&span.id));
    let id: InteractionId = derive_repeatable_id(project, "span", &key);
    let asked = asked(&attributes, &events);
    let answered = answered(&attributes, &events);
    let has_failed = span.status.is_some_and(|status| status.code == 2);
    let error = attributes
        .text(&["error.type"])
        .or(has_failed.then(|| "error".to_owned()));
    let elapsed_ns = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    let first_token_s = attributes.number(&FIRST_TOKEN_S);
    let named = |names: &[&str]| attributes.text(names).and_then(name);
    let record = NewInteraction {
        id: Some(id),
        input: last_of_user(&asked).unwrap_or_default(),
        output: answered.text,
        reply: answered.document.as_ref().and_then(json_text),
        request: request(&asked, &attributes).as_ref().and_then(json_text),
        source: Some(AnswerSource::Model),
        status: Some(if has_failed {
            InteractionStatus::Error
        } else {
            InteractionStatus::Ok
        }),
        error: error.and_then(name),
        model: model(&attributes),
        conversation: named(&CONVERSATION),
        subject: named(&PERSON).map(|user_id| Identity {
            user_id,
            ip_address: None,
            user_agent: None,
        }),
        tags: tags(&attributes),
        action_type: named(&["hone.action_type"]),
        target_tool: named(&["hone.target_tool"]),
        language: named(&["hone.language"]),
        tokens_input: attributes.count(&TOKENS_INPUT),
        tokens_output: attributes.count(&TOKENS_OUTPUT),
        cost_usd: attributes
            .number(&COST_USD)
            .filter(|usd| (0.0..=1e6).contains(usd)),
        latency_ms: (span.end_time_unix_nano > 0)
            .then_some(elapsed_ns as f64 / 1e6)
            .filter(|&ms| is_duration(ms)),
        first_token_ms: first_token_s
            .map(|seconds| seconds * 1e3)
            .filter(|&ms| is_duration(ms)),
        occurred_at: (1..LATEST_START_NS)
            .contains(&span.start_time_unix_nano)
            .then(|| format_rfc3339((span.start_time_unix_nano / 1_000) as i64)),
        ..NewInteraction::default()
    };
    let task = named(&["hone.task"]).or_else(|| resource.text(&["hone.task"]).and_then(name));
    let feedback = feedback(project, &key, id, &attributes, &events);
    Some(SeenCall {
        id,
        task,
        is_opted_out: is_opted_out(&attributes) || is_opted_out(resource),
        record,
        feedback,
    })
}

/// Whether the attributes say that the person has opted out; what is there and says neither yes nor no counts as yes.
fn is_opted_out(attributes: &Document) -> bool {
    let said = attributes.text(&["hone.opt_out"]).unwrap_or_default();
    !matches!(said.to_lowercase().as_str(), "" | "false" | "0" | "no" | "off")
}

/// Whether it is a time that a call may take, in milliseconds: up to a day.
fn is_duration(milliseconds: f64) -> bool {
    (0.0..=86_400_000.0).contains(&milliseconds)
}

/// The model as `provider/model`.
fn model(attributes: &Document) -> Option<String> {
    let model = attributes.text(&MODEL)?;
    name(match attributes.text(&PROVIDER) {
        Some(provider) => format!("{}/{model}", provider.to_lowercase()),
        None => model,
    })
}

fn read_event(event: Event) -> (String, Document) {
    (event.name, Document(into_object(event.attributes)))
}

fn is_model_call(attributes: &Document) -> bool {
    if let Some(kind) = attributes.text(&["openinference.span.kind"]) {
        return kind == "LLM";
    }
    match attributes.text(&["gen_ai.operation.name"]) {
        Some(operation) => OPERATIONS.contains(&operation.as_str()),
        // Before operations had names.
        None => {
            attributes
                .get(&["gen_ai.system", "gen_ai.provider.name"])
                .is_some()
                && attributes
                    .get(&["gen_ai.request.model", "gen_ai.response.model"])
                    .is_some()
        }
    }
}

/// A message of either side as JSON, in the shape of OpenAI's.
type Message = Value;

/// The messages that were sent, wherever the conventions of the span put them.
fn asked(attributes: &Document, events: &[(String, Document)]) -> Vec<Message> {
    let mut messages = Vec::new();
    if let Some(instructions) = attributes.document(&["gen_ai.system_instructions"]) {
        messages.push(json!({ "role": "system", "content": content_text(&instructions) }));
    }
    if let Some(current) = attributes.document(&["gen_ai.input.messages"]) {
        messages.extend(current.as_array().into_iter().flatten().map(message_of));
        return messages;
    }
    if let Some((_, details)) = event(events, "gen_ai.client.inference.operation.details")
        && let Some(current) = details.document(&["gen_ai.input.messages"])
    {
        messages.extend(current.as_array().into_iter().flatten().map(message_of));
        return messages;
    }
    let flattened = attributes.flattened("gen_ai.prompt");
    if !flattened.is_empty() {
        return flattened.iter().map(|item| flat_message(item, "")).collect();
    }
    let open_inference = attributes.flattened("llm.input_messages");
    if !open_inference.is_empty() {
        return open_inference
            .iter()
            .map(|item| flat_message(item, "message."))
            .collect();
    }
    let of_events: Vec<Message> = events
        .iter()
        .filter_map(|(kind, fields)| {
            let role = kind.strip_prefix("gen_ai.")?.strip_suffix(".message")?;
            Some(json!({ "role": role, "content": event_text(fields)? }))
        })
        .collect();
    if !of_events.is_empty() {
        return of_events;
    }
    let prompt = attributes.get(&["gen_ai.prompt"]).cloned();
    let prompt = prompt.or_else(|| {
        event(events, "gen_ai.content.prompt")?
            .1
            .get(&["gen_ai.prompt"])
            .cloned()
    });
    let prompt = prompt.or_else(|| attributes.get(&["input.value"]).cloned());
    prompt.map_or_else(Vec::new, |prompt| prompt_messages(&prompt))
}

/// What was answered.
#[derive(Default)]
struct Answered {
    text: Option<String>,
    /// Where the answer is more than text.
    document: Option<Value>,
}

fn answered(attributes: &Document, events: &[(String, Document)]) -> Answered {
    let details = event(events, "gen_ai.client.inference.operation.details");
    let current = attributes
        .document(&["gen_ai.output.messages"])
        .or_else(|| details?.1.document(&["gen_ai.output.messages"]));
    if let Some(current) = current {
        let first = current.as_array().and_then(|messages| messages.first());
        return first.map_or_else(Answered::default, |first| {
            let parts = first
                .get("parts")
                .or_else(|| first.get("content"))
                .unwrap_or(&Value::Null);
            let is_text_only = parts
                .as_array()
                .into_iter()
                .flatten()
                .all(|part| part["type"] == "text");
            Answered {
                text: Some(content_text(parts)).filter(|text| !text.is_empty()),
                document: (!is_text_only).then(|| first.clone()),
            }
        });
    }
    for (prefix, field) in [("gen_ai.completion", ""), ("llm.output_messages", "message.")] {
        if let Some(first) = attributes.flattened(prefix).first() {
            let calls = first.0.keys().any(|key| key.contains("tool_calls"));
            let message = flat_message(first, field);
            let text = message["content"].as_str().map(str::to_owned);
            return Answered {
                text: text.filter(|text| !text.is_empty()),
                document: calls.then(|| Value::Object(first.0.clone())),
            };
        }
    }
    let text = attributes
        .text(&["gen_ai.completion"])
        .or_else(|| {
            event(events, "gen_ai.content.completion")?
                .1
                .text(&["gen_ai.completion"])
        })
        .or_else(|| event_text(&event(events, "gen_ai.choice")?.1))
        .or_else(|| attributes.text(&["output.value"]));
    Answered {
        text: text.and_then(|text| answer_text(&Value::String(text))),
        document: None,
    }
}

/// What an event of a message says: a text, or a document with the message.
fn event_text(fields: &Document) -> Option<String> {
    let found = fields.get(&["content", "message", "gen_ai.event.content", "body"])?;
    let document = match found {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| found.clone()),
        other => other.clone(),
    };
    answer_text(document.get("message").unwrap_or(&document))
}

fn event<'a>(events: &'a [(String, Document)], wanted: &str) -> Option<&'a (String, Document)> {
    events.iter().find(|(kind, _)| kind == wanted)
}

/// A message whose fields were flattened.
fn flat_message(item: &Document, prefix: &str) -> Message {
    let field = |field: &str| item.text(&[&format!("{prefix}{field}")]);
    let content = field("content").unwrap_or_else(|| {
        let parts = item.flattened(&format!("{prefix}contents"));
        let texts: Vec<String> = parts
            .iter()
            .filter_map(|part| part.text(&["message_content.text"]))
            .collect();
        texts.join("\n")
    });
    let content = serde_json::from_str::<Vec<Value>>(&content)
        .map_or(content, |parts| content_text(&Value::Array(parts)));
    json!({ "role": field("role").unwrap_or_else(|| "user".to_owned()), "content": content })
}

/// The call as a document: messages, and what the span says of its parameters; nothing without messages.
fn request(messages: &[Message], attributes: &Document) -> Option<Value> {
    if messages.is_empty() {
        return None;
    }
    let mut request = json!({ "messages": messages });
    for (name, value) in &attributes.0 {
        if let Some(parameter) = name.strip_prefix("gen_ai.request.") {
            request[parameter] = value.clone();
        }
    }
    if let Some(parameters) = attributes.document(&["llm.invocation_parameters"])
        && let (Some(request), Value::Object(parameters)) = (request.as_object_mut(), parameters)
    {
        request.extend(parameters);
    }
    Some(request)
}

fn tags(attributes: &Document) -> Vec<String> {
    let list = attributes
        .document(&["tag.tags", "hone.tags"])
        .unwrap_or_default();
    let tags = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    tags.map(str::to_owned).filter_map(name).take(20).collect()
}

/// Evaluations in events (current conventions) and annotations (OpenInference).
fn feedback(
    project: ProjectId,
    key: &str,
    interaction: InteractionId,
    attributes: &Document,
    events: &[(String, Document)],
) -> Vec<NewFeedback> {
    let mut found = Vec::new();
    let evaluations = events
        .iter()
        .filter(|(kind, _)| kind == "gen_ai.evaluation.result");
    for (_, evaluation) in evaluations {
        found.push((
            evaluation.text(&["gen_ai.evaluation.name"]),
            evaluation.number(&["gen_ai.evaluation.score.value"]),
            evaluation.text(&["gen_ai.evaluation.score.label"]),
            evaluation.text(&["gen_ai.evaluation.explanation"]),
            FeedbackSource::Automated,
        ));
    }
    for annotation in attributes.flattened("annotations") {
        let is_by_person = annotation
            .text(&["annotation.annotator_kind"])
            .is_some_and(|kind| kind == "HUMAN");
        found.push((
            annotation.text(&["annotation.name"]),
            annotation.number(&["annotation.score"]),
            annotation.text(&["annotation.label"]),
            annotation.text(&["annotation.explanation"]),
            if is_by_person {
                FeedbackSource::User
            } else {
                FeedbackSource::Automated
            },
        ));
    }
    let with_number = found.into_iter().enumerate();
    with_number
        .filter_map(|(number, (said_of, score, label, explanation, source))| {
            let said_of = said_of.and_then(name).unwrap_or_else(|| "evaluation".to_owned());
            let remark: Vec<String> = label.into_iter().chain(explanation).collect();
            let mut remark = remark.join(": ");
            let kind = match score {
                Some(score) if score.is_finite() => FeedbackKind::Score,
                _ if remark.is_empty() => return None,
                _ => FeedbackKind::Comment,
            };
            if kind == FeedbackKind::Comment {
                remark = format!("{said_of}: {remark}");
            }
            Some(NewFeedback {
                id: Some(derive_repeatable_id(
                    project,
                    "span feedback",
                    &format!("{key}-{number}"),
                )),
                interaction_id: Some(interaction),
                name: (kind == FeedbackKind::Score).then_some(said_of),
                score: score.filter(|_| kind == FeedbackKind::Score),
                text: (!remark.is_empty()).then_some(remark),
                source: Some(source),
                ..NewFeedback::new(kind)
            })
        })
        .collect()
}

fn json_text(value: &Value) -> Option<JsonText> {
    JsonText::parse(value.to_string())
}

/// A text that can be a name; anything else is left out, as nobody waits for an answer about it.
fn name(text: String) -> Option<String> {
    require_name("", &text).is_ok().then_some(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat()
}
