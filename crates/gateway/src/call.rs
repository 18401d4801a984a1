//! Asking a provider, again where that helps, and then the next one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hone_domain::{GatewayPolicy, Ids};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::TRACES;
use crate::body::{FieldChange, Fields, quoted};
use crate::endpoint::Endpoint;
use crate::refusal::{Refusal, RefusalKind};
use crate::reply::{Observed, observe};
use crate::route::{Candidate, uniform};
use crate::secret::Secret;
use crate::upstream::{UpstreamBody, UpstreamError};

/// The longest wait for one model while a client waits too.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// With another model at hand nobody waits longer for this one.
const MAX_WAIT_WITH_FALLBACK: Duration = Duration::from_secs(1);

/// A shorter wait for the first token is the task's own impatience.
const TELLING_TIMEOUT_MS: u64 = 5_000;

/// A request on its way to a model.
pub(crate) struct Call<'a> {
    pub endpoint: Endpoint,
    pub fields: &'a Fields<'a>,
    /// The body as the client sent it.
    pub original: &'a Bytes,
    /// Fields that differ from the client's.
    pub changes: Vec<FieldChange>,
    /// The model as the client named it.
    pub asked_model: &'a str,
    pub is_streamed: bool,
    /// Whether the client left the count of streamed tokens unasked for.
    pub may_count_tokens: bool,
    /// The client's headers that providers understand.
    pub forwarded: HeaderMap,
    pub candidates: &'a [Candidate],
    /// The key of a provider that the project brings itself.
    pub key: Option<Secret>,
    pub policy: &'a GatewayPolicy,
    pub max_reply_bytes: usize,
    pub started: Instant,
}

/// A provider's answer.
pub(crate) enum Reply {
    /// A whole one, good or an error of the provider.
    Whole {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
        observed: Observed,
    },
    /// A stream that has begun.
    Stream {
        headers: HeaderMap,
        first: Bytes,
        rest: UpstreamBody,
        /// Whether the count of tokens in it was asked for by us.
        is_usage_ours: bool,
    },
}

/// Who answered what.
pub(crate) struct Answered {
    pub candidate: Candidate,
    /// The JSON that was sent.
    pub sent: Bytes,
    pub reply: Reply,
    /// Whether it was asked again already, so that the client need not.
    pub is_repeated: bool,
}

/// Nobody answered.
pub(crate) struct Unanswered {
    pub refusal: Refusal,
    /// Who was asked last, and what it was sent.
    pub asked: Option<(Candidate, Bytes)>,
}

/// One attempt that did not succeed and may be repeated.
struct Setback {
    outcome: Box<Result<Reply, Refusal>>,
    retry_after: Option<Duration>,
    /// Whether it says something about the provider's health.
    is_failure: bool,
}

