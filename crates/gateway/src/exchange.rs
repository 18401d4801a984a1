//! One request from its arrival to its record. Whatever ends it (an answer, an error, a client that goes away), what is
//! known by then is recorded as the task's policy says.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hone_domain::{
    AnswerSource, InteractionId, InteractionStatus, JsonText, MAX_TEXT_BYTES, ModelVersionId, NewInteraction,
    RecordingContent, RecordingMoment, TaskKind,
};
use hone_engine::{
    Exposed, LiveAnswer, Observed as ObservedRequest, Privacy, RecordBatch, RecordOutcome, Routed,
};
use hone_storage::cascades::CascadeCounts;
use hone_storage::tasks::Task;
use tokio::time::Instant;
use uuid::Uuid;

use crate::Gateway;
use crate::cascade::{Counted, Verdict, label_in};
use crate::context::RequestContext;
use crate::endpoint::Endpoint;
use crate::limits::Admission;
use crate::refusal::{Refusal, RefusalKind};
use crate::reply::{Observed, Usage};
use crate::route::Candidate;
use crate::shadow::ShadowCall;
use crate::usage::estimated;

/// Records that may be at risk in a crash when nobody waits for them: those of replies of so long.
const MAX_AT_RISK: Duration = Duration::from_millis(20);
/// Documents up to this length are recorded as they are; longer ones lose their pictures and the like.
const MAX_DOCUMENT_BYTES: usize = MAX_TEXT_BYTES;

/// Errors that the client's request may be the cause of, whatever version made the rest of it.
const OF_CLIENT: [&str; 4] = ["provider_400", "provider_413", "provider_415", "provider_422"];

/// What a reply waits for before it ends.
pub(crate) type RecordingWait = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

/// What is known of a request before anybody is asked.
pub(crate) struct Begun {
    pub endpoint: Endpoint,
    pub task: Arc<Task>,
    /// Key of the project's pseudonyms.
    pub privacy: Arc<Privacy>,
    /// What is recorded of it.
    pub content: RecordingContent,
    /// What it was counted against.
    pub admission: Admission,
    pub started: Instant,
    /// Open until the request is recorded.
    pub span: tracing::Span,
}

/// One request with everything that is known of it.
pub(crate) struct Exchange {
    gateway: Gateway,
    begun: Begun,
    /// Time that was spent waiting for providers.
    upstream: Duration,
    answered_by: Option<Candidate>,
    model_version: Option<Uuid>,
    /// What the version was chosen by, where several share the task's traffic.
    exposed: Option<Exposed>,
    /// Asked when the answer is known.
    shadow: Option<ShadowCall>,
    /// Taken when it is recorded.
    record: Option<Box<NewInteraction>>,
    /// What the task's own classifier says, where it stands in front of a model.
    verdict: Option<Verdict>,
    /// Whether the answer ends where the tokens did.
    is_cut: bool,
    /// The JSON that a model was asked with.
    sent: Bytes,
    /// Tokens as the provider counted them, as far as that was heard.
    usage: Usage,
    /// The model as the provider names it.
    answering_model: Option<String>,
    pub id: InteractionId,
}

impl Exchange {
    pub fn begin(gateway: Gateway, begun: Begun, context: RequestContext, question: String) -> Self {
        let id = context
            .interaction_id
            .unwrap_or_else(|| gateway.engine().ids.next());
        let record = NewInteraction {
            id: context.interaction_id.map(|_| id),
            task: begun.task.name.clone(),
            input: question,
            source: Some(AnswerSource::Model),
            conversation: context.conversation,
            turn: context.turn,
            subject: context.subject,
            action_type: context.action_type,
            target_tool: context.target_tool,
            language: context.language,
            tags: context.tags,
            ..NewInteraction::default()
        };
        Self {
            gateway,
            begun,
            upstream: Duration::ZERO,
            answered_by: None,
            model_version: None,
            exposed: None,
            shadow: None,
            record: Some(Box::new(record)),
            verdict: None,
            is_cut: false,
            sent: Bytes::new(),
            usage: Usage::default(),
            answering_model: None,
            id,
        }
    }

    /// Whether anything of the request is recorded.
    pub fn is_recorded(&self) -> bool {
        self.begun.content != RecordingContent::Nothing
    }

    /// Notes who was asked, with what.
    pub fn asked(&mut self, candidate: &Candidate, sent: Bytes) {
        if let Some(record) = &mut self.record {
            record.model = Some(candidate.shown());
            if self.begun.content == RecordingContent::Everything {
                record.request = std::str::from_utf8(&sent).ok().and_then(document);
            }
        }
        self.answered_by = Some(candidate.clone());
        self.sent = sent;
    }

