//! Traces of model calls that went another way: OTLP over HTTP, as protobuf or JSON, by the GenAI conventions of
//! OpenTelemetry, their older names, or OpenInference. A span that asks a model for text becomes an interaction, an
//! evaluation becomes feedback; the rest of a trace is skipped. A span that comes again changes nothing.

mod message;
mod span;

use std::collections::HashMap;
use std::sync::Arc;

use hone_domain::{Document, MAX_TEXT_BYTES, ProjectId, RecordingContent};
use hone_engine::{EngineError, Observed, Privacy, RecordBatch};
use hone_storage::tasks::Task;
use prost::Message as _;

use self::message::{TraceRequest, into_object};
use self::span::SeenCall;
use crate::Gateway;
use crate::exchange::{storable, without_texts};
use crate::refusal::{Refusal, RefusalKind};

/// Records of a request that are written together.
const BATCH_RECORDS: usize = 500;

/// How a trace request is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceEncoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Gateway {
    /// Records what an export of spans says of model calls; gives how many. Answered when it is durable. Spans that name
    /// no task (`hone.task`), or one that does not exist, belong to the task `default_task`, which is made when it is missing.
    /// What is recorded of a call is as the task's policy says, also of one with `hone.opt_out`.
    pub async fn record_traces(
        &self,
        project: ProjectId,
        privacy: &Privacy,
        encoding: TraceEncoding,
        body: &[u8],
        default_task: &str,
    ) -> Result<usize, Refusal> {
        let request = decode(encoding, body)?;
        let calls = seen_calls(project, request);
        let count = calls.len();
        let mut tasks: HashMap<String, Arc<Task>> = HashMap::new();
        let mut batch = RecordBatch::default();
        let recorder = self.engine().recorder();
        for call in calls {
            let name = call.task.as_deref().unwrap_or(default_task);
            let task = match tasks.get(name) {
                Some(task) => task.clone(),
                None => self.task_of_span(project, name, default_task).await?,
            };
            tasks.insert(name.to_owned(), task.clone());
            let record = match self.recording_content(&task, call.is_opted_out) {
                RecordingContent::Nothing => continue,
                RecordingContent::Metadata => without_texts(self.with_cost(call.record)),
                RecordingContent::Everything => self.with_cost(call.record),
            };
            let record = hone_domain::NewInteraction {
                task: task.name.clone(),
                ..record
            };
            let observed = Observed {
                id: call.id,
                task: &task,
                privacy,
                record: storable(record),
                model_version: None,
                exposed: None,
                teaches: false,
            };
            recorder.add_observed(&mut batch, observed);
            for feedback in call.feedback {
                // What the conventions allow and we do not, such as an endless remark, is left out and said in the log.
                if let Err(error) = recorder.add_feedback(&mut batch, project, privacy, feedback) {
                    tracing::warn!(%error, "an evaluation in a trace cannot be taken");
                }
            }
            if batch.len() >= BATCH_RECORDS {
                recorder
                    .write(std::mem::take(&mut batch))
                    .await
                    .map_err(|error| not_written(&error))?;
            }
        }
        if !batch.is_empty() {
            recorder.write(batch).await.map_err(|error| not_written(&error))?;
        }
        Ok(count)
    }

    /// The task that a span names, or the default one where there is no such task.
    async fn task_of_span(
        &self,
        project: ProjectId,
        name: &str,
        default_task: &str,
    ) -> Result<Arc<Task>, Refusal> {
        match self.engine().get_task(project, name).await {
            Ok(task) => Ok(task),
            Err(_) => self.default_task(project, default_task).await,
        }
    }

    /// Adds the cost by the price table where the span has tokens and no cost.
    fn with_cost(&self, record: hone_domain::NewInteraction) -> hone_domain::NewInteraction {
        let cost_usd = record.cost_usd.or_else(|| self.prices().cost_usd_of(&record));
        hone_domain::NewInteraction { cost_usd, ..record }
    }
}

fn decode(encoding: TraceEncoding, body: &[u8]) -> Result<TraceRequest, Refusal> {
    let problem = match encoding {
        TraceEncoding::Protobuf => match TraceRequest::decode(body) {
            Ok(request) => return Ok(request),
            Err(error) => error.to_string(),
        },
        TraceEncoding::Json if !body.trim_ascii_start().starts_with(b"{") => "it is no object".to_owned(),
        TraceEncoding::Json => match serde_json::from_slice(body) {
            Ok(request) => return Ok(request),
            Err(error) => error.to_string(),
        },
    };
    let message = format!("the body is no ExportTraceServiceRequest: {problem}");
    Err(Refusal::new(RefusalKind::Invalid, message))
}

