//! The body of a reply. A stream passes through as it comes; it is listened to, gets the interaction's id into its last
//! answering event, and ends with an error that the SDKs understand when the provider breaks off.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::breaker::Breaker;
use crate::endpoint::Endpoint;
use crate::events::{EventBuffer, data_of, split, with_field};
use crate::exchange::{Exchange, RecordingWait};
use crate::provider::Provider;
use crate::refusal::{Refusal, RefusalKind};
use crate::route::Candidate;
use crate::transcript::{EventRole, Transcript};
use crate::upstream::UpstreamBody;

/// The body of a gateway's reply.
#[derive(Debug)]
pub struct ReplyBody(Inner);

enum Inner {
    Whole(Option<Bytes>),
    Stream(Box<StreamedReply>),
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole",
            Self::Stream(_) => "Stream",
        })
    }
}

impl ReplyBody {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self(Inner::Whole(Some(bytes)))
    }

    /// The bytes of a reply that is whole.
    pub fn into_whole(self) -> Option<Bytes> {
        match self.0 {
            Inner::Whole(bytes) => bytes,
            Inner::Stream(_) => None,
        }
    }

    pub(crate) fn stream(reply: StreamedReply) -> Self {
        Self(Inner::Stream(Box::new(reply)))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.0 {
            Inner::Whole(bytes) => bytes.take(),
            Inner::Stream(reply) => ready!(reply.poll_piece(context)),
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Inner::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Inner::Stream(_) => SizeHint::default(),
        }
    }
}

/// A stream on its way to the client.
pub(crate) struct StreamedReply {
    exchange: Exchange,
    endpoint: Endpoint,
    provider: Arc<Provider>,
    breaker: Arc<Breaker>,
    transcript: Transcript,
    buffer: EventBuffer,
    /// The first piece, which was waited for before the reply began.
    first: Option<Bytes>,
    upstream: Option<UpstreamBody>,
    deadline: Pin<Box<Sleep>>,
    bytes_left: usize,
    state: State,
}

enum State {
    Passing,
    /// The end is held back until the record is written.
    Recording(RecordingWait, Bytes),
    /// Recorded; whatever the provider still sends passes.
    Recorded,
    Ended,
}

