//! Recording interactions and feedback: a bounded queue, one writer per process, groups of writes per commit.
//!
//! The caller is answered after the commit. Identity is separated from content before anything is queued; a repeated id
//! is absorbed, a repeated id with other content refused. Called by `api` and by `predict`; decides nothing about examples.

mod features;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hone_domain::{
    AnswerSource, ConversationId, FeedbackId, FeedbackSource, Identity, Ids, InteractionId,
    InteractionStatus, JsonText, NewFeedback, NewInteraction, ProjectId,
};
use hone_storage::feedback::Feedback;
use hone_storage::interactions::Interaction;
use hone_storage::tasks::Task;
use hone_storage::{Db, OptionalText, StorageError, StoredText};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::features::TextFeatures;
pub(crate) use self::features::{band_bytes, bands_of_bytes, kind_names, signatures};
use self::writer::Writer;
use crate::EngineError;
use crate::experiment::Exposed;
use crate::privacy::{PersonalCleaner, Privacy};

/// Requests waiting for the writer beyond which callers are refused.
const MAX_REQUESTS: usize = 16_384;
const RETRY_AFTER_S: u64 = 1;
/// When the oldest record has waited so long, the database does not take any, and nothing more is begun.
const MAX_LAG: Duration = Duration::from_secs(5);
/// What a record takes up beside its texts.
const ROW_BYTES: usize = 512;

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

/// What the gateway saw of a request.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The id that the client was told.
    pub id: InteractionId,
    /// Its task.
    pub task: &'a Task,
    /// What the project does for privacy.
    pub privacy: &'a Privacy,
    /// What happened.
    pub record: NewInteraction,
    /// The registered version that answered.
    pub model_version: Option<Uuid>,
    /// What it was chosen by, where several versions share the task's traffic.
    pub exposed: Option<Exposed>,
    /// Whether curation looks at it though nobody has said anything of it.
    pub teaches: bool,
}

/// Which registered version answered, and why that one.
#[derive(Debug, Clone, Default)]
pub struct AnsweredBy {
    /// The version; none where nobody of ours did.
    pub version: Option<Uuid>,
    /// What it was chosen by, where several versions share the task's traffic.
    pub exposed: Option<Exposed>,
}

struct InteractionRecord {
    row: Interaction,
    /// Whether curation looks at it at once.
    teaches: bool,
    conversation: Option<String>,
    identity: Option<Identity>,
    exposed: Option<Exposed>,
}

/// What a caller hands to the writer; `room` is given back when it is answered.
struct Request {
    queued_at: Instant,
    /// Whether somebody waits for the commit.
    is_awaited: bool,
    records: Vec<Record>,
    reply: oneshot::Sender<Result<Vec<Recorded>, Arc<StorageError>>>,
    room: OwnedSemaphorePermit,
}

impl Request {
    fn with_receipt(batch: RecordBatch, is_awaited: bool, room: OwnedSemaphorePermit) -> (Self, Receipt) {
        let (reply, answer) = oneshot::channel();
        let request = Self {
            queued_at: Instant::now(),
            is_awaited,
            records: batch.records,
            reply,
            room,
        };
        (request, Receipt(answer))
    }
}

/// A batch that was queued.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Vec<Recorded>, Arc<StorageError>>>);

impl Receipt {
    /// Waits for the commit and says what became of each record.
    pub async fn outcome(self) -> Result<Vec<Recorded>, EngineError> {
        match self.0.await {
            Ok(Ok(recorded)) => Ok(recorded),
            Ok(Err(error)) if error.is_unwritable() => {
                Err(EngineError::Storage(StorageError::Unwritable(error.to_string())))
            }
            Ok(Err(error)) => Err(EngineError::NotRecorded(error)),
            Err(_) => Err(EngineError::ShuttingDown),
        }
    }
}

/// The way into the database for interactions and feedback. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    queue_bytes: usize,
    ids: Ids,
    backlog: Arc<Backlog>,
}

/// What the writer and those who hand it records tell each other beside the queue.
#[derive(Debug)]
struct Backlog {
    /// Requests in the queue that somebody awaits.
    awaited: AtomicUsize,
    /// Told when one more is awaited.
    hurry: Notify,
    origin: Instant,
    /// Since when the oldest record waits that the writer is writing, in microseconds after `origin`; 0 when nothing is being written.
    oldest_us: AtomicU64,
}

impl Backlog {
    fn new() -> Self {
        Self {
            awaited: AtomicUsize::new(0),
            hurry: Notify::new(),
            origin: Instant::now(),
            oldest_us: AtomicU64::new(0),
        }
    }

    fn queue(&self, place: mpsc::Permit<'_, Request>, request: Request) {
        let is_awaited = request.is_awaited;
        if is_awaited {
            self.awaited.fetch_add(1, Ordering::Relaxed);
        }
        place.send(request);
        if is_awaited {
            self.hurry.notify_one();
        }
    }