fn seen_calls(project: ProjectId, request: TraceRequest) -> Vec<SeenCall> {
    let mut calls = Vec::new();
    for of_resource in request.resource_spans {
        let resource = Document(into_object(of_resource.resource.unwrap_or_default().attributes));
        let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        calls.extend(spans.filter_map(|span| span::read(project, span, &resource)));
    }
    for call in &mut calls {
        for document in [&mut call.record.request, &mut call.record.reply] {
            if document
                .as_ref()
                .is_some_and(|document| document.as_str().len() > MAX_TEXT_BYTES)
            {
                *document = None;
            }
        }
    }
    calls
}

fn not_written(error: &EngineError) -> Refusal {
    match error {
        EngineError::Full { retry_after_s } => {
            let message = "the queue of records is full; send the spans again";
            Refusal::new(RefusalKind::QueueFull, message).retry_after(*retry_after_s)
        }
        other => {
            tracing::error!(error = %other, "traces cannot be recorded");
            Refusal::new(
                RefusalKind::Unavailable,
                "the database does not answer; send the spans again",
            )
            .retry_after(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_domain::InteractionStatus;
    use serde_json::json;
    use uuid::Uuid;

    fn attributes(pairs: &[(&str, serde_json::Value)]) -> serde_json::Value {
        let value = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => json!({ "stringValue": text }),
            serde_json::Value::Number(number) if number.is_i64() => json!({ "intValue": number.to_string() }),
            serde_json::Value::Number(number) => json!({ "doubleValue": number }),
            other => json!({ "boolValue": other }),
        };
        pairs
            .iter()
            .map(|(key, given)| json!({ "key": key, "value": value(given) }))
            .collect()
    }

    fn read(span: &serde_json::Value) -> Vec<SeenCall> {
        let request = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] });
        let request = decode(TraceEncoding::Json, request.to_string().as_bytes()).unwrap();
        // What protobuf says is the same.
        let again = decode(TraceEncoding::Protobuf, &request.encode_to_vec()).unwrap();
        assert_eq!(request, again);
        seen_calls(ProjectId(Uuid::nil()), again)
    }

    fn span(pairs: &[(&str, serde_json::Value)]) -> serde_json::Value {
        json!({ "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "chat m",
            "startTimeUnixNano": "1760000000000000000", "endTimeUnixNano": 1_760_000_001_500_000_000_u64,
            "attributes": attributes(pairs), "unknown": 1 })
    }

    #[test]
    fn the_current_names_are_read() {
        let messages = r#"[{"role":"user","parts":[{"type":"text","content":"Weather?"}]}]"#;
        let answer =
            r#"[{"role":"assistant","parts":[{"type":"text","content":"Rain."}],"finish_reason":"stop"}]"#;
        let mut span = span(&[
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.provider.name", json!("openai")),
            ("gen_ai.response.model", json!("gpt-4o-mini")),
            ("gen_ai.conversation.id", json!("c1")),
            ("gen_ai.input.messages", json!(messages)),
            ("gen_ai.output.messages", json!(answer)),
            ("gen_ai.usage.input_tokens", json!(52)),
            ("gen_ai.usage.output_tokens", json!(9)),
            ("gen_ai.request.temperature", json!(0.5)),
            ("hone.task", json!("weather")),
        ]);
        span["events"] = json!([{ "name": "gen_ai.evaluation.result", "attributes": attributes(&[
            ("gen_ai.evaluation.name", json!("relevance")), ("gen_ai.evaluation.score.value", json!(0.5)),
            ("gen_ai.evaluation.explanation", json!("to the point")),
        ]) }]);
        let call = read(&span).pop().unwrap();
        assert_eq!(call.task.as_deref(), Some("weather"));
        let record = &call.record;
        assert_eq!(
            (record.input.as_str(), record.output.as_deref()),
            ("Weather?", Some("Rain."))
        );
        assert_eq!(
            (record.tokens_input, record.tokens_output, record.latency_ms),
            (Some(52), Some(9), Some(1_500.0))
        );
        assert_eq!(record.model.as_deref(), Some("openai/gpt-4o-mini"));
        assert_eq!(record.conversation.as_deref(), Some("c1"));
        assert!(
            record
                .request
                .as_ref()
                .unwrap()
                .as_str()
                .contains("\"temperature\":0.5")
        );
        assert_eq!(
            (call.feedback[0].name.as_deref(), call.feedback[0].score),
            (Some("relevance"), Some(0.5))
        );
        assert_eq!(call.feedback[0].interaction_id, Some(call.id));
    }

    #[test]
    fn the_older_names_are_read() {
        let flattened = read(&span(&[
            ("gen_ai.system", json!("OpenAI")),
            ("gen_ai.request.model", json!("gpt-3.5")),
            ("gen_ai.prompt.0.role", json!("system")),
            ("gen_ai.prompt.0.content", json!("Be kind.")),
            ("gen_ai.prompt.1.role", json!("user")),
            ("gen_ai.prompt.1.content", json!("Joke?")),
            ("gen_ai.completion.0.content", json!("Knock.")),
            ("gen_ai.usage.prompt_tokens", json!(24)),
            ("gen_ai.usage.completion_tokens", json!(11)),
        ]));
        let record = &flattened[0].record;
        assert_eq!(
            (record.input.as_str(), record.output.as_deref()),
            ("Joke?", Some("Knock."))
        );
        assert_eq!((record.tokens_input, record.tokens_output), (Some(24), Some(11)));
        let whole = read(&span(&[
            ("gen_ai.system", json!("openai")),
            ("gen_ai.request.model", json!("m")),
            ("gen_ai.prompt", json!("Say hi")),
            ("gen_ai.completion", json!("hi")),
        ]));
        assert_eq!(
            (whole[0].record.input.as_str(), whole[0].record.output.as_deref()),
            ("Say hi", Some("hi"))
        );
        let messages = read(&span(&[
            ("gen_ai.system", json!("openai")),
            ("gen_ai.request.model", json!("m")),
            ("gen_ai.prompt", json!(r#"[{"role":"user","content":"Say hi"}]"#)),
            (
                "gen_ai.completion",
                json!(r#"[{"role":"assistant","content":"hi"}]"#),
            ),
        ]));
        assert_eq!(
            (
                messages[0].record.input.as_str(),
                messages[0].record.output.as_deref()
            ),
            ("Say hi", Some("hi"))
        );
    }

    #[test]
    fn openinference_is_read() {
        let calls = read(&span(&[
            ("openinference.span.kind", json!("LLM")),
            ("llm.model_name", json!("small")),
            ("llm.input_messages.0.message.role", json!("user")),
            (
                "llm.input_messages.0.message.contents.0.message_content.text",
                json!("23 times 87?"),
            ),
            ("llm.output_messages.0.message.content", json!("2001")),
            ("llm.token_count.prompt", json!(29)),
            ("llm.token_count.completion", json!(2)),
            ("session.id", json!("s4")),
            ("user.id", json!("u44")),
            ("annotations.0.annotation.name", json!("correctness")),
            ("annotations.0.annotation.score", json!(1)),
            ("annotations.0.annotation.annotator_kind", json!("HUMAN")),
        ]));
        let record = &calls[0].record;
        assert_eq!(
            (record.input.as_str(), record.output.as_deref()),
            ("23 times 87?", Some("2001"))
        );
        assert_eq!(
            (record.tokens_input, record.conversation.as_deref()),
            (Some(29), Some("s4"))
        );
        assert_eq!(record.subject.as_ref().unwrap().user_id, "u44");
        assert_eq!(
            calls[0].feedback[0].source,
            Some(hone_domain::FeedbackSource::User)
        );
    }

    #[test]
    fn what_asks_no_model_for_text_is_skipped_and_a_failed_call_says_so() {
        assert!(read(&span(&[("http.request.method", json!("POST"))])).is_empty());
        assert!(read(&span(&[("gen_ai.operation.name", json!("invoke_agent"))])).is_empty());
        assert!(read(&span(&[("openinference.span.kind", json!("CHAIN"))])).is_empty());
        let mut failed = span(&[
            ("gen_ai.operation.name", json!("chat")),
            ("error.type", json!("timeout")),
        ]);
        failed["status"] = json!({ "code": 2, "message": "no answer" });
        let record = read(&failed).pop().unwrap().record;
        assert_eq!(
            (record.status, record.error.as_deref()),
            (Some(InteractionStatus::Error), Some("timeout"))
        );
    }

    #[test]
    fn a_body_of_another_kind_is_refused() {
        for (encoding, body) in [
            (TraceEncoding::Json, "[]"),
            (TraceEncoding::Json, "{"),
            (TraceEncoding::Protobuf, "{\"a\":1}"),
        ] {
            assert!(decode(encoding, body.as_bytes()).is_err(), "{body}");
        }
    }
}
