//! One request through the gateway: read, admitted, passed on, listened to, recorded.

use std::sync::Arc;

use bytes::Bytes;
use hone_domain::{RecordingContent, SECOND_US, TaskPolicy};
use hone_engine::{EngineError, NearExample, Prompt, Routed};
use hone_storage::tasks::Task;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::time::{Duration, Instant};
use tracing::Instrument as _;

use crate::body::{FieldChange, Fields};
use crate::call::{Answered, Call, Reply, Unanswered};
use crate::cascade::{LocalReply, Verdict, is_one_question};
use crate::context::RequestContext;
use crate::endpoint::{Dialect, Endpoint};
use crate::exchange::{Begun, Exchange};
use crate::gateway::{Gateway, GatewayCaller};
use crate::limits::{Admission, LimitedOwner};
use crate::prompting::{OURS, Rendered, ours};
use crate::question::question;
use crate::refusal::{Refusal, RefusalKind};
use crate::route::uniform;
use crate::shadow::{Question, ShadowRequest};
use crate::span::span_of;
use crate::stream::{ReplyBody, StreamedReply};

/// Tells the client which interaction this was.
const INTERACTION_ID: HeaderName = HeaderName::from_static("x-hone-interaction-id");
/// Tells the client which model answered.
const ANSWERED_BY: HeaderName = HeaderName::from_static("x-hone-model");
/// Tells the SDKs not to send the request again by themselves.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// A wait beyond which an SDK should not try again by itself.
const LONG_WAIT_S: u64 = 60;

/// The client's headers that providers understand.
const FORWARDED: [&str; 9] = [
    "accept",
    "anthropic-beta",
    "anthropic-version",
    "idempotency-key",
    "openai-beta",
    "openai-organization",
    "openai-project",
    "x-client-request-id",
    "traceparent",
];

/// Headers of a provider's reply that are about its connection and not about its answer.
const NOT_PASSED_BACK: [&str; 12] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request as it came.
pub(crate) struct AskedRequest<'a> {
    pub endpoint: Endpoint,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
    /// The body's fields.
    pub fields: &'a Fields<'a>,
    pub started: Instant,
}

/// What a task makes of a request before anybody is asked.
#[derive(Debug, Default)]
struct Plan {
    question: String,
    changes: Vec<FieldChange>,
    /// The model of the version that serves.
    model: Option<String>,
    /// The version that was chosen, where there is one.
    routed: Option<Routed>,
    /// The prompt that was made.
    prompt: Option<String>,
    /// What a shadow is to be asked.
    shadow: Option<ShadowRequest>,
    /// What the task's own classifier says.
    verdict: Option<Verdict>,
}