impl StreamedReply {
    #[expect(clippy::too_many_arguments, reason = "each is another part of the stream")]
    pub fn new(
        exchange: Exchange,
        endpoint: Endpoint,
        candidate: Candidate,
        is_usage_ours: bool,
        first: Bytes,
        upstream: UpstreamBody,
        deadline: Instant,
        max_bytes: usize,
    ) -> Self {
        Self {
            exchange,
            endpoint,
            provider: candidate.provider,
            breaker: candidate.breaker,
            transcript: Transcript::new(endpoint, is_usage_ours),
            buffer: EventBuffer::default(),
            first: Some(first),
            upstream: Some(upstream),
            deadline: Box::pin(tokio::time::sleep_until(deadline)),
            bytes_left: max_bytes,
            state: State::Passing,
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Recording(wait, held) => {
                    let recorded = ready!(wait.as_mut().poll(context));
                    let held = std::mem::take(held);
                    let Err(refusal) = recorded else {
                        self.state = State::Recorded;
                        return Poll::Ready(Some(held));
                    };
                    self.end();
                    return Poll::Ready(Some(Bytes::from(refusal.event(self.endpoint.dialect()))));
                }
                State::Passing | State::Recorded => {}
            }
            let piece = match self.first.take() {
                Some(first) => Some(Ok(first)),
                None => ready!(self.poll_upstream(context)),
            };
            let given = match piece {
                Some(Ok(piece)) => self.pass(piece),
                Some(Err(refusal)) => self.break_off(&refusal),
                None => self.provider_ended(),
            };
            if let Some(given) = given.filter(|given| !given.is_empty()) {
                return Poll::Ready(Some(given));
            }
        }
    }

    /// The next piece from the provider; an error is one that the client is told.
    fn poll_upstream(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Refusal>>> {
        let Some(upstream) = &mut self.upstream else {
            return Poll::Ready(None);
        };
        loop {
            match Pin::new(&mut *upstream).poll_frame(context) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => {
                    let message = format!("the stream of {} broke off: {error}", self.provider.name);
                    let message = Refusal::new(RefusalKind::BadReply, message);
                    return Poll::Ready(Some(Err(message)));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Pending => break,
            }
        }
        ready!(self.deadline.as_mut().poll(context));
        let message = format!(
            "the stream of {} took longer than the task allows",
            self.provider.name
        );
        Poll::Ready(Some(Err(Refusal::new(RefusalKind::Timeout, message))))
    }

    /// Listens to a piece and gives what the client gets of it now.
    fn pass(&mut self, piece: Bytes) -> Option<Bytes> {
        if matches!(self.state, State::Recorded) {
            return Some(piece);
        }
        let Some(left) = self.bytes_left.checked_sub(piece.len()) else {
            return self.break_off(&self.too_large());
        };
        self.bytes_left = left;
        let Ok(whole) = self.buffer.push(piece) else {
            return self.break_off(&self.too_large());
        };
        let given = self.listen(&whole);
        if self.is_at_end(&given) {
            return self.finish(given);
        }
        Some(given)
    }

    /// Hears every event of a piece; what is passed on is the piece itself unless an event is changed or left out.
    fn listen(&mut self, whole: &Bytes) -> Bytes {
        let mut changed: Option<Vec<u8>> = None;
        let mut position = 0;
        for event in split(whole) {
            let role = data_of(event).map_or(EventRole::Part, |data| self.transcript.hear(data));
            let put = |changed: &mut Option<Vec<u8>>, bytes: &[u8]| {
                changed
                    .get_or_insert_with(|| whole[..position].to_vec())
                    .extend_from_slice(bytes);
            };
            match role {
                EventRole::Part => {
                    if let Some(changed) = &mut changed {
                        changed.extend_from_slice(event);
                    }
                }
                EventRole::Ours => put(&mut changed, b""),
                EventRole::Last => {
                    let id = self.exchange.is_recorded().then(|| self.exchange.id.to_string());
                    let with_id = id.and_then(|id| with_field(event, "hone_interaction_id", &id));
                    match with_id {
                        Some(with_id) => put(&mut changed, &with_id),
                        None => {
                            if let Some(changed) = &mut changed {
                                changed.extend_from_slice(event);
                            }
                        }
                    }
                }
            }
            position += event.len();
        }
        changed.map_or_else(|| whole.clone(), Bytes::from)
    }

    /// Whether the protocol's last event was heard. Chat completions may send a count of tokens after the last answer.
    fn is_at_end(&self, given: &[u8]) -> bool {
        match self.endpoint {
            Endpoint::ChatCompletions | Endpoint::Embeddings => {
                given.ends_with(b"data: [DONE]\n\n") || given.ends_with(b"data: [DONE]\r\n\r\n")
            }
            Endpoint::Responses | Endpoint::Messages => self.transcript.is_complete,
        }
    }

    /// Records; the last piece waits for it where it must.
    fn finish(&mut self, last: Bytes) -> Option<Bytes> {
        let observed = self.transcript.observed();
        self.exchange.heard(observed);
        if self.transcript.has_failed {
            self.exchange.failed("provider_error");
        }
        self.record_before(last)
    }

    fn provider_ended(&mut self) -> Option<Bytes> {
        if matches!(self.state, State::Recorded) {
            self.end();
            return None;
        }
        let rest = self.buffer.rest();
        // The last event may lack its empty line.
        let given = if rest.is_empty() { rest } else { self.listen(&rest) };
        if self.transcript.is_complete || self.transcript.has_failed {
            self.upstream = None;
            return self.finish(given);
        }
        let message = format!("the stream of {} broke off before its end", self.provider.name);
        self.break_off(&Refusal::new(RefusalKind::BadReply, message))
    }

    /// Ends the stream with an error; what came before it is recorded.
    fn break_off(&mut self, refusal: &Refusal) -> Option<Bytes> {
        if matches!(self.state, State::Recorded) {
            // The answer was whole; what failed came after it.
            self.end();
            return None;
        }
        self.breaker.failed(Instant::now());
        metrics::counter!("hone_gateway_errors_total", "provider" => self.provider.name.clone(), "kind" => refusal.kind.code())
            .increment(1);
        let observed = self.transcript.observed();
        self.exchange.heard(observed);
        self.exchange.failed(refusal.kind.code());
        self.upstream = None;
        let event = Bytes::from(refusal.event(self.endpoint.dialect()));
        self.record_before(event)
    }

    /// Records; gives the last piece now unless it has to wait for the record.
    fn record_before(&mut self, last: Bytes) -> Option<Bytes> {
        if let Some(wait) = self.exchange.record() {
            self.state = State::Recording(wait, last);
            return None;
        }
        self.state = State::Recorded;
        Some(last)
    }

    fn too_large(&self) -> Refusal {
        let message = format!(
            "the stream of {} is larger than what is taken",
            self.provider.name
        );
        Refusal::new(RefusalKind::BadReply, message)
    }

    fn end(&mut self) {
        self.upstream = None;
        self.state = State::Ended;
    }
}

impl Drop for StreamedReply {
    fn drop(&mut self) {
        // A client that has gone away leaves what was heard until then.
        self.exchange.heard(self.transcript.observed());
    }
}