    /// Notes who is being asked, in case the client does not wait for the answer.
    pub fn asking(&mut self, candidate: &Candidate, sent: Bytes) {
        self.answered_by = Some(candidate.clone());
        self.sent = sent;
        if let Some(record) = &mut self.record {
            record.model = Some(candidate.shown());
        }
    }

    /// Notes the prompt that was made of the request, the version of the task that made it, and its shadow.
    pub fn prompted(&mut self, routed: Option<Routed>, prompt: String, shadow: Option<ShadowCall>) {
        self.model_version = routed.as_ref().map(|routed| routed.served.version.id);
        self.exposed = routed.and_then(|routed| routed.exposed(None));
        self.shadow = shadow;
        if let Some(record) = &mut self.record {
            record.structured_prompt = Some(prompt);
        }
    }

    /// Notes what the task's own classifier says of the request.
    pub fn judged(&mut self, verdict: Verdict) {
        // Whoever answers in the end: what the classifier passes on is part of what it does.
        self.exposed.clone_from(&verdict.exposed);
        self.verdict = Some(verdict);
    }

    /// Notes that the task's own classifier answered.
    pub fn answered_locally(&mut self, verdict: &Verdict, content: &str) {
        self.model_version = Some(verdict.served.version.id);
        if let Some(record) = &mut self.record {
            record.model = Some(verdict.model(&self.begun.task));
            record.output = Some(content.to_owned());
            record.label = Some(verdict.label.clone());
            record.confidence = Some(verdict.confidence);
            record.cost_usd = Some(0.0);
        }
    }

    /// Notes how long providers were waited for so far.
    pub fn waited(&mut self, upstream: Duration) {
        self.upstream += upstream;
    }

    /// Notes when the first token of a stream came.
    pub fn first_token(&mut self) {
        let elapsed = self.begun.started.elapsed();
        if let Some(record) = &mut self.record {
            record.first_token_ms = Some(milliseconds(elapsed));
        }
        metrics::histogram!("hone_gateway_first_token_seconds", "endpoint" => self.begun.endpoint.name())
            .record(elapsed.as_secs_f64());
    }

    /// Notes what was answered.
    pub fn heard(&mut self, observed: Observed) {
        let Some(record) = &mut self.record else { return };
        (self.is_cut, self.usage) = (observed.is_cut, observed.usage);
        self.answering_model.clone_from(&observed.model);
        record.tokens_input = observed.usage.input;
        record.tokens_output = observed.usage.output;
        record.output = observed.output;
        record.reply = observed.reply.as_deref().and_then(document);
        if let Some(candidate) = &self.answered_by {
            let model = observed.model.as_deref().unwrap_or(&candidate.model);
            let prices = self.gateway.prices();
            let cost = prices.cost_micro_usd_of(candidate, model, &observed.usage);
            record.cost_usd = cost.map(|micro_usd| micro_usd / 1e6);
        }
    }

    /// Notes that it failed, and why in one word.
    pub fn failed(&mut self, error: &str) {
        if let Some(record) = &mut self.record {
            record.status = Some(InteractionStatus::Error);
            record.error = Some(error.to_owned());
        }
    }

    /// Hands what is known to the recorder. Gives what the end of the reply must wait for: the commit where the policy asks
    /// for it, or where records of more than 20 ms of replies would be at risk; room in the queue where there is none.
    pub fn record(&mut self) -> Option<RecordingWait> {
        let record = self.finish()?;
        let mut batch = RecordBatch::default();
        let recorder = self.gateway.engine().recorder();
        recorder.add_observed(
            &mut batch,
            ObservedRequest {
                id: self.id,
                task: &self.begun.task,
                privacy: &self.begun.privacy,
                teaches: self.teaches(&record),
                record,
                model_version: self.model_version,
                exposed: self.exposed.clone(),
            },
        );
        let is_before_reply = self.begun.task.policy.recording.moment == RecordingMoment::BeforeReply;
        match recorder.submit(batch, is_before_reply) {
            Ok(_) if !is_before_reply && recorder.lag() < MAX_AT_RISK => None,
            Ok(receipt) => Some(Box::pin(async move { judge(receipt.outcome().await) })),
            Err((_, batch)) => Some(self.record_when_room(batch)),
        }
    }