impl Gateway {
    /// Answers a request of this endpoint. Refusals come in the shape that the endpoint's SDKs understand.
    pub async fn proxy(
        &self,
        caller: &GatewayCaller,
        endpoint: Endpoint,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response<ReplyBody> {
        match self.answer(caller, endpoint, headers, &body).await {
            Ok(response) => response,
            Err(refusal) => refuse_asked(&refusal, endpoint),
        }
    }

    async fn answer(
        &self,
        caller: &GatewayCaller,
        endpoint: Endpoint,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let started = Instant::now();
        let fields = Fields::read(body)?;
        let context = RequestContext::read(headers, &fields)?;
        let asked = AskedRequest {
            endpoint,
            headers,
            body,
            fields: &fields,
            started,
        };
        self.answer_in(caller, &asked, context).await
    }

    /// Answers a request of which everything that is said beside it is known.
    pub(crate) async fn answer_in(
        &self,
        caller: &GatewayCaller,
        asked: &AskedRequest<'_>,
        context: RequestContext,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let &AskedRequest {
            endpoint,
            headers,
            body,
            fields,
            started,
        } = asked;
        let asked_model = fields.text("model").ok_or_else(|| {
            let message = "the field model is missing or no text; write provider/model or task:<name>";
            Refusal::new(RefusalKind::Invalid, message)
        })?;
        let project = caller.project();
        let task = self.task_of(project, endpoint, &asked_model, &context).await?;
        let plan = self
            .plan(&task, endpoint, &asked_model, body, fields, &context)
            .await?;
        let candidates = self
            .candidates(
                project,
                endpoint,
                &asked_model,
                &task,
                plan.model.as_deref(),
                &context,
            )
            .await
            .inspect_err(|_| {
                // A version whose model cannot be asked fails, though nobody was.
                if let Some(routed) = &plan.routed {
                    self.engine().note_call(&task, routed.served.version.id, false);
                }
            })?;
        let content = self.recording_content(&task, context.is_opted_out);
        if content != RecordingContent::Nothing && !self.engine().recorder().has_room() {
            let message = "the queue of records is full; try again in a second";
            return Err(Refusal::new(RefusalKind::QueueFull, message).retry_after(1));
        }
        let admission = self.admit(caller, &task).await?;
        let is_streamed = fields.get("stream") == Some("true");
        let span = span_of(endpoint, &asked_model, &task, &context, headers);
        let mut changes = context.changes.clone();
        changes.extend(plan.changes);
        let shadow = self
            .shadow_call(caller, &task, asked, &asked_model, &context, plan.shadow)
            .await;
        let key = context.provider_key.clone();
        let begun = Begun {
            endpoint,
            task: task.clone(),
            privacy: caller.privacy.clone(),
            content,
            admission,
            started,
            span: span.clone(),
        };
        let mut exchange = Exchange::begin(self.clone(), begun, context, plan.question);
        if let Some(prompt) = plan.prompt {
            exchange.prompted(plan.routed, prompt, shadow);
        }
        if let Some(verdict) = plan.verdict {
            exchange.judged(verdict.clone());
            if verdict.answers() {
                return self
                    .answer_locally(exchange, endpoint, is_streamed, &task, &verdict)
                    .await;
            }
        }
        if let Some(first) = candidates.first() {
            exchange.asking(first, body.clone());
        }
        let call = Call {
            endpoint,
            fields,
            original: body,
            changes,
            asked_model: &asked_model,
            is_streamed,
            may_count_tokens: is_streamed
                && endpoint == Endpoint::ChatCompletions
                && fields.get("stream_options").is_none(),
            forwarded: forwarded(headers),
            candidates: &candidates,
            key,
            policy: &task.policy.gateway,
            max_reply_bytes: self.settings().max_reply_bytes,
            started,
        };
        let asked_at = Instant::now();
        let answered = call.answer(&self.engine().ids).instrument(span).await;
        exchange.waited(asked_at.elapsed());
        match answered {
            Ok(answered) => {
                self.reply(exchange, endpoint, answered, &task.policy, started)
                    .await
            }
            Err(unanswered) => self.reply_unanswered(exchange, endpoint, unanswered).await,
        }
    }

    /// What the task makes of a request before anybody is asked: the prompt of its version, or the word of its classifier.
    async fn plan(
        &self,
        task: &Arc<Task>,
        endpoint: Endpoint,
        asked_model: &str,
        body: &Bytes,
        fields: &Fields<'_>,
        context: &RequestContext,
    ) -> Result<Plan, Refusal> {
        if let Some(prepared) = &context.prepared {
            return Ok(Plan {
                question: prepared.question.clone(),
                model: prepared.model.clone(),
                prompt: Some(prepared.prompt.clone()),
                routed: prepared.routed.clone(),
                shadow: prepared.shadow.clone(),
                ..Plan::default()
            });
        }
        let ours = ours(fields)?;
        let mut plan = Plan {
            question: question(endpoint, fields),
            ..Plan::default()
        };
        if fields.get(OURS).is_some() {
            plan.changes.push((OURS.into(), None));
        }
        if !asked_model.starts_with("task:") || endpoint == Endpoint::Embeddings {
            return Ok(plan);
        }
        let Ok(routed) = self.engine().route(task, &context.traffic_key()) else {
            return Ok(plan);
        };
        if routed.served.model.prompt().is_none() {
            if is_one_question(endpoint, fields, &task.policy.cascade.answer) {
                plan.verdict = self.cascade_verdict(task, &routed, &plan.question).await;
            }
            return Ok(plan);
        }
        let (routed, rendered) = self.rendered(task, routed, ours.inputs.as_ref())?;
        let Some(prompt) = routed.served.model.prompt() else {
            return Ok(plan);
        };
        if plan.question.is_empty() {
            plan.question = rendered.question().unwrap_or_default().to_owned();
        }
        let near = self.examples_for(task, prompt, &plan.question).await;
        plan.changes
            .extend(rendered.changes(endpoint, fields, prompt, &near)?);
        plan.model = Some(prompt.spec.model.clone());
        plan.prompt = Some(rendered.as_text());
        let asked = Question {
            endpoint,
            fields,
            original: body,
            inputs: ours.inputs,
            text: &plan.question,
        };
        plan.shadow = self.shadow_request(task, &routed, asked).await;
        plan.routed = Some(routed);
        Ok(plan)
    }

    /// The prompt of the version that was chosen. Where a new one cannot take inputs that the live one takes, the live one answers, and
    /// the new one has failed.
    fn rendered(
        &self,
        task: &Task,
        routed: Routed,
        inputs: Option<&serde_json::Value>,
    ) -> Result<(Routed, Rendered), Refusal> {
        let missing = || Refusal::new(RefusalKind::Internal, "the version that serves has no prompt");
        let of = |routed: &Routed| match routed.served.model.prompt() {
            Some(prompt) => Rendered::new(prompt, inputs.cloned()),
            None => Err(missing()),
        };
        match of(&routed) {
            Ok(rendered) => Ok((routed, rendered)),
            Err(refusal) if routed.is_new() => {
                let live = self.engine().served(task).map_err(|_| missing())?;
                let by_live = Routed::by_live(live);
                let rendered = of(&by_live)?;
                self.engine().note_call(task, routed.served.version.id, false);
                tracing::warn!(
                    task = task.name,
                    version = routed.served.version.version,
                    refusal.message,
                    "a new version cannot take what the live one takes"
                );
                Ok((by_live, rendered))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// The rated examples that a prompt wants beside a question; none where they cannot be looked up.
    pub(crate) async fn examples_for(
        &self,
        task: &Task,
        prompt: &Prompt,
        question: &str,
    ) -> Vec<NearExample> {
        let wanted = &prompt.spec.examples;
        let found = self
            .engine()
            .nearest_examples(task.task_id(), question, wanted.k, wanted.min_similarity)
            .await;
        found.unwrap_or_else(|error| {
            tracing::error!(task = task.name, %error, "examples cannot be looked up; the request goes without");
            Vec::new()
        })
    }

    /// Counts the request against budgets and rate limits, or refuses it.
    pub(crate) async fn admit(&self, caller: &GatewayCaller, task: &Task) -> Result<Admission, Refusal> {
        let owners = limited_owners(caller, task);
        if owners.is_empty() {
            return Ok(Admission::default());
        }
        let now_us = self.engine().ids.now_us();
        self.limits().admit(caller.project(), &owners, now_us).await
    }

    /// Answers with the label of the task's own classifier.
    async fn answer_locally(
        &self,
        mut exchange: Exchange,
        endpoint: Endpoint,
        is_streamed: bool,
        task: &Task,
        verdict: &Verdict,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let content = verdict.content(&task.policy.cascade.answer);
        let (id, model) = (exchange.id, verdict.model(task));
        let is_recorded = exchange.is_recorded();
        exchange.answered_locally(verdict, &content);
        if let Some(wait) = exchange.record() {
            wait.await?;
        }
        let created_s = self.engine().ids.now_us() / SECOND_US;
        let reply = LocalReply {
            id,
            is_recorded,
            model: &model,
            content: &content,
            created_s,
        };
        let body = reply.body(endpoint, is_streamed);
        let mut response = Response::new(ReplyBody::whole(body));
        let content_type = if is_streamed {
            "text/event-stream"
        } else {
            "application/json"
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(ANSWERED_BY, header_of(&model));
        if is_recorded {
            headers.insert(INTERACTION_ID, header_of(&id.to_string()));
        }
        Ok(response)
    }

    /// Says that nobody answered, and records it.
    async fn reply_unanswered(
        &self,
        mut exchange: Exchange,
        endpoint: Endpoint,
        unanswered: Unanswered,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let Unanswered { refusal, asked } = unanswered;
        if let Some((candidate, sent)) = asked {
            exchange.asked(&candidate, sent);
        }
        exchange.failed(refusal.kind.code());
        let id = exchange.is_recorded().then_some(exchange.id);
        if let Some(wait) = exchange.record() {
            wait.await?;
        }
        let mut response = refuse(&refusal, endpoint.dialect());
        if let Some(id) = id {
            let id = header_of(&id.to_string());
            let headers = response.headers_mut();
            // What the SDKs show as the id of a request that failed.
            headers.insert(endpoint.dialect().request_id_header(), id.clone());
            headers.insert(INTERACTION_ID, id);
        }
        Ok(response)
    }

    async fn reply(
        &self,
        mut exchange: Exchange,
        endpoint: Endpoint,
        answered: Answered,
        policy: &TaskPolicy,
        started: Instant,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let Answered {
            candidate,
            sent,
            reply,
            is_repeated,
        } = answered;
        exchange.asked(&candidate, sent);
        let id = exchange.is_recorded().then_some(exchange.id);
        let (status, headers, body) = match reply {
            Reply::Whole {
                status,
                headers,
                body,
                observed,
            } => {
                exchange.heard(observed);
                if !status.is_success() {
                    exchange.failed(&format!("provider_{}", status.as_u16()));
                }
                if let Some(wait) = exchange.record() {
                    wait.await?;
                }
                (status, headers, ReplyBody::whole(body))
            }
            Reply::Stream {
                headers,
                first,
                rest,
                is_usage_ours,
            } => {
                exchange.first_token();
                let deadline = started + Duration::from_millis(policy.gateway.total_timeout_ms);
                let stream = StreamedReply::new(
                    exchange,
                    endpoint,
                    candidate.clone(),
                    is_usage_ours,
                    first,
                    rest,
                    deadline,
                    self.settings().max_reply_bytes,
                );
                (StatusCode::OK, headers, ReplyBody::stream(stream))
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        let headers = response.headers_mut();
        for name in NOT_PASSED_BACK {
            headers.remove(name);
        }
        headers.insert(ANSWERED_BY, header_of(&candidate.shown()));
        if is_repeated && !status.is_success() {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if let Some(id) = id {
            headers.insert(INTERACTION_ID, header_of(&id.to_string()));
        }
        Ok(response)
    }

    pub(crate) fn recording_content(&self, task: &Task, is_opted_out: bool) -> RecordingContent {
        let policy = &task.policy.recording;
        let draw = if policy.share < 1.0 {
            uniform(&self.engine().ids)
        } else {
            0.0
        };
        policy.content_of(is_opted_out, draw)
    }
}

fn limited_owners(caller: &GatewayCaller, task: &Task) -> Vec<LimitedOwner> {
    let mut owners = caller.limited_owners();
    if !task.policy.limits.is_unlimited() {
        owners.push(LimitedOwner {
            id: task.id,
            shown: format!("task \"{}\"", task.name),
            limits: task.policy.limits,
        });
    }
    owners
}

pub(crate) fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let mut forwarded = HeaderMap::with_capacity(4);
    for name in FORWARDED {
        if let Some(value) = headers.get(name) {
            forwarded.insert(HeaderName::from_static(name), value.clone());
        }
    }
    forwarded
}

pub(crate) fn unavailable(error: &EngineError) -> Refusal {
    Refusal::of_database("a request cannot be placed", &error).retry_after(1)
}

/// The same as [`refuse`] at an endpoint of models, counted.
pub fn refuse_asked(refusal: &Refusal, endpoint: Endpoint) -> Response<ReplyBody> {
    metrics::counter!("hone_gateway_refusals_total", "endpoint" => endpoint.name(), "kind" => refusal.kind.code())
        .increment(1);
    refuse(refusal, endpoint.dialect())
}

/// The response that says why there is no answer.
pub fn refuse(refusal: &Refusal, dialect: Dialect) -> Response<ReplyBody> {
    let body = refusal.body(dialect);
    let mut response = Response::new(ReplyBody::whole(body.clone()));
    *response.status_mut() = refusal.kind.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if refusal.is_final || refusal.retry_after_s.is_some_and(|seconds| seconds > LONG_WAIT_S) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    response
}

/// A header's value; what a header cannot hold is left empty.
fn header_of(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
