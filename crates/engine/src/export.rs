//! Exports of any size: read page by page, written in chunks that whoever asked takes one after the other.

use bytes::Bytes;
use hone_domain::{FeedbackSource, Split, format_rfc3339};
use hone_storage::datasets::Dataset;
use hone_storage::examples::{self, Example, Filter};
use hone_storage::tasks::Task;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::formats::RowWriter;
use crate::freeze::DatasetReader;
use crate::preferences::{PreferenceFilter, PreferenceStatistics, Preferences};
use crate::{DatasetRow, Engine, EngineError, ExportFormat};

/// Rows read at a time.
const PAGE: i64 = 1_000;
/// A piece of the file is given when it has so many bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that wait for whoever takes them.
const WAITING: usize = 4;

/// What is exported, and how; absent fields do not restrict.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// How it is written. Preference formats are made from feedback, the others from examples.
    pub format: ExportFormat,
    /// Rows of this part alone.
    pub split: Option<Split>,
    /// Rows with this label alone.
    pub label: Option<String>,
    /// Rows that rest on this one's word alone.
    pub source: Option<FeedbackSource>,
    /// Rows of this quality and better alone.
    pub min_quality: Option<f64>,
    /// Rows that were judged then or later alone.
    pub from_us: Option<i64>,
    /// Rows that were judged before alone.
    pub until_us: Option<i64>,
    /// Pairs of which neither answer is more than so many times as long as the other alone.
    pub max_length_ratio: Option<f64>,
}

impl ExportRequest {
    /// Everything, in a format.
    pub fn new(format: ExportFormat) -> Self {
        Self {
            format,
            split: None,
            label: None,
            source: None,
            min_quality: None,
            from_us: None,
            until_us: None,
            max_length_ratio: None,
        }
    }

    /// Refuses numbers that cannot be, and filters that the format knows nothing of.
    pub fn check(&self) -> Result<(), EngineError> {
        let refuse = |pointer: &str, detail: &str| Err(EngineError::field(pointer, detail));
        if self
            .min_quality
            .is_some_and(|quality| !(0.0..=1.0).contains(&quality))
        {
            return refuse("/min_quality", "give a number from 0 to 1");
        }
        if self
            .max_length_ratio
            .is_some_and(|ratio| !(1.0..=1e6).contains(&ratio))
        {
            return refuse("/max_length_ratio", "give 1 or more");
        }
        if !self.format.is_of_preferences() {
            return match self.max_length_ratio {
                Some(_) => refuse("/max_length_ratio", "is for formats of preferences alone"),
                None => Ok(()),
            };
        }
        for (pointer, is_there) in [
            ("/split", self.split.is_some()),
            ("/label", self.label.is_some()),
            ("/min_quality", self.min_quality.is_some()),
        ] {
            if is_there {
                let detail = "preferences come from feedback and have none; filter by from, until, source or max_length_ratio";
                return refuse(pointer, detail);
            }
        }
        Ok(())
    }

    fn takes(&self, row: &DatasetRow) -> bool {
        let is_in_time = |from: Option<i64>, until: Option<i64>| {
            let judged = row.judged_at.as_deref().and_then(hone_domain::parse_rfc3339);
            from.is_none_or(|from| judged.is_some_and(|judged| judged >= from))
                && until.is_none_or(|until| judged.is_some_and(|judged| judged < until))
        };
        let source = self.source.map(FeedbackSource::as_str);
        self.split.is_none_or(|split| row.split == Some(split))
            && self
                .label
                .as_ref()
                .is_none_or(|label| row.label.as_ref() == Some(label))
            && source.is_none_or(|source| row.source.as_deref() == Some(source))
            && self
                .min_quality
                .is_none_or(|least| row.quality.is_some_and(|quality| quality >= least))
            && is_in_time(self.from_us, self.until_us)
    }
}

/// What an export wrote.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct ExportReport {
    /// Rows.
    pub rows: usize,
    /// For preference formats: what they are made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferences: Option<PreferenceStatistics>,
}

/// An export that is being written.
#[derive(Debug)]
pub struct Export {
    chunks: mpsc::Receiver<Bytes>,
    written: Option<oneshot::Receiver<Result<ExportReport, EngineError>>>,
    report: Option<ExportReport>,
}

impl Export {
    /// The next piece of the file; `None` when all of it has been given. What broke off ends with an error and never like a
    /// file that is whole.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, EngineError> {
        if let Some(chunk) = self.chunks.recv().await {
            return Ok(Some(chunk));
        }
        let Some(written) = self.written.take() else {
            return Ok(None);
        };
        let broke_off = |_| EngineError::Dataset("the export broke off".to_owned());
        self.report = Some(written.await.map_err(broke_off)??);
        Ok(None)
    }

    /// What was written, once all of it has been given.
    pub fn report(&self) -> Option<&ExportReport> {
        self.report.as_ref()
    }
}

impl Engine {
    /// Exports the usable examples of a task as they are now, or the preferences of its feedback.
    pub fn export_task(&self, task: Task, request: ExportRequest) -> Export {
        self.export(request, move |engine, request, sender| async move {
            if request.format.is_of_preferences() {
                engine.write_preferences(&task, &request, &sender).await
            } else {
                engine.write_task(&task, &request, &sender).await
            }
        })
    }

    /// Exports a frozen dataset.
    pub fn export_dataset(&self, dataset: Dataset, request: ExportRequest) -> Export {
        self.export(request, move |engine, request, sender| async move {
            engine.write_dataset(&dataset, &request, &sender).await
        })
    }