    /// Goes on even when the client goes away. The reply waits for the commit: what waited for room is late already.
    fn record_when_room(&self, batch: RecordBatch) -> RecordingWait {
        let recorder = self.gateway.engine().recorder().clone();
        let recording = self.gateway.tracker().spawn(async move {
            let receipt = recorder.submit_when_room(batch).await;
            match receipt {
                Ok(receipt) => receipt.outcome().await,
                Err(error) => Err(error),
            }
        });
        Box::pin(async move {
            match recording.await {
                Ok(recorded) => judge(recorded),
                Err(error) => Err(Refusal::new(RefusalKind::Internal, error.to_string())),
            }
        })
    }

    /// Settles limits and metrics, and gives what is to be recorded; `None` when nothing is, or when it was before.
    fn finish(&mut self) -> Option<NewInteraction> {
        let mut record = *self.record.take()?;
        let elapsed = self.begun.started.elapsed();
        record.latency_ms = Some(milliseconds(elapsed));
        let (tokens, cost_micro_usd) = self.used(&record);
        self.gateway
            .limits()
            .settle(&self.begun.admission, tokens, cost_micro_usd);
        if record.request.is_none() && self.begun.content == RecordingContent::Everything {
            // A client that went away before anything came back.
            record.request = std::str::from_utf8(&self.sent).ok().and_then(document);
        }
        self.learn_label(&mut record);
        self.note_version(&record);
        self.count_cascade(&record);
        self.count(&record, elapsed);
        self.tell(&record);
        match self.begun.content {
            RecordingContent::Nothing => None,
            RecordingContent::Metadata => Some(without_texts(record)),
            RecordingContent::Everything => Some(storable(record)),
        }
    }

    /// Tells the engine how the call of the version ended, and asks its shadow the same.
    fn note_version(&mut self, record: &NewInteraction) {
        let Some(version) = self.model_version else { return };
        let is_ok = match record.status {
            None | Some(InteractionStatus::Ok) => true,
            Some(InteractionStatus::Error) => false,
            Some(_) => return,
        };
        let is_of_client = record
            .error
            .as_deref()
            .is_some_and(|error| OF_CLIENT.contains(&error));
        if is_ok || !is_of_client {
            self.gateway.engine().note_call(&self.begun.task, version, is_ok);
        }
        if let (Some(shadow), Some(exposed), true) =
            (self.shadow.take(), self.exposed.clone(), self.is_recorded())
        {
            let live = LiveAnswer {
                interaction: self.id,
                task: self.begun.task.clone(),
                status: record.status.unwrap_or(InteractionStatus::Ok),
                output: record.output.clone(),
                keeps_texts: self.begun.content == RecordingContent::Everything,
            };
            shadow.start(&self.gateway, exposed, live);
        }
    }

    /// Tokens, and millionths of a USD, that count against limits. Where the provider's count did not arrive, as with a
    /// client that went away or a server that counts nothing, they are estimated.
    fn used(&self, record: &NewInteraction) -> (i64, i64) {
        let is_counted = match record.status {
            None | Some(InteractionStatus::Ok) => self.usage.output.is_some(),
            Some(InteractionStatus::Cancelled) => false,
            Some(_) => record.first_token_ms.is_none(),
        };
        let tokens =
            |usage: Usage| i64::from(usage.input.unwrap_or(0)) + i64::from(usage.output.unwrap_or(0));
        let known_micro_usd = record.cost_usd.unwrap_or(0.0) * 1e6;
        let Some(candidate) = self.answered_by.as_ref().filter(|_| !is_counted) else {
            return (tokens(self.usage), known_micro_usd.round() as i64);
        };
        let heard_bytes = record.output.as_ref().map_or(0, String::len)
            + record.reply.as_ref().map_or(0, |reply| reply.as_str().len());
        let usage = estimated(self.usage, &self.sent, heard_bytes);
        let model = self.answering_model.as_deref().unwrap_or(&candidate.model);
        let cost = self.gateway.prices().cost_micro_usd_of(candidate, model, &usage);
        (tokens(usage), cost.unwrap_or(known_micro_usd).round() as i64)
    }

    /// Whether the answer of the model behind a cascade is to be learned from.
    fn teaches(&self, record: &NewInteraction) -> bool {
        self.begun.task.kind == TaskKind::Classify
            && self.begun.task.policy.cascade.enabled
            && self.begun.content == RecordingContent::Everything
            && self.model_version.is_none()
            && record.label.is_some()
            && record.status.is_none()
    }

