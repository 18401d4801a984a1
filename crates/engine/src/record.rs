//! Recording interactions and feedback: a bounded queue, one writer per process, groups of writes per commit.
//!
//! The caller is answered after the commit. Identity is separated from content before anything is queued; a repeated id
//! is absorbed, a repeated id with other content refused. Called by `api` and by `predict`; decides nothing about examples.

use std::sync::Arc;

use hone_domain::{
    AnswerSource, ConversationId, FeedbackId, FeedbackSource, Identity, Ids, InteractionId,
    InteractionStatus, NewFeedback, NewInteraction, ProjectId, SubjectId,
};
use hone_storage::feedback::Feedback;
use hone_storage::interactions::Interaction;
use hone_storage::tasks::Task;
use hone_storage::{Db, Inserted, OptionalText, StorageError, StoredText, feedback, interactions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::EngineError;
use crate::effects::Effects;

/// Requests waiting for the writer beyond which callers are refused.
const MAX_REQUESTS: usize = 16_384;
const RETRY_AFTER_S: u64 = 1;

/// Sizes of the recorder.
#[derive(Debug, Clone)]
pub struct RecorderSettings {
    /// Bytes of text that may wait for the writer; a full queue refuses.
    pub queue_bytes: usize,
    /// Rows per commit at most.
    pub group_rows: usize,
}

impl Default for RecorderSettings {
    fn default() -> Self {
        Self {
            queue_bytes: 64 << 20,
            group_rows: 2_000,
        }
    }
}

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordOutcome {
    /// Stored.
    Recorded,
    /// Stored earlier; nothing changed.
    Duplicate,
    /// Another record with this id was there; nothing changed.
    Conflict,
}

/// A record that was taken, with what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    /// Its id.
    pub id: Uuid,
    /// What became of it.
    pub outcome: RecordOutcome,
    /// For a correction: whether the right label differs from the detected one.
    pub is_mismatch: Option<bool>,
}

enum Record {
    Interaction(Box<InteractionRecord>),
    Feedback(Box<Feedback>),
}

struct InteractionRecord {
    row: Interaction,
    conversation: Option<String>,
    identity: Option<Identity>,
}

/// What a caller hands to the writer; `room` is given back when it is answered.
struct Request {
    records: Vec<Record>,
    reply: oneshot::Sender<Result<Vec<Recorded>, Arc<StorageError>>>,
    room: OwnedSemaphorePermit,
}

/// The way into the database for interactions and feedback. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    ids: Ids,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("free_bytes", &self.room.available_permits())
            .finish_non_exhaustive()
    }
}

/// Records that were checked and can be queued together.
#[derive(Default)]
pub struct RecordBatch {
    records: Vec<Record>,
    bytes: usize,
}

impl RecordBatch {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl Recorder {
    /// Starts the writer; when `stop` is cancelled it takes no further records, writes what is queued and ends.
    pub(crate) fn start(
        db: Db,
        ids: Ids,
        settings: &RecorderSettings,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_REQUESTS);
        let writer = Writer {
            db,
            ids: ids.clone(),
            group_rows: settings.group_rows,
        };
        tracker.spawn(writer.run(receiver, stop));
        Self {
            sender,
            room: Arc::new(Semaphore::new(settings.queue_bytes)),
            ids,
        }
    }

    /// Checks an interaction and adds it to a batch; gives its id.
    pub fn add_interaction(
        &self,
        batch: &mut RecordBatch,
        task: &Task,
        pseudonym_key: &[u8; 32],
        new: NewInteraction,
        is_reference: bool,
        model_version: Option<Uuid>,
    ) -> Result<InteractionId, EngineError> {
        let now_us = self.ids.now_us();
        new.validate(now_us)?;
        batch.bytes += new.input.len() + new.output.as_ref().map_or(0, String::len) + 512;
        let record = self.interaction_record(task, pseudonym_key, new, is_reference, model_version, now_us);
        let id = InteractionId(record.row.id);
        batch.records.push(Record::Interaction(Box::new(record)));
        Ok(id)
    }

