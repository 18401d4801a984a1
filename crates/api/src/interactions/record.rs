//! `POST /v1/interactions`: records one, or many as NDJSON.

use std::collections::VecDeque;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use hone_domain::{InvalidInput, NewInteraction, Scope, TaskKind, parse_json};
use hone_engine::{AnsweredBy, Receipt, RecordBatch, RecordOutcome, Recorded};

use crate::auth::Caller;
use crate::body::read_bytes;
use crate::problem::{FieldProblem, ProblemBody};
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem, ProblemKind};

/// Records of a stream that are written together.
const BATCH_RECORDS: usize = 500;
/// A batch is written when it takes up so much room in the queue.
const BATCH_BYTES: usize = 4 << 20;
/// Batches of a stream that are written while it is read on.
const MAX_IN_FLIGHT: usize = 4;
/// The longest line of a stream.
const MAX_LINE_BYTES: usize = 2 << 20;
/// Refused lines that are named in the answer; the rest are counted.
const MAX_REFUSED: usize = 100;

/// What became of one record.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct RecordedBody {
    /// Its id.
    pub id: uuid::Uuid,
    /// `recorded`, or `duplicate` when it was there already.
    pub outcome: &'static str,
    /// For a correction: whether the right label differs from the detected one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_mismatch: Option<bool>,
}

/// What became of a stream of records.
#[derive(Debug, Default, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct StreamBody {
    /// Stored.
    recorded: usize,
    /// Stored earlier.
    duplicates: usize,
    /// Not stored.
    refused: usize,
    /// The first refused lines; everything else of the stream is stored.
    errors: Vec<LineProblem>,
    /// Whether a batch has been written.
    #[serde(skip)]
    has_written: bool,
}

/// A refused line.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct LineProblem {
    /// Its number, from 1.
    line: usize,
    /// The fields that cannot be taken.
    errors: Vec<FieldProblem>,
}

/// Record one interaction, or many as NDJSON
///
/// With `Content-Type: application/x-ndjson` the body is a stream of one interaction a line, of any length, gzip
/// accepted; lines that cannot be taken are named and the others stored. Answered when everything is durable.
#[utoipa::path(post, path = "/v1/interactions", tag = "record", security(("key" = [])),
    request_body(content(
        (NewInteraction = "application/json"),
        (String = "application/x-ndjson"),
    )),
    responses(
        (status = 201, description = "recorded", body = RecordedBody),
        (status = 200, description = "the report of a stream; a duplicate of a single one answers like 201", body = StreamBody),
        (status = 409, description = "the id is taken by another interaction", body = ProblemBody),
        (status = 422, description = "a field cannot be taken", body = ProblemBody),
        (status = 429, description = "the write queue is full", body = ProblemBody),
    ))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::Record)?;
    let content_type = request
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if content_type.contains("ndjson") {
        return record_stream(&caller, &state, request).await;
    }
    record_one(&caller, &state, request, false).await
}

/// Records the interaction or, when `is_reference`, the gold standard that the body holds.
pub(crate) async fn record_one(
    caller: &Caller,
    state: &AppState,
    request: Request,
    is_reference: bool,
) -> Result<Response, Problem> {
    let key = IdempotencyKey::of(request.headers())?;
    let mut new: NewInteraction = parse_json(&read_bytes(request, state).await?)?;
    new.id = new.id.or(key.id(caller.project, "interaction"));
    let mut batch = RecordBatch::default();
    add(caller, state, &mut batch, new, is_reference).await?;
    let recorded = state.engine.recorder().write(batch).await?;
    answer(recorded.first().copied())
}

/// Checks an interaction and adds it to the batch.
async fn add(
    caller: &Caller,
    state: &AppState,
    batch: &mut RecordBatch,
    new: NewInteraction,
    is_reference: bool,
) -> Result<(), Problem> {
    let task = state.engine.get_task(caller.project, &new.task).await?;
    if is_reference {
        require_answer(task.kind, &new)?;
    }
    let privacy = state.engine.privacy(caller.project).await?;
    state.engine.recorder().add_interaction(
        batch,
        &task,
        &privacy,
        new,
        is_reference,
        AnsweredBy::default(),
    )?;
    Ok(())
}

/// Refuses a gold standard that says nothing that could be learned.
fn require_answer(kind: TaskKind, new: &NewInteraction) -> Result<(), Problem> {
    let (pointer, is_there) = match kind {
        TaskKind::Classify => ("/label", new.label.is_some()),
        TaskKind::Generate => ("/output", new.output.is_some()),
    };
    if is_there {
        return Ok(());
    }
    Err(Problem::field(
        pointer,
        "is missing; a gold standard needs the right answer",
    ))
}

