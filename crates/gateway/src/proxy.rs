//! One request through the gateway: read, admitted, passed on, listened to, recorded.

use std::sync::Arc;

use bytes::Bytes;
use hone_domain::{ProjectId, RecordingContent, TaskKind, TaskPolicy};
use hone_engine::EngineError;
use hone_storage::tasks::Task;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::time::{Duration, Instant};
use tracing::Instrument as _;

use crate::TRACES;
use crate::body::Fields;
use crate::call::{Answered, Call, Reply, Unanswered};
use crate::context::RequestContext;
use crate::endpoint::{Dialect, Endpoint};
use crate::exchange::Exchange;
use crate::gateway::{Gateway, GatewayCaller};
use crate::limits::LimitedOwner;
use crate::question::question;
use crate::refusal::{Refusal, RefusalKind};
use crate::route::{Candidate, in_order_of_asking, uniform};
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
            Err(refusal) => refuse(&refusal, endpoint.dialect()),
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
        let asked_model = fields.text("model").ok_or_else(|| {
            let message = "the field model is missing or no text; write provider/model or task:<name>";
            Refusal::new(RefusalKind::Invalid, message)
        })?;
        let project = caller.project();
        let task = self.task_of(project, endpoint, &asked_model, &context).await?;
        let candidates = self.candidates(project, endpoint, &asked_model, &task).await?;
        if candidates
            .iter()
            .any(|candidate| candidate.provider.is_of_project)
            && context.provider_key.is_none()
        {
            let message = "this provider's key is not kept here; send it as x-hone-provider-key";
            return Err(Refusal::new(RefusalKind::Unauthorized, message));
        }
        let content = self.recording_content(&task, context.is_opted_out);
        if content != RecordingContent::Nothing && !self.engine().recorder().has_room() {
            let message = "the queue of records is full; try again in a second";
            return Err(Refusal::new(RefusalKind::QueueFull, message).retry_after(1));
        }
        let owners = limited_owners(caller, &task);
        let admission = if owners.is_empty() {
            crate::limits::Admission::default()
        } else {
            let now_us = self.engine().ids.now_us();
            self.limits().admit(project, &owners, now_us).await?
        };
        let is_streamed = fields.get("stream") == Some("true");
        let span = span_of(endpoint, &asked_model, &task, &context);
        let changes = context.changes.clone();
        let key = context.provider_key.clone();
        let question = question(endpoint, &fields);
        let mut exchange = Exchange::begin(
            self.clone(),
            endpoint,
            task.clone(),
            caller.pseudonym_key,
            content,
            admission,
            started,
            context,
            question,
            span.clone(),
        );
        let call = Call {
            endpoint,
            fields: &fields,
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
            Err(Unanswered { refusal, asked }) => {
                if let Some((candidate, sent)) = asked {
                    exchange.asked(&candidate, &sent);
                }
                exchange.failed(refusal.kind.code());
                let id = exchange.is_recorded().then_some(exchange.id);
                if let Some(wait) = exchange.record() {
                    wait.await?;
                }
                let mut response = refuse(&refusal, endpoint.dialect());
                if let Some(id) = id {
                    response
                        .headers_mut()
                        .insert(INTERACTION_ID, header_of(&id.to_string()));
                }
                Ok(response)
            }
        }
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
        } = answered;
        exchange.asked(&candidate, &sent);
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
                    candidate.provider.clone(),
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
        if let Some(id) = id {
            headers.insert(INTERACTION_ID, header_of(&id.to_string()));
        }
        Ok(response)
    }

    /// The task that a request belongs to: the one it asks for, the one it names beside a model, or the default one.
    async fn task_of(
        &self,
        project: ProjectId,
        endpoint: Endpoint,
        asked_model: &str,
        context: &RequestContext,
    ) -> Result<Arc<Task>, Refusal> {
        let asked = asked_model.strip_prefix("task:").or(context.task.as_deref());
        if let Some(name) = asked {
            return self.engine().get_task(project, name).await.map_err(|error| match error {
                EngineError::NotFound { .. } => {
                    let message = format!("task \"{name}\" does not exist; `hone task create {name} --kind generate` makes it");
                    Refusal::new(RefusalKind::NotFound, message)
                }
                other => unavailable(&other),
            });
        }
        let default_task = &self.settings().default_task;
        if endpoint == Endpoint::Embeddings {
            return self
                .default_task(project, &format!("{default_task}-embeddings"))
                .await;
        }
        self.default_task(project, default_task).await
    }

    /// A task for requests that name none, made with the first of them.
    pub(crate) async fn default_task(&self, project: ProjectId, name: &str) -> Result<Arc<Task>, Refusal> {
        match self.engine().get_task(project, name).await {
            Err(EngineError::NotFound { .. }) => {}
            found => return found.map_err(|error| unavailable(&error)),
        }
        let made = self
            .engine()
            .create_task(project, name, TaskKind::Generate, TaskPolicy::default(), None)
            .await;
        match made {
            Ok(task) => Ok(Arc::new(task)),
            // Another request was faster.
            Err(EngineError::Conflict(_)) => {
                let found = self.engine().get_task(project, name).await;
                found.map_err(|error| unavailable(&error))
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn candidates(
        &self,
        project: ProjectId,
        endpoint: Endpoint,
        asked_model: &str,
        task: &Task,
    ) -> Result<Vec<Candidate>, Refusal> {
        if !asked_model.starts_with("task:") {
            return Ok(vec![self.candidate(project, endpoint, asked_model).await?]);
        }
        let routes = &task.policy.gateway.models;
        if routes.is_empty() {
            let message = format!(
                "task \"{0}\" has no models; name some: hone task set {0} '{{\"gateway\":{{\"models\":[{{\"model\":\"openai/gpt-4o-mini\"}}]}}}}'",
                task.name
            );
            return Err(Refusal::new(RefusalKind::Invalid, message));
        }
        let mut candidates = Vec::with_capacity(routes.len());
        for route in in_order_of_asking(routes, &self.engine().ids) {
            candidates.push(self.candidate(project, endpoint, &route.model).await?);
        }
        Ok(candidates)
    }

    fn recording_content(&self, task: &Task, is_opted_out: bool) -> RecordingContent {
        let policy = &task.policy.recording;
        let draw = if policy.share < 1.0 {
            uniform(&self.engine().ids)
        } else {
            0.0
        };
        policy.content_of(is_opted_out, draw)
    }
}

/// The span of a request, with the names of OpenTelemetry's GenAI conventions; what comes later is filled in when the
/// request is recorded.
fn span_of(endpoint: Endpoint, asked_model: &str, task: &Task, context: &RequestContext) -> tracing::Span {
    use tracing::field::Empty;
    tracing::info_span!(
        target: TRACES,
        "gateway",
        otel.name = %format_args!("{} {asked_model}", endpoint.name()),
        otel.kind = "server",
        otel.status_code = Empty,
        gen_ai.operation.name = if endpoint == Endpoint::Embeddings { "embeddings" } else { "chat" },
        gen_ai.request.model = asked_model,
        gen_ai.conversation.id = context.conversation,
        gen_ai.provider.name = Empty,
        gen_ai.response.model = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        error.r#type = Empty,
        hone.task = task.name,
        hone.interaction_id = Empty,
    )
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

fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let mut forwarded = HeaderMap::with_capacity(4);
    for name in FORWARDED {
        if let Some(value) = headers.get(name) {
            forwarded.insert(HeaderName::from_static(name), value.clone());
        }
    }
    forwarded
}

fn unavailable(error: &EngineError) -> Refusal {
    tracing::error!(%error, "a request cannot be placed");
    Refusal::new(
        RefusalKind::Unavailable,
        "the database does not answer; try again",
    )
    .retry_after(1)
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
        if seconds > LONG_WAIT_S {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
    }
    response
}

/// A header's value; what a header cannot hold is left empty.
fn header_of(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