    /// Checks feedback and adds it to a batch; gives its id.
    pub fn add_feedback(
        &self,
        batch: &mut RecordBatch,
        project: ProjectId,
        new: &NewFeedback,
    ) -> Result<FeedbackId, EngineError> {
        let now_us = self.ids.now_us();
        new.validate(now_us)?;
        batch.bytes += new.text.as_ref().map_or(0, String::len) + 512;
        let id = new.id.unwrap_or_else(|| self.ids.next());
        let preference = new
            .preference
            .as_ref()
            .and_then(|preference| serde_json::to_string(preference).ok());
        let row = Feedback {
            id: id.0,
            project_id: project.0,
            task_id: None,
            interaction_id: new.interaction_id.map(Uuid::from),
            conversation_id: new
                .conversation
                .as_deref()
                .map(|name| ConversationId::derive(project, name).0),
            kind: new.kind,
            value: new.value(),
            name: new.name.clone(),
            label: new.label.clone(),
            detected_label: None,
            is_mismatch: None,
            text: OptionalText(new.text.clone()),
            preference: OptionalText(preference),
            source: new.source.unwrap_or(FeedbackSource::User),
            content_hash: new.content_hash().map(Vec::from),
            occurred_at_us: new.occurred_at_us(now_us),
            created_at_us: now_us,
        };
        batch.records.push(Record::Feedback(Box::new(row)));
        Ok(id)
    }

    /// Writes a batch; answers after the commit. Refuses at once when the queue is full.
    pub async fn write(&self, batch: RecordBatch) -> Result<Vec<Recorded>, EngineError> {
        let room = self.room.clone().try_acquire_many_owned(batch.bytes as u32);
        let room = room.map_err(|error| match error {
            tokio::sync::TryAcquireError::Closed => EngineError::ShuttingDown,
            tokio::sync::TryAcquireError::NoPermits => EngineError::Full {
                retry_after_s: RETRY_AFTER_S,
            },
        })?;
        let (reply, answer) = oneshot::channel();
        let request = Request {
            records: batch.records,
            reply,
            room,
        };
        self.sender.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => EngineError::ShuttingDown,
            mpsc::error::TrySendError::Full(_) => EngineError::Full {
                retry_after_s: RETRY_AFTER_S,
            },
        })?;
        self.answer(answer).await
    }

    /// Writes a batch of a long stream: waits for room in place of refusing.
    pub async fn write_when_room(&self, batch: RecordBatch) -> Result<Vec<Recorded>, EngineError> {
        let room = self.room.clone().acquire_many_owned(batch.bytes as u32).await;
        let room = room.map_err(|_| EngineError::ShuttingDown)?;
        let (reply, answer) = oneshot::channel();
        let request = Request {
            records: batch.records,
            reply,
            room,
        };
        self.sender
            .send(request)
            .await
            .map_err(|_| EngineError::ShuttingDown)?;
        self.answer(answer).await
    }

    async fn answer(
        &self,
        answer: oneshot::Receiver<Result<Vec<Recorded>, Arc<StorageError>>>,
    ) -> Result<Vec<Recorded>, EngineError> {
        match answer.await {
            Ok(Ok(recorded)) => Ok(recorded),
            Ok(Err(error)) if error.is_unwritable() => {
                Err(EngineError::Storage(StorageError::Unwritable(error.to_string())))
            }
            Ok(Err(error)) => Err(EngineError::Storage(StorageError::Open {
                url: "the recorder's".to_owned(),
                problem: error.to_string(),
            })),
            Err(_) => Err(EngineError::ShuttingDown),
        }
    }

    fn interaction_record(
        &self,
        task: &Task,
        pseudonym_key: &[u8; 32],
        new: NewInteraction,
        is_reference: bool,
        model_version: Option<Uuid>,
        now_us: i64,
    ) -> InteractionRecord {
        let project = task.project();
        let subject_id = new
            .subject
            .as_ref()
            .map(|identity| SubjectId::derive(project, pseudonym_key, &identity.user_id));
        let row = Interaction {
            id: new.id.map_or_else(|| self.ids.next(), Uuid::from),
            project_id: project.0,
            task_id: task.id,
            conversation_id: new.conversation_id(project).map(Uuid::from),
            turn: new.turn.map(i64::from),
            subject_id: subject_id.map(Uuid::from),
            input_hash: hone_text::normalised_hash(&new.input).to_vec(),
            content_hash: new.content_hash().map(Vec::from),
            occurred_at_us: new.occurred_at_us(now_us),
            label: new.label,
            confidence: new.confidence,
            source: new.source.unwrap_or(AnswerSource::Model),
            status: new.status.unwrap_or(InteractionStatus::Ok),
            model: new.model,
            model_version_id: model_version,
            latency_us: new.latency_ms.map(|milliseconds| (milliseconds * 1_000.0) as i64),
            tokens_input: new.tokens_input.map(i64::from),
            tokens_output: new.tokens_output.map(i64::from),
            cost_micro_usd: new.cost_usd.map(|usd| (usd * 1e6).round() as i64),
            action_type: new.action_type,
            target_tool: new.target_tool,
            language: new.language,
            tags: if new.tags.is_empty() {
                None
            } else {
                serde_json::to_string(&new.tags).ok()
            },
            input: StoredText(new.input),
            output: OptionalText(new.output),
            is_reference,
            created_at_us: now_us,
        };
        InteractionRecord {
            row,
            conversation: new.conversation,
            identity: new.subject,
        }
    }
}