/// The answer for a single record.
pub(crate) fn answer(recorded: Option<Recorded>) -> Result<Response, Problem> {
    let Some(Recorded {
        id,
        outcome,
        is_mismatch,
    }) = recorded
    else {
        return Err(Problem::new(ProblemKind::Internal, "the record was not written"));
    };
    let (status, outcome) = match outcome {
        RecordOutcome::Recorded => (StatusCode::CREATED, "recorded"),
        RecordOutcome::Duplicate => (StatusCode::OK, "duplicate"),
        RecordOutcome::Conflict => return Err(id_is_taken(id)),
    };
    Ok((
        status,
        axum::Json(RecordedBody {
            id,
            outcome,
            is_mismatch,
        }),
    )
        .into_response())
}

/// An id that another record has.
pub(crate) fn id_is_taken(id: uuid::Uuid) -> Problem {
    let detail = format!(
        "id {id} is taken by a record with other content; send another id or Idempotency-Key, or none"
    );
    Problem::new(ProblemKind::Conflict, detail).at("/id")
}

async fn record_stream(caller: &Caller, state: &AppState, request: Request) -> Result<Response, Problem> {
    let key = IdempotencyKey::of(request.headers())?;
    let mut stream = request.into_body().into_data_stream();
    let mut lines = Lines::default();
    let mut report = StreamBody::default();
    let mut batch = NumberedBatch::default();
    let mut in_flight = InFlight::default();
    loop {
        let chunk = stream.next().await;
        let at_end = chunk.is_none();
        if let Some(chunk) = chunk {
            let chunk = chunk.map_err(|error| {
                let detail = format!("the stream broke off ({error}); {}", report.stored_before());
                Problem::new(ProblemKind::Unreadable, detail)
            })?;
            lines.push(&chunk);
        }
        while let Some((number, line)) = lines.next_line(at_end) {
            match add_line(caller, state, &key, &mut batch, number, line).await {
                Ok(()) => {}
                Err(fault) if fault.is_fault() => return Err(report.broken_off_by(fault)),
                Err(problem) => report.refuse(number, &problem),
            }
            if batch.is_full() {
                in_flight.write(state, &mut batch, &mut report).await?;
            }
        }
        if at_end {
            in_flight.write(state, &mut batch, &mut report).await?;
            in_flight.settle(&mut report).await?;
            report.errors.sort_by_key(|error| error.line);
            let all_refused = report.refused > 0 && report.recorded + report.duplicates == 0;
            let status = if all_refused {
                StatusCode::UNPROCESSABLE_ENTITY
            } else {
                StatusCode::OK
            };
            return Ok((status, axum::Json(report)).into_response());
        }
    }
}

/// Checks one line and adds it to the batch.
async fn add_line(
    caller: &Caller,
    state: &AppState,
    key: &IdempotencyKey,
    batch: &mut NumberedBatch,
    number: usize,
    line: Result<Vec<u8>, InvalidInput>,
) -> Result<(), Problem> {
    let mut new: NewInteraction = parse_json(&line?)?;
    new.id = new.id.or(key.id_at(caller.project, "interaction", number));
    add(caller, state, &mut batch.records, new, false).await?;
    batch.lines.push(number);
    Ok(())
}

/// Records with the lines they came from.
#[derive(Default)]
struct NumberedBatch {
    records: RecordBatch,
    lines: Vec<usize>,
}

impl NumberedBatch {
    fn is_full(&self) -> bool {
        self.records.len() >= BATCH_RECORDS || self.records.size_bytes() >= BATCH_BYTES
    }
}

/// Batches of a stream on their way into the database, oldest first.
#[derive(Default)]
struct InFlight(VecDeque<(Receipt, Vec<usize>)>);

impl InFlight {
    /// Hands a batch over. The first is refused when the queue is full, so that nothing of the stream is stored; later ones
    /// wait for room. The stream is read on while up to four are written.
    async fn write(
        &mut self,
        state: &AppState,
        batch: &mut NumberedBatch,
        report: &mut StreamBody,
    ) -> Result<(), Problem> {
        let NumberedBatch { records, lines } = std::mem::take(batch);
        if records.is_empty() {
            return Ok(());
        }
        let recorder = state.engine.recorder();
        if !report.has_written {
            let recorded = recorder.write(records).await?;
            report.add(recorded, lines);
            return Ok(());
        }
        if self.0.len() >= MAX_IN_FLIGHT {
            self.settle_oldest(report).await?;
        }
        let submitted = recorder.submit_when_room(records).await;
        let receipt = submitted.map_err(|error| report.broken_off_by(error.into()))?;
        self.0.push_back((receipt, lines));
        Ok(())
    }

    /// Waits for all of them.
    async fn settle(&mut self, report: &mut StreamBody) -> Result<(), Problem> {
        while !self.0.is_empty() {
            self.settle_oldest(report).await?;
        }
        Ok(())
    }