    fn export<F>(
        &self,
        request: ExportRequest,
        write: impl FnOnce(Self, ExportRequest, Sender) -> F + Send + 'static,
    ) -> Export
    where
        F: Future<Output = Result<ExportReport, EngineError>> + Send + 'static,
    {
        let (sender, chunks) = mpsc::channel(WAITING);
        let (tell, written) = oneshot::channel();
        let engine = self.clone();
        let stop = self.stopping();
        self.tracker().spawn(async move {
            let written = tokio::select! {
                written = write(engine, request, Sender(sender)) => written,
                () = stop.cancelled() => Err(EngineError::ShuttingDown),
            };
            // Whoever has gone away misses what became of it.
            let _ = tell.send(written);
        });
        Export {
            chunks,
            written: Some(written),
            report: None,
        }
    }

    async fn write_task(
        &self,
        task: &Task,
        request: &ExportRequest,
        sender: &Sender,
    ) -> Result<ExportReport, EngineError> {
        let mut writer = RowWriter::new(request.format)?;
        let filter = Filter {
            label: request.label.clone(),
            source: request.source,
            min_quality: request.min_quality,
            from_us: request.from_us,
            until_us: request.until_us,
            ..Filter::default()
        };
        let split = request.split.map(Split::as_str);
        let mut after = Uuid::nil();
        loop {
            let mut conn = self.db.read().await?;
            let page =
                examples::list_to_export(&mut conn, task.task_id(), &filter, split, after, PAGE).await?;
            drop(conn);
            let Some(last) = page.last() else { break };
            after = last.id;
            let rows: Vec<DatasetRow> = page.into_iter().map(row_of).collect();
            write_rows(&mut writer, &rows, sender).await?;
        }
        finish(writer, sender, None).await
    }

    async fn write_dataset(
        &self,
        dataset: &Dataset,
        request: &ExportRequest,
        sender: &Sender,
    ) -> Result<ExportReport, EngineError> {
        let mut writer = RowWriter::new(request.format)?;
        let mut reader = DatasetReader::new(self.artifacts.get(&dataset.content_hash).await?)?;
        loop {
            let mut rows = reader.next_page(PAGE as usize)?;
            if rows.is_empty() {
                break;
            }
            rows.retain(|row| request.takes(row));
            write_rows(&mut writer, &rows, sender).await?;
        }
        finish(writer, sender, None).await
    }

    async fn write_preferences(
        &self,
        task: &Task,
        request: &ExportRequest,
        sender: &Sender,
    ) -> Result<ExportReport, EngineError> {
        let mut writer = RowWriter::new(request.format)?;
        let filter = PreferenceFilter {
            from_us: request.from_us,
            until_us: request.until_us,
            source: request.source,
            max_length_ratio: request.max_length_ratio,
        };
        let mut preferences = Preferences::of(self, task, &filter).await?;
        while let Some(page) = preferences.next_page().await? {
            for row in &page {
                writer.write_preference(row)?;
            }
            sender.send(writer.take()).await?;
        }
        finish(writer, sender, Some(preferences.statistics)).await
    }

    /// Counts the preferences of a task.
    pub async fn preference_statistics(
        &self,
        task: &Task,
        filter: &PreferenceFilter,
    ) -> Result<PreferenceStatistics, EngineError> {
        let mut preferences = Preferences::of(self, task, filter).await?;
        while preferences.next_page().await?.is_some() {}
        Ok(preferences.statistics)
    }
}

/// Writes rows one by one, so that what waits does not grow with their texts.
async fn write_rows(writer: &mut RowWriter, rows: &[DatasetRow], sender: &Sender) -> Result<(), EngineError> {
    for row in rows {
        writer.write_example(row)?;
        if writer.waiting_bytes() >= CHUNK_BYTES {
            sender.send(writer.take()).await?;
        }
    }
    sender.send(writer.take()).await
}

async fn finish(
    writer: RowWriter,
    sender: &Sender,
    preferences: Option<PreferenceStatistics>,
) -> Result<ExportReport, EngineError> {
    let rows = writer.count();
    sender.send(writer.finish()?).await?;
    Ok(ExportReport { rows, preferences })
}

/// The way to whoever takes the chunks.
struct Sender(mpsc::Sender<Bytes>);

impl Sender {
    async fn send(&self, chunk: Vec<u8>) -> Result<(), EngineError> {
        if chunk.is_empty() {
            return Ok(());
        }
        let sent = self.0.send(chunk.into()).await;
        sent.map_err(|_| EngineError::ShuttingDown)
    }
}

/// An example as it is written; one that is in no dataset yet has no part.
fn row_of(example: Example) -> DatasetRow {
    let split = example.split.as_deref().and_then(|split| split.parse().ok());
    let weight = example.weight;
    DatasetRow::of(example, split, weight)
}

impl DatasetRow {
    /// An example in a part, with the weight that it has there.
    pub(crate) fn of(example: Example, split: Option<Split>, weight: f64) -> Self {
        Self {
            id: example.id,
            split,
            input: example.input.0,
            label: example.label,
            target: example.target.0,
            weight,
            interaction_id: example.interaction_id,
            conversation_id: example.conversation_id,
            source: example.source,
            quality: example.quality,
            language: example.language,
            topics: example.topics,
            judged_at: Some(format_rfc3339(example.judged_at_us)),
        }
    }
}