impl Call<'_> {
    /// Asks one model after the other until one answers. The last answer of a provider counts, errors too.
    pub async fn answer(&self, ids: &Ids) -> Result<Answered, Unanswered> {
        let deadline = self.started + Duration::from_millis(self.policy.total_timeout_ms);
        let mut last: Option<(Candidate, Bytes, Result<Reply, Refusal>)> = None;
        let mut is_repeated = false;
        for (position, candidate) in self.candidates.iter().enumerate() {
            let sent = self.body_for(candidate);
            let has_fallback = position + 1 < self.candidates.len();
            for attempt in 0..=self.policy.retries {
                if attempt == 0 && !candidate.breaker.lets_through(Instant::now()) {
                    break;
                }
                let span = tracing::info_span!(target: TRACES, "provider", otel.kind = "client", otel.status_code = Empty, error.r#type = Empty, provider = candidate.provider.name, model = candidate.model, attempt);
                let asking = self.attempt(candidate, &sent, deadline).instrument(span.clone());
                let setback = match asking.await {
                    Ok(reply) => {
                        candidate.breaker.succeeded();
                        return Ok(Answered {
                            candidate: candidate.clone(),
                            sent,
                            reply,
                            is_repeated: attempt > 0,
                        });
                    }
                    Err(setback) => setback,
                };
                note_failure(candidate, &setback, &span);
                let wait = setback
                    .retry_after
                    .unwrap_or_else(|| self.backoff(attempt, uniform(ids)));
                last = Some((candidate.clone(), sent.clone(), *setback.outcome));
                is_repeated |= attempt > 0;
                let longest = if has_fallback {
                    MAX_WAIT_WITH_FALLBACK
                } else {
                    MAX_WAIT
                };
                let is_last_attempt = attempt == self.policy.retries;
                if is_last_attempt || wait > longest || Instant::now() + wait >= deadline {
                    if setback.is_failure {
                        note_end(candidate);
                    }
                    break;
                }
                metrics::counter!("hone_gateway_retries_total", "provider" => candidate.provider.name.clone())
                    .increment(1);
                tokio::time::sleep(wait).await;
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        match last {
            Some((candidate, sent, Ok(reply))) => Ok(Answered {
                candidate,
                sent,
                reply,
                is_repeated,
            }),
            Some((candidate, sent, Err(refusal))) => Err(Unanswered {
                refusal: if is_repeated { refusal.not_to_be_repeated() } else { refusal },
                asked: Some((candidate, sent)),
            }),
            None => Err(Unanswered {
                refusal: Refusal::new(
                    RefusalKind::Unavailable,
                    "every model that may answer has failed several times in a row; try again in some seconds",
                )
                .retry_after(10),
                asked: None,
            }),
        }
    }

    /// The body for one model: the client's own bytes where nothing differs.
    fn body_for(&self, candidate: &Candidate) -> Bytes {
        let mut changes = self.changes.clone();
        if candidate.model != self.asked_model {
            changes.push(("model".into(), Some(quoted(&candidate.model))));
        }
        if self.counts_tokens(candidate) {
            changes.push((
                "stream_options".into(),
                Some(r#"{"include_usage":true}"#.to_owned()),
            ));
        }
        if changes.is_empty() {
            return self.original.clone();
        }
        self.fields.write(&changes)
    }

    fn counts_tokens(&self, candidate: &Candidate) -> bool {
        self.may_count_tokens && candidate.provider.counts_streamed_tokens
    }

    /// The key that the project brings, for its own provider.
    fn key_for(&self, candidate: &Candidate) -> Option<&Secret> {
        self.key.as_ref().filter(|_| candidate.provider.is_of_project)
    }

    async fn attempt(
        &self,
        candidate: &Candidate,
        sent: &Bytes,
        deadline: Instant,
    ) -> Result<Reply, Setback> {
        let first_token = Duration::from_millis(self.policy.first_token_timeout_ms);
        let first_byte_by = deadline.min(Instant::now() + first_token);
        let key = self.key_for(candidate);
        let request = candidate
            .provider
            .request(
                self.endpoint,
                &candidate.model,
                &self.forwarded,
                key,
                sent.clone(),
            )
            .map_err(|refusal| Setback {
                outcome: Box::new(Err(refusal)),
                retry_after: None,
                is_failure: false,
            })?;
        let response = match timeout_at(first_byte_by, candidate.provider.upstream().send(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure(unreachable(candidate, &*error))),
            Err(_) => return Err(self.timed_out(candidate)),
        };
        let (parts, mut body) = response.into_parts();
        if let Some(encoding) = parts
            .headers
            .get(CONTENT_ENCODING)
            .filter(|encoding| *encoding != "identity")
        {
            let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
            let message = format!(
                "the reply of {} is encoded as {encoding}, which was not asked for",
                candidate.shown()
            );
            return Err(failure(Refusal::new(RefusalKind::BadReply, message)));
        }
        let is_event_stream = parts
            .headers
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        if parts.status.is_success() && self.is_streamed && is_event_stream {
            let first = match timeout_at(first_byte_by, next_data(&mut body)).await {
                Ok(Ok(Some(first))) => first,
                Ok(Ok(None)) => return Err(failure(broken_off(candidate, "before it began"))),
                Ok(Err(error)) => return Err(failure(broken_off(candidate, &error.to_string()))),
                Err(_) => return Err(self.timed_out(candidate)),
            };
            return Ok(Reply::Stream {
                headers: parts.headers,
                first,
                rest: body,
                is_usage_ours: self.counts_tokens(candidate),
            });
        }
        let whole = match timeout_at(deadline, read_whole(&mut body, self.max_reply_bytes)).await {
            Ok(Ok(whole)) => whole,
            Ok(Err(ReadProblem::TooLarge)) => {
                let message = format!(
                    "the reply of {} is larger than {} bytes, which is the most that is taken",
                    candidate.shown(),
                    self.max_reply_bytes
                );
                return Err(failure(Refusal::new(RefusalKind::BadReply, message)));
            }
            Ok(Err(ReadProblem::Broken(error))) => {
                return Err(failure(broken_off(candidate, &error.to_string())));
            }
            Err(_) => return Err(self.timed_out(candidate)),
        };
        self.judge(candidate, parts, whole)
    }

    /// What a whole reply means: an answer, an error that is passed on, or a reason to ask again.
    fn judge(
        &self,
        candidate: &Candidate,
        parts: http::response::Parts,
        body: Bytes,
    ) -> Result<Reply, Setback> {
        let status = parts.status;
        let observed = observe(self.endpoint, &body);
        if status.is_success() {
            let Some(observed) = observed else {
                let message = format!("the reply of {} is no JSON object", candidate.shown());
                return Err(failure(Refusal::new(RefusalKind::BadReply, message)));
            };
            return Ok(Reply::Whole {
                status,
                headers: parts.headers,
                body,
                observed,
            });
        }
        let retry_after = retry_after(&parts.headers);
        let body = candidate.provider.without_key(self.key_for(candidate), body);
        let reply = Reply::Whole {
            status,
            headers: parts.headers,
            observed: Observed::of_error(&body),
            body,
        };
        let is_worth_repeating = matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS
        ) || status.is_server_error();
        if is_worth_repeating {
            return Err(Setback {
                outcome: Box::new(Ok(reply)),
                retry_after,
                is_failure: status.is_server_error(),
            });
        }
        Ok(reply)
    }

    /// A timeout so short says more of the task than of the model, which other tasks ask too.
    fn timed_out(&self, candidate: &Candidate) -> Setback {
        let message = format!("{} did not answer in time", candidate.shown());
        Setback {
            is_failure: self.policy.first_token_timeout_ms >= TELLING_TIMEOUT_MS,
            ..failure(Refusal::new(RefusalKind::Timeout, message))
        }
    }

    /// Doubled each time, at most `MAX_WAIT`, with a jitter of half of it so that clients do not come back together.
    fn backoff(&self, attempt: u32, draw: f64) -> Duration {
        let doubled = self.policy.backoff_ms.saturating_mul(1 << attempt.min(16));
        let longest = Duration::from_millis(doubled).min(MAX_WAIT);
        longest.mul_f64(0.5 + draw / 2.0)
    }
}

fn note_failure(candidate: &Candidate, setback: &Setback, span: &tracing::Span) {
    let kind = match &*setback.outcome {
        Ok(Reply::Whole { status, .. }) => status.as_str().to_owned(),
        Ok(Reply::Stream { .. }) => return,
        Err(refusal) => refusal.kind.code().to_owned(),
    };
    span.record("error.type", kind.as_str());
    span.record("otel.status_code", "ERROR");
    let provider = candidate.provider.name.clone();
    tracing::warn!(
        provider,
        model = candidate.model,
        kind,
        "a provider did not answer"
    );
    metrics::counter!("hone_gateway_errors_total", "provider" => provider, "kind" => kind).increment(1);
}

/// Notes that a request failed with all its repetitions.
fn note_end(candidate: &Candidate) {
    if candidate.breaker.failed(Instant::now()) {
        tracing::error!(
            provider = candidate.provider.name,
            model = candidate.model,
            "a model fails again and again; it is left alone for a while"
        );
    }
}

/// The next piece of a body that holds data.
pub(crate) async fn next_data(body: &mut UpstreamBody) -> Result<Option<Bytes>, UpstreamError> {
    loop {
        let frame = std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context)).await;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(error),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

enum ReadProblem {
    TooLarge,
    Broken(UpstreamError),
}

async fn read_whole(body: &mut UpstreamBody, limit: usize) -> Result<Bytes, ReadProblem> {
    let first = next_data(body)
        .await
        .map_err(ReadProblem::Broken)?
        .unwrap_or_default();
    let mut whole = BytesMut::new();
    let mut piece = first;
    loop {
        if whole.len() + piece.len() > limit {
            return Err(ReadProblem::TooLarge);
        }
        match next_data(body).await.map_err(ReadProblem::Broken)? {
            // Most replies come in one piece, which is not copied.
            None if whole.is_empty() => return Ok(piece),
            None => {
                whole.extend_from_slice(&piece);
                return Ok(whole.freeze());
            }
            Some(next) => {
                whole.extend_from_slice(&piece);
                piece = next;
            }
        }
    }
}

/// How long a provider asks to be left alone.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let milliseconds = number("retry-after-ms").or_else(|| Some(number("retry-after")? * 1_000.0))?;
    Duration::try_from_secs_f64(milliseconds / 1_000.0).ok()
}

fn failure(refusal: Refusal) -> Setback {
    Setback {
        outcome: Box::new(Err(refusal)),
        retry_after: None,
        is_failure: true,
    }
}

fn broken_off(candidate: &Candidate, problem: &str) -> Refusal {
    let message = format!("the reply of {} broke off: {problem}", candidate.shown());
    Refusal::new(RefusalKind::BadReply, message)
}

/// The causes of a failed connection without its URL, which is nobody's business but the operator's.
fn unreachable(candidate: &Candidate, error: &(dyn std::error::Error + 'static)) -> Refusal {
    let mut cause = error.source();
    let mut innermost = if error.is::<reqwest::Error>() {
        "the connection failed".to_owned()
    } else {
        error.to_string()
    };
    while let Some(error) = cause {
        innermost = error.to_string();
        cause = error.source();
    }
    let message = format!("{} cannot be reached: {innermost}", candidate.shown());
    Refusal::new(RefusalKind::Unreachable, message)
}
