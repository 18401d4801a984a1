//! The one task of a process that writes records: what waits in the queue goes into one transaction, and its senders are
//! answered after the commit.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hone_domain::{Identity, Ids, InteractionId, ProjectId, TaskId};
use hone_storage::feedback::Feedback;
use hone_storage::interactions::Interaction;
use hone_storage::{Conn, Db, Inserted, StorageError, feedback, interactions};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Backlog, InteractionRecord, Record, RecordOutcome, Recorded, Request};
use crate::effects::Effects;
use crate::experiment::Exposed;

/// How long to wait before records that nobody waits for are written again.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// How often a group is written at most when the database ends the transaction in favour of another one.
const WRITE_ATTEMPTS: usize = 4;

/// How long records that nobody awaits are gathered for one commit.
const GATHERING: Duration = Duration::from_millis(8);

/// The one task that writes records.
pub(super) struct Writer {
    pub db: Db,
    pub ids: Ids,
    pub group_rows: usize,
    pub backlog: Arc<Backlog>,
}

impl Writer {
    pub async fn run(self, mut receiver: mpsc::Receiver<Request>, stop: CancellationToken) {
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
            self.backlog.taken(&first);
            // The queue is in order: nothing that waits is older than the first of the group.
            self.backlog.set_oldest(Some(first.queued_at));
            let group = self.gather(first, &mut receiver, &stop).await;
            self.write_group(group, &stop).await;
            self.backlog.set_oldest(None);
        }
    }

    /// Everything that waits, up to the size of a group. Where nobody awaits the first, what comes within some milliseconds
    /// is gathered first, unless something awaited is among it: a commit costs the same for one record as for ten. Meanwhile
    /// the queue is not looked at, so that those who answer requests need not wake the writer for each.
    async fn gather(
        &self,
        first: Request,
        receiver: &mut mpsc::Receiver<Request>,
        stop: &CancellationToken,
    ) -> Vec<Request> {
        if !first.is_awaited {
            self.wait_for_more(first.queued_at + GATHERING, stop).await;
        }
        let mut rows = first.records.len();
        let mut group = vec![first];
        while rows < self.group_rows
            && let Ok(next) = receiver.try_recv()
        {
            self.backlog.taken(&next);
            rows += next.records.len();
            group.push(next);
        }
        group
    }

    /// Waits until then, or until something in the queue is awaited.
    async fn wait_for_more(&self, until: Instant, stop: &CancellationToken) {
        let mut waiting = pin!(tokio::time::sleep_until(until));
        while self.backlog.awaited.load(Ordering::Relaxed) == 0 {
            tokio::select! {
                () = &mut waiting => return,
                () = self.backlog.hurry.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Writes a group: what somebody waits for apart from what nobody waits for, as the one is told when the database cannot
    /// take it and the other is kept.
    async fn write_group(&self, group: Vec<Request>, stop: &CancellationToken) {
        let (awaited, kept): (Vec<Request>, Vec<Request>) =
            group.into_iter().partition(|request| request.is_awaited);
        if !awaited.is_empty() {
            self.write_requests(awaited, None).await;
        }
        if !kept.is_empty() {
            self.write_requests(kept, Some(stop)).await;
        }
    }

    /// Writes requests in one transaction and answers them. With `until`, goes on trying until then while the disk is full
    /// or the database out of reach; meanwhile the queue grows old, which holds back those who answer requests.
    async fn write_requests(&self, requests: Vec<Request>, until: Option<&CancellationToken>) {
        let (mut replies, mut records) = (Vec::with_capacity(requests.len()), Vec::new());
        for request in requests {
            replies.push((request.records.len(), request.reply, request.room));
            records.extend(request.records);
        }
        let (count, started) = (records.len() as u64, Instant::now());
        let group = Group::of(records);
        let mut written = self.write_records(&group).await;
        while let (Err(error), Some(stop)) = (&written, until)
            && (error.is_unwritable() || error.is_transient())
            && !stop.is_cancelled()
        {
            tracing::error!(%error, records = count, "records are kept and written again in a second");
            tokio::select! {
                () = tokio::time::sleep(RETRY_WAIT) => {}
                () = stop.cancelled() => {}
            }
            written = self.write_records(&group).await;
        }
        let written = written.map_err(Arc::new);
        metrics::histogram!("hone_recorder_commit_seconds").record(started.elapsed().as_secs_f64());
        let outcome = if written.is_ok() { "written" } else { "failed" };
        metrics::counter!("hone_recorder_records_total", "outcome" => outcome).increment(count);
        if let Err(error) = &written {
            tracing::error!(%error, records = count, "a group of records was not written");
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

    /// Writes all records in one transaction, again when the database asks for it; outcomes come in the order of the
    /// records.
    async fn write_records(&self, group: &Group) -> Result<Vec<Recorded>, StorageError> {
        let mut attempt = 1;
        loop {
            match self.write_once(group).await {
                Err(error) if error.is_rolled_back() && attempt < WRITE_ATTEMPTS => {
                    tracing::warn!(%error, attempt, "a group of records is written again");
                    attempt += 1;
                }
                written => return written,
            }
        }
    }

    async fn write_once(&self, group: &Group) -> Result<Vec<Recorded>, StorageError> {
        let mut outcomes: Vec<Option<Recorded>> = vec![None; group.interactions.len() + group.feedback.len()];
        let mut conn = self.db.begin().await?;
        let mut effects = Effects::default();
        if !group.interactions.is_empty() {
            let inserted = interactions::insert_many(&mut conn, &group.interactions).await?;
            let rows = group.interactions.iter().zip(&group.contexts).zip(inserted);
            let mut arrived = Vec::new();
            for ((row, context), inserted) in rows {
                outcomes[context.position] = Some(recorded(row.id, inserted, None));
                if inserted == Inserted::New {
                    effects.of_interaction(
                        row,
                        context.conversation.as_deref(),
                        context.identity.as_ref(),
                        context.teaches,
                    );
                    if let Some(exposed) = &context.exposed {
                        effects.of_exposed(row, exposed);
                    }
                    arrived.push(row);
                }
            }
            join_early_feedback(&mut conn, &mut effects, &arrived).await?;
        }
        for (position, row) in &group.feedback {
            let outcome = feedback::insert(&mut conn, row).await?;
            outcomes[*position] = Some(recorded(row.id, outcome.inserted, outcome.is_mismatch));
            if let (Inserted::New, Some(task)) = (outcome.inserted, outcome.task) {
                effects.of_feedback(row, task, outcome.is_mismatch);
            }
        }
        effects.write(&mut conn, &self.ids).await?;
        conn.commit().await?;
        Ok(outcomes.into_iter().flatten().collect())
    }
}

/// Records that are written together, by kind.
#[derive(Default)]
struct Group {
    interactions: Vec<Interaction>,
    /// What belongs to each interaction beside its row.
    contexts: Vec<InteractionContext>,
    /// Feedback with its position among all records.
    feedback: Vec<(usize, Box<Feedback>)>,
}

struct InteractionContext {
    /// Position among all records.
    position: usize,
    conversation: Option<String>,
    identity: Option<Identity>,
    teaches: bool,
    exposed: Option<Exposed>,
}

impl Group {
    fn of(records: Vec<Record>) -> Self {
        let mut group = Self::default();
        for (position, record) in records.into_iter().enumerate() {
            match record {
                Record::Interaction(record) => {
                    let InteractionRecord {
                        row,
                        conversation,
                        identity,
                        teaches,
                        exposed,
                    } = *record;
                    group.interactions.push(row);
                    group.contexts.push(InteractionContext {
                        position,
                        conversation,
                        identity,
                        teaches,
                        exposed,
                    });
                }
                Record::Feedback(feedback) => group.feedback.push((position, feedback)),
            }
        }
        group
    }
}

/// Joins feedback that came before its interaction. Only an id that the client gave can have been spoken of before.
async fn join_early_feedback(
    conn: &mut Conn,
    effects: &mut Effects,
    arrived: &[&Interaction],
) -> Result<(), StorageError> {
    let mut awaited: Option<(Uuid, bool)> = None;
    for row in arrived.iter().filter(|row| row.content_hash.is_some()) {
        let project = ProjectId(row.project_id);
        let is_awaited = match awaited {
            Some((known, is_awaited)) if known == row.project_id => is_awaited,
            _ => feedback::has_early(conn, project).await?,
        };
        awaited = Some((row.project_id, is_awaited));
        if !is_awaited {
            continue;
        }
        for joined in feedback::join_early_of(conn, project, InteractionId(row.id)).await? {
            effects.of_feedback(&joined, TaskId(row.task_id), joined.is_mismatch);
        }
    }
    Ok(())
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