    /// The label that the model behind a cascade gave.
    fn learn_label(&self, record: &mut NewInteraction) {
        let policy = &self.begun.task.policy.cascade;
        if self.begun.task.kind != TaskKind::Classify
            || !policy.enabled
            || record.label.is_some()
            || record.status.is_some()
            || self.is_cut
        {
            return;
        }
        let known = self
            .verdict
            .as_ref()
            .and_then(|verdict| verdict.served.model.classifier());
        let known = known.map_or(&[][..], |classifier| &classifier.labels);
        let content = record.output.as_deref().unwrap_or_default();
        record.label = label_in(content, &policy.answer, known);
    }

    /// Counts what the task's cascade did with the request, and what it saved.
    fn count_cascade(&self, record: &NewInteraction) {
        let Some(verdict) = self.verdict.as_ref().filter(|_| record.status.is_none()) else {
            return;
        };
        let counted = Counted {
            version: ModelVersionId(verdict.served.version.id),
            task: self.begun.task.task_id(),
            project: self.begun.task.project(),
        };
        let mut counts = CascadeCounts::default();
        if verdict.answers() {
            counts.answered = 1;
            let known = self.gateway.tally().known(counted.version).unwrap_or_default();
            let passed = (known.passed_on + known.shadowed).max(1);
            counts.saved_tokens = known.passed_tokens / passed;
            counts.saved_micro_usd = known.passed_micro_usd / passed;
        } else {
            // An answer without a label says nothing of who is right.
            let shadow = record.label.as_deref().filter(|_| verdict.is_shadowed);
            counts.shadowed = i64::from(shadow.is_some());
            counts.passed_on = i64::from(shadow.is_none());
            counts.disagreed = i64::from(shadow.is_some_and(|label| label != verdict.label));
            counts.passed_tokens =
                i64::from(record.tokens_input.unwrap_or(0)) + i64::from(record.tokens_output.unwrap_or(0));
            counts.passed_micro_usd = record.cost_usd.map_or(0, |usd| (usd * 1e6).round() as i64);
        }
        for (decision, count) in [
            ("answered", counts.answered),
            ("passed_on", counts.passed_on),
            ("shadowed", counts.shadowed),
            ("disagreed", counts.disagreed),
        ] {
            metrics::counter!("hone_cascade_decisions_total", "decision" => decision)
                .increment(count.unsigned_abs());
        }
        metrics::counter!("hone_cascade_saved_tokens_total").increment(counts.saved_tokens.unsigned_abs());
        metrics::counter!("hone_cascade_saved_micro_usd_total")
            .increment(counts.saved_micro_usd.unsigned_abs());
        self.gateway.tally().add(counted, &counts);
    }

    /// Fills in and closes the span of the request.
    fn tell(&mut self, record: &NewInteraction) {
        let span = std::mem::replace(&mut self.begun.span, tracing::Span::none());
        if span.is_disabled() {
            return;
        }
        if let Some(candidate) = &self.answered_by {
            span.record("gen_ai.provider.name", candidate.provider.kind.as_str());
            span.record("gen_ai.response.model", candidate.model.as_str());
        }
        if let Some(tokens) = record.tokens_input {
            span.record("gen_ai.usage.input_tokens", tokens);
        }
        if let Some(tokens) = record.tokens_output {
            span.record("gen_ai.usage.output_tokens", tokens);
        }
        if let Some(error) = &record.error {
            span.record("error.type", error.as_str());
            span.record("otel.status_code", "ERROR");
        }
        if self.is_recorded() {
            span.record("hone.interaction_id", tracing::field::display(self.id));
        }
        // A span ends where it was left last.
        span.in_scope(|| {});
    }