/// The one task that writes records.
struct Writer {
    db: Db,
    ids: Ids,
    group_rows: usize,
}

impl Writer {
    async fn run(self, mut receiver: mpsc::Receiver<Request>, stop: CancellationToken) {
        loop {
            let first = tokio::select! {
                biased;
                first = receiver.recv() => first,
                // From here on `recv` gives what is queued, then nothing.
                () = stop.cancelled(), if !receiver.is_closed() => {
                    receiver.close();
                    continue;
                }
            };
            let Some(first) = first else { return };
            let mut rows = first.records.len();
            let mut group = vec![first];
            while rows < self.group_rows
                && let Ok(next) = receiver.try_recv()
            {
                rows += next.records.len();
                group.push(next);
            }
            self.write_group(group).await;
        }
    }

    async fn write_group(&self, group: Vec<Request>) {
        let (mut replies, mut records) = (Vec::with_capacity(group.len()), Vec::new());
        for request in group {
            replies.push((request.records.len(), request.reply, request.room));
            records.extend(request.records);
        }
        let written = self.write_records(records).await.map_err(Arc::new);
        if let Err(error) = &written {
            tracing::error!(%error, "a group of records was not written; its senders are told");
        }
        let mut outcomes = written.map(Vec::into_iter);
        for (count, reply, _room) in replies {
            let answer = match &mut outcomes {
                Ok(outcomes) => Ok(outcomes.by_ref().take(count).collect()),
                Err(error) => Err(error.clone()),
            };
            // A caller that has gone away misses the answer, not the record.
            let _ = reply.send(answer);
        }
    }

    /// Writes all records in one transaction; outcomes come in the order of the records.
    async fn write_records(&self, records: Vec<Record>) -> Result<Vec<Recorded>, StorageError> {
        let mut outcomes: Vec<Option<Recorded>> = vec![None; records.len()];
        let (mut rows, mut contexts, mut feedbacks) = (Vec::new(), Vec::new(), Vec::new());
        for (position, record) in records.into_iter().enumerate() {
            match record {
                Record::Interaction(record) => {
                    contexts.push((position, record.conversation, record.identity));
                    rows.push(record.row);
                }
                Record::Feedback(feedback) => feedbacks.push((position, feedback)),
            }
        }
        let mut conn = self.db.begin().await?;
        let mut effects = Effects::default();
        if !rows.is_empty() {
            let inserted = interactions::insert_many(&mut conn, &rows).await?;
            for ((row, (position, conversation, identity)), inserted) in
                rows.iter().zip(contexts).zip(inserted)
            {
                outcomes[position] = Some(recorded(row.id, inserted, None));
                if inserted == Inserted::New {
                    effects.of_interaction(row, conversation, identity);
                }
            }
        }
        for (position, row) in feedbacks {
            let outcome = feedback::insert(&mut conn, &row).await?;
            outcomes[position] = Some(recorded(row.id, outcome.inserted, outcome.is_mismatch));
            if let (Inserted::New, Some(task)) = (outcome.inserted, outcome.task) {
                effects.of_feedback(&row, task, outcome.is_mismatch);
            }
        }
        effects.write(&mut conn, &self.ids).await?;
        conn.commit().await?;
        Ok(outcomes.into_iter().flatten().collect())
    }
}

fn recorded(id: Uuid, inserted: Inserted, is_mismatch: Option<bool>) -> Recorded {
    let outcome = match inserted {
        Inserted::New => RecordOutcome::Recorded,
        Inserted::Duplicate => RecordOutcome::Duplicate,
        Inserted::Conflict => RecordOutcome::Conflict,
    };
    Recorded {
        id,
        outcome,
        is_mismatch,
    }
}