    /// Notes that a request has left the queue.
    fn taken(&self, request: &Request) {
        if request.is_awaited {
            self.awaited.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn set_oldest(&self, queued_at: Option<Instant>) {
        let since = |at: Instant| (at - self.origin).as_micros() as u64 + 1;
        self.oldest_us
            .store(queued_at.map_or(0, since), Ordering::Relaxed);
    }

    fn age(&self) -> Duration {
        let oldest_us = self.oldest_us.load(Ordering::Relaxed);
        if oldest_us == 0 {
            return Duration::ZERO;
        }
        self.origin
            .elapsed()
            .saturating_sub(Duration::from_micros(oldest_us))
    }
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
    size_bytes: usize,
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

    /// Bytes that the records take up in the queue.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    fn push(&mut self, record: Record) {
        self.size_bytes += record.size_bytes();
        self.records.push(record);
    }
}

impl Record {
    /// What the record holds in texts, and something for the rest.
    fn size_bytes(&self) -> usize {
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let texts = match self {
            Self::Interaction(record) => {
                let row = &record.row;
                row.input.0.len()
                    + [
                        &row.output.0,
                        &row.request.0,
                        &row.reply.0,
                        &row.structured_prompt.0,
                    ]
                    .into_iter()
                    .chain([&row.tags])
                    .map(optional)
                    .sum::<usize>()
            }
            Self::Feedback(row) => optional(&row.text.0) + optional(&row.preference.0),
        };
        texts + ROW_BYTES
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
        let backlog = Arc::new(Backlog::new());
        let writer = Writer {
            db,
            ids: ids.clone(),
            group_rows: settings.group_rows,
            backlog: backlog.clone(),
        };
        tracker.spawn(writer.run(receiver, stop));
        Self {
            sender,
            room: Arc::new(Semaphore::new(settings.queue_bytes)),
            queue_bytes: settings.queue_bytes,
            ids,
            backlog,
        }
    }

    /// How long the oldest record has been waiting that is not durable yet.
    pub fn lag(&self) -> Duration {
        self.backlog.age()
    }

    /// Bytes of records that wait to be written.
    pub fn queued_bytes(&self) -> usize {
        self.queue_bytes.saturating_sub(self.room.available_permits())
    }

    /// Whether the queue can take more without waiting for long.
    pub fn has_room(&self) -> bool {
        self.lag() < MAX_LAG
            && self.room.available_permits() > self.queue_bytes / 16
            && self.sender.capacity() > 0
    }

    /// Checks an interaction and adds it to a batch; gives its id.
    pub fn add_interaction(
        &self,
        batch: &mut RecordBatch,
        task: &Task,
        privacy: &Privacy,
        new: NewInteraction,
        is_reference: bool,
        answered: AnsweredBy,
    ) -> Result<InteractionId, EngineError> {
        let now_us = self.ids.now_us();
        new.validate(now_us)?;
        let AnsweredBy { version, exposed } = answered;
        let mut record = self.interaction_record(task, privacy, new, is_reference, version, now_us);
        record.exposed = exposed;
        let id = InteractionId(record.row.id);
        batch.push(Record::Interaction(Box::new(record)));
        Ok(id)
    }

    /// Adds what the gateway saw, which has happened and is not refused. Its texts must be such as can be stored.
    pub fn add_observed(&self, batch: &mut RecordBatch, observed: Observed<'_>) {
        let now_us = self.ids.now_us();
        let Observed {
            id,
            task,
            privacy,
            record,
            model_version,
            exposed,
            teaches,
        } = observed;
        let mut record = self.interaction_record(task, privacy, record, false, model_version, now_us);
        record.row.id = id.0;
        (record.teaches, record.exposed) = (teaches, exposed);
        batch.push(Record::Interaction(Box::new(record)));
    }

    /// Checks feedback and adds it to a batch; gives its id.
    pub fn add_feedback(
        &self,
        batch: &mut RecordBatch,
        project: ProjectId,
        privacy: &Privacy,
        mut new: NewFeedback,
    ) -> Result<FeedbackId, EngineError> {
        let now_us = self.ids.now_us();
        new.validate(now_us)?;
        let id = new.id.unwrap_or_else(|| self.ids.next());
        let content_hash = new.content_hash();
        privacy.cleaner().clean_feedback(&mut new);
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
            occurred_at_us: new.occurred_at_us(now_us),
            name: new.name,
            label: new.label,
            detected_label: None,
            is_mismatch: None,
            text: OptionalText(new.text),
            preference: OptionalText(preference),
            source: new.source.unwrap_or(FeedbackSource::User),
            content_hash: content_hash.map(Vec::from),
            created_at_us: now_us,
        };
        batch.push(Record::Feedback(Box::new(row)));
        Ok(id)
    }

    /// Writes a batch; answers after the commit. Refuses at once when the queue is full.
    pub async fn write(&self, batch: RecordBatch) -> Result<Vec<Recorded>, EngineError> {
        self.submit(batch, true)
            .map_err(|(error, _)| error)?
            .outcome()
            .await
    }