    fn count(&self, record: &NewInteraction, elapsed: Duration) {
        let endpoint = self.begun.endpoint.name();
        let outcome = record.status.unwrap_or(InteractionStatus::Ok).as_str();
        let provider = match &self.answered_by {
            Some(candidate) if candidate.provider.is_of_project => "of_project".to_owned(),
            Some(candidate) => candidate.provider.name.clone(),
            None if record.model.is_some() => "local".to_owned(),
            None => "none".to_owned(),
        };
        metrics::counter!("hone_gateway_requests_total", "endpoint" => endpoint, "provider" => provider.clone(), "outcome" => outcome)
            .increment(1);
        metrics::histogram!("hone_gateway_request_seconds", "endpoint" => endpoint)
            .record(elapsed.as_secs_f64());
        metrics::histogram!("hone_gateway_upstream_seconds", "endpoint" => endpoint)
            .record(self.upstream.as_secs_f64());
        for (direction, tokens) in [("input", record.tokens_input), ("output", record.tokens_output)] {
            if let Some(tokens) = tokens {
                metrics::counter!("hone_gateway_tokens_total", "provider" => provider.clone(), "direction" => direction)
                    .increment(u64::from(tokens));
            }
        }
        if let Some(usd) = record.cost_usd {
            metrics::counter!("hone_gateway_cost_micro_usd_total", "provider" => provider)
                .increment((usd * 1e6).round() as u64);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(record) = &mut self.record {
            // The reply was never finished: the client has gone away.
            record.status = Some(InteractionStatus::Cancelled);
            record.error = Some("client_gone".to_owned());
            let in_queue = self.record();
            drop(in_queue);
        }
    }
}

/// What the outcome of recording means for a reply that waited for it.
fn judge(recorded: Result<Vec<hone_engine::Recorded>, hone_engine::EngineError>) -> Result<(), Refusal> {
    match recorded {
        Ok(recorded) => {
            if recorded
                .iter()
                .any(|recorded| recorded.outcome == RecordOutcome::Conflict)
            {
                tracing::warn!("an interaction id came again with another request; the first record stays");
            }
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, "an answered request was not recorded");
            let message =
                format!("the answer is there, but could not be recorded, and is not given without: {error}");
            Err(Refusal::new(RefusalKind::NotRecorded, message))
        }
    }
}

fn milliseconds(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e3
}

/// Everything but what was said and by whom.
pub(crate) fn without_texts(record: NewInteraction) -> NewInteraction {
    NewInteraction {
        input: String::new(),
        output: None,
        request: None,
        reply: None,
        structured_prompt: None,
        conversation: None,
        subject: None,
        ..record
    }
}

/// The same with texts that can be stored: no NUL characters, not too long.
pub(crate) fn storable(mut record: NewInteraction) -> NewInteraction {
    fit(&mut record.input);
    if let Some(output) = &mut record.output {
        fit(output);
    }
    record
}

fn fit(text: &mut String) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
}

/// A document to record: as it is, or, where it is very long, with the middle of its long strings left out.
fn document(text: &str) -> Option<JsonText> {
    // The escape is what a NUL looks like in JSON; PostgreSQL takes neither form where it reads the document.
    if text.len() <= MAX_DOCUMENT_BYTES {
        return JsonText::parse(text.to_owned());
    }
    let mut value: serde_json::Value = serde_json::from_str(text).ok()?;
    for longest in [4_096, 256] {
        shorten_strings(&mut value, longest);
        let shortened = value.to_string();
        if shortened.len() <= MAX_DOCUMENT_BYTES {
            return JsonText::parse(shortened);
        }
    }
    None
}

fn shorten_strings(value: &mut serde_json::Value, longest: usize) {
    match value {
        serde_json::Value::String(text) if text.len() > longest => {
            let kept = text.floor_char_boundary(longest / 2);
            *text = format!("{}… ({} bytes)", &text[..kept], text.len());
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| shorten_strings(item, longest)),
        serde_json::Value::Object(fields) => {
            fields
                .values_mut()
                .for_each(|item| shorten_strings(item, longest));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_document_loses_its_pictures_and_stays_json() {
        let picture = "A".repeat(1 << 20);
        let text =
            format!(r#"{{"messages":[{{"role":"user","content":"what is this?","image":"{picture}"}}]}}"#);
        let kept = document(&text).unwrap();
        assert!(kept.as_str().len() < 10_000);
        assert!(kept.as_str().contains("what is this?") && kept.as_str().contains("1048576 bytes"));
        assert_eq!(document("{\"a\": 1}").unwrap().as_str(), "{\"a\": 1}");
    }

    #[test]
    fn metadata_alone_has_no_texts_and_no_persons() {
        let full = NewInteraction {
            input: "secret".into(),
            output: Some("secret".into()),
            structured_prompt: Some("secret".into()),
            conversation: Some("secret".into()),
            request: JsonText::parse("\"secret\"".into()),
            reply: JsonText::parse("\"secret\"".into()),
            subject: Some(hone_domain::Identity {
                user_id: "secret".into(),
                ..Default::default()
            }),
            tokens_input: Some(3),
            ..NewInteraction::default()
        };
        let kept = without_texts(full);
        assert_eq!(kept.tokens_input, Some(3));
        assert!(!serde_json::to_string(&kept).unwrap().contains("secret"));
    }
}