    async fn settle_oldest(&mut self, report: &mut StreamBody) -> Result<(), Problem> {
        if let Some((receipt, lines)) = self.0.pop_front() {
            let outcome = receipt.outcome().await;
            let recorded = outcome.map_err(|error| report.broken_off_by(error.into()))?;
            report.add(recorded, lines);
        }
        Ok(())
    }
}

impl StreamBody {
    /// Counts what became of a batch.
    fn add(&mut self, recorded: Vec<Recorded>, lines: Vec<usize>) {
        self.has_written = true;
        for (record, line) in recorded.into_iter().zip(lines) {
            match record.outcome {
                RecordOutcome::Recorded => self.recorded += 1,
                RecordOutcome::Duplicate => self.duplicates += 1,
                RecordOutcome::Conflict => self.refuse(line, &id_is_taken(record.id)),
            }
        }
    }

    /// What a client whose stream ends early must know to go on.
    fn stored_before(&self) -> String {
        let stored = self.recorded + self.duplicates;
        format!(
            "{stored} lines before are stored; send the rest, or all of them with the same ids or Idempotency-Key"
        )
    }

    /// A fault after which the rest of the stream is not read.
    fn broken_off_by(&self, fault: Problem) -> Problem {
        if !self.has_written {
            return fault;
        }
        let detail = format!("the stream was broken off; {}", self.stored_before());
        fault.saying(detail)
    }

    fn refuse(&mut self, line: usize, problem: &Problem) {
        self.refused += 1;
        if self.errors.len() >= MAX_REFUSED {
            return;
        }
        let named = problem.errors().iter();
        let mut errors: Vec<FieldProblem> = named
            .map(|field| FieldProblem {
                pointer: field.pointer.clone(),
                detail: field.detail.clone(),
            })
            .collect();
        if errors.is_empty() {
            errors.push(FieldProblem {
                pointer: String::new(),
                detail: problem.detail().to_owned(),
            });
        }
        self.errors.push(LineProblem { line, errors });
    }
}

/// Cuts a stream of bytes into lines; holds no more than one line.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
    consumed: usize,
    number: usize,
    is_skipping: bool,
}

impl Lines {
    fn push(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        self.buffer.extend_from_slice(chunk);
    }

    /// The next line that is not empty with its number; without its end only when `at_end`.
    fn next_line(&mut self, at_end: bool) -> Option<(usize, Result<Vec<u8>, InvalidInput>)> {
        loop {
            let rest = &self.buffer[self.consumed..];
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
                return self.unfinished_line(at_end);
            };
            let line = rest[..end].trim_ascii().to_vec();
            self.consumed += end + 1;
            self.number += 1;
            if std::mem::take(&mut self.is_skipping) || line.is_empty() {
                continue;
            }
            return Some((self.number, Ok(line)));
        }
    }

    fn unfinished_line(&mut self, at_end: bool) -> Option<(usize, Result<Vec<u8>, InvalidInput>)> {
        if at_end {
            let rest = self.buffer[self.consumed..].trim_ascii().to_vec();
            self.consumed = self.buffer.len();
            self.number += 1;
            return (!rest.is_empty() && !self.is_skipping).then_some((self.number, Ok(rest)));
        }
        if self.buffer.len() - self.consumed <= MAX_LINE_BYTES {
            return None;
        }
        self.consumed = self.buffer.len();
        let was_skipping = std::mem::replace(&mut self.is_skipping, true);
        let detail = format!("is longer than {MAX_LINE_BYTES} bytes; shorten it");
        (!was_skipping).then(|| (self.number + 1, Err(InvalidInput::field("", detail))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_whatever_the_chunks() {
        let text = b"one\n\ntwo\r\nthree";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for chunk in text.chunks(size) {
                lines.push(chunk);
                while let Some((number, line)) = lines.next_line(false) {
                    seen.push((number, line.unwrap()));
                }
            }
            while let Some((number, line)) = lines.next_line(true) {
                seen.push((number, line.unwrap()));
            }
            let expected = [(1, b"one".to_vec()), (3, b"two".to_vec()), (4, b"three".to_vec())];
            assert_eq!(seen, expected, "chunks of {size}");
        }
    }

    #[test]
    fn an_endless_line_is_refused_once_and_not_held() {
        let mut lines = Lines::default();
        let mut refused = 0;
        for _ in 0..10 {
            lines.push(&vec![b'a'; MAX_LINE_BYTES]);
            while let Some((_, line)) = lines.next_line(false) {
                refused += usize::from(line.is_err());
            }
            assert!(lines.buffer.len() <= 2 * MAX_LINE_BYTES + 1);
        }
        assert_eq!(refused, 1);
    }
}