    /// Queues a batch at once, or gives it back with the reason. The receipt says what became of it; where nobody awaits it,
    /// the writer gathers others for some milliseconds before it writes.
    pub fn submit(
        &self,
        batch: RecordBatch,
        is_awaited: bool,
    ) -> Result<Receipt, (EngineError, RecordBatch)> {
        let room = self.room.clone().try_acquire_many_owned(self.permits(&batch));
        let full = EngineError::Full {
            retry_after_s: RETRY_AFTER_S,
        };
        let room = match room {
            Ok(room) => room,
            Err(tokio::sync::TryAcquireError::Closed) => return Err((EngineError::ShuttingDown, batch)),
            Err(tokio::sync::TryAcquireError::NoPermits) => return Err((full, batch)),
        };
        let place = match self.sender.try_reserve() {
            Ok(place) => place,
            Err(mpsc::error::TrySendError::Closed(())) => return Err((EngineError::ShuttingDown, batch)),
            Err(mpsc::error::TrySendError::Full(())) => return Err((full, batch)),
        };
        let (request, receipt) = Request::with_receipt(batch, is_awaited, room);
        self.backlog.queue(place, request);
        Ok(receipt)
    }

    /// Queues a batch of a long stream: waits for room in place of refusing. The receipt says what became of it, so that
    /// the stream can be read on meanwhile.
    pub async fn submit_when_room(&self, batch: RecordBatch) -> Result<Receipt, EngineError> {
        let room = self.room.clone().acquire_many_owned(self.permits(&batch)).await;
        let room = room.map_err(|_| EngineError::ShuttingDown)?;
        let place = self.sender.reserve().await;
        let place = place.map_err(|_| EngineError::ShuttingDown)?;
        let (request, receipt) = Request::with_receipt(batch, true, room);
        self.backlog.queue(place, request);
        Ok(receipt)
    }

    /// The room that a batch takes; one that is larger than the queue takes all of it and goes alone.
    fn permits(&self, batch: &RecordBatch) -> u32 {
        u32::try_from(batch.size_bytes.min(self.queue_bytes)).unwrap_or(u32::MAX)
    }

    fn interaction_record(
        &self,
        task: &Task,
        privacy: &Privacy,
        mut new: NewInteraction,
        is_reference: bool,
        model_version: Option<Uuid>,
        now_us: i64,
    ) -> InteractionRecord {
        let project = task.project();
        let subject_id = new
            .subject
            .as_ref()
            .map(|identity| privacy.subject(project, &identity.user_id));
        // Both are of what the client sent: it asks again with the same.
        let (content_hash, conversation_id) = (new.content_hash(), new.conversation_id(project));
        let personal_data = clean(privacy.cleaner(), &mut new);
        let features = TextFeatures::of(&new.input, new.output.as_deref());
        let row = Interaction {
            id: new.id.map_or_else(|| self.ids.next(), Uuid::from),
            project_id: project.0,
            task_id: task.id,
            conversation_id: conversation_id.map(Uuid::from),
            turn: new.turn.map(i64::from),
            subject_id: subject_id.map(Uuid::from),
            input_hash: hone_text::normalised_hash(&new.input).to_vec(),
            content_hash: content_hash.map(Vec::from),
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
            language: new.language.or_else(|| features.language.map(str::to_owned)),
            tags: if new.tags.is_empty() {
                None
            } else {
                serde_json::to_string(&new.tags).ok()
            },
            input: StoredText(new.input),
            output: OptionalText(new.output),
            is_reference,
            created_at_us: now_us,
            request: OptionalText(new.request.map(JsonText::into_string)),
            reply: OptionalText(new.reply.map(JsonText::into_string)),
            structured_prompt: OptionalText(new.structured_prompt),
            first_token_us: new
                .first_token_ms
                .map(|milliseconds| (milliseconds * 1_000.0) as i64),
            error: new.error,
            flaws: features.flaws,
            personal_data,
            moderation: features.moderation,
            injection: features.injection,
            near_bands: features.near_bands,
        };
        InteractionRecord {
            teaches: row.is_reference,
            exposed: None,
            row,
            conversation: new.conversation,
            identity: new.subject,
        }
    }
}

/// Replaces what is personal in an interaction by the project's rule; gives the kinds that were found.
fn clean(cleaner: &PersonalCleaner, new: &mut NewInteraction) -> Option<String> {
    let mut kinds = Vec::new();
    for text in std::iter::once(&mut new.input).chain(&mut new.output) {
        let found = cleaner.kinds_in(text);
        if !found.is_empty() {
            cleaner.clean(text);
        }
        kinds.extend(found);
    }
    kinds.sort_unstable();
    kinds.dedup();
    if cleaner.changes() {
        for text in [
            &mut new.structured_prompt,
            &mut new.label,
            &mut new.conversation,
            &mut new.action_type,
            &mut new.target_tool,
        ] {
            cleaner.clean_option(text);
        }
        for tag in &mut new.tags {
            cleaner.clean(tag);
        }
        cleaner.clean_json(&mut new.request);
        cleaner.clean_json(&mut new.reply);
    }
    kind_names(&kinds)
}
