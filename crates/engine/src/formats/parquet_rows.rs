//! Examples as Apache Parquet: one row group for some thousand rows, so that memory does not grow with the file.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::{DatasetRow, EngineError};

const SCHEMA: &str = "message example {
    required binary id (UTF8);
    optional binary split (UTF8);
    required binary input (UTF8);
    optional binary label (UTF8);
    optional binary target (UTF8);
    required double weight;
    optional binary source (UTF8);
    optional double quality;
    optional binary judged_at (UTF8);
    optional binary language (UTF8);
    optional binary interaction_id (UTF8);
    optional binary conversation_id (UTF8);
}";
/// Rows of a row group, and bytes of their texts, at most.
const GROUP_ROWS: usize = 10_000;
const GROUP_BYTES: usize = 8 << 20;

/// Bytes that the writer writes and the export takes.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A Parquet file that is being written.
pub(super) struct ParquetRows {
    writer: SerializedFileWriter<Shared>,
    out: Shared,
    waiting: Vec<DatasetRow>,
    waiting_bytes: usize,
}

impl ParquetRows {
    pub fn new() -> Result<Self, EngineError> {
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(unwritable)?);
        let compression = Compression::ZSTD(ZstdLevel::try_new(3).map_err(unwritable)?);
        let properties = WriterProperties::builder().set_compression(compression).build();
        let out = Shared::default();
        let writer =
            SerializedFileWriter::new(out.clone(), schema, Arc::new(properties)).map_err(unwritable)?;
        Ok(Self {
            writer,
            out,
            waiting: Vec::new(),
            waiting_bytes: 0,
        })
    }

    pub fn write(&mut self, row: &DatasetRow) -> Result<(), EngineError> {
        self.waiting_bytes += row.input.len() + row.target.as_ref().map_or(0, String::len);
        self.waiting.push(row.clone());
        if self.waiting.len() >= GROUP_ROWS || self.waiting_bytes >= GROUP_BYTES {
            self.end_group()?;
        }
        Ok(())
    }

    pub fn take(&mut self) -> Vec<u8> {
        self.out.take()
    }

    pub fn finish(mut self) -> Result<Vec<u8>, EngineError> {
        if !self.waiting.is_empty() {
            self.end_group()?;
        }
        self.writer.finish().map_err(unwritable)?;
        Ok(self.out.take())
    }

    fn end_group(&mut self) -> Result<(), EngineError> {
        let rows = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let mut group = self.writer.next_row_group().map_err(unwritable)?;
        let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string());
        let texts: [Text<'_>; 5] = [
            &|row| Some(row.id.to_string()),
            &|row| row.split.map(|split| split.as_str().to_owned()),
            &|row| Some(row.input.clone()),
            &|row| row.label.clone(),
            &|row| row.target.clone(),
        ];
        for (column, text) in texts.iter().enumerate() {
            write_texts(&mut group, &rows, matches!(column, 0 | 2), text)?;
        }
        let weights: Vec<f64> = rows.iter().map(|row| row.weight).collect();
        write_numbers(&mut group, &weights, None)?;
        write_texts(&mut group, &rows, false, &|row| row.source.clone())?;
        let (known, levels) = split_levels(rows.iter().map(|row| row.quality));
        write_numbers(&mut group, &known, Some(&levels))?;
        write_texts(&mut group, &rows, false, &|row| row.judged_at.clone())?;
        write_texts(&mut group, &rows, false, &|row| row.language.clone())?;
        write_texts(&mut group, &rows, false, &|row| id(row.interaction_id))?;
        write_texts(&mut group, &rows, false, &|row| id(row.conversation_id))?;
        group.close().map_err(unwritable)?;
        Ok(())
    }
}

/// The values that are there, and of each row whether it has one.
fn split_levels<T>(values: impl Iterator<Item = Option<T>>) -> (Vec<T>, Vec<i16>) {
    let (mut known, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        known.extend(value);
    }
    (known, levels)
}

/// The text of a row in a column.
type Text<'a> = &'a dyn Fn(&DatasetRow) -> Option<String>;
type Group<'a> = SerializedRowGroupWriter<'a, Shared>;

fn write_texts(
    group: &mut Group<'_>,
    rows: &[DatasetRow],
    is_required: bool,
    text: Text<'_>,
) -> Result<(), EngineError> {
    let texts = rows
        .iter()
        .map(|row| text(row).map(|text| ByteArray::from(text.into_bytes())));
    let (known, levels) = split_levels(texts);
    let Some(mut column) = group.next_column().map_err(unwritable)? else {
        return Err(EngineError::Dataset("a column is missing".to_owned()));
    };
    let levels = (!is_required).then_some(levels.as_slice());
    column
        .typed::<ByteArrayType>()
        .write_batch(&known, levels, None)
        .map_err(unwritable)?;
    column.close().map_err(unwritable)
}

fn write_numbers(group: &mut Group<'_>, known: &[f64], levels: Option<&[i16]>) -> Result<(), EngineError> {
    let Some(mut column) = group.next_column().map_err(unwritable)? else {
        return Err(EngineError::Dataset("a column is missing".to_owned()));
    };
    column
        .typed::<DoubleType>()
        .write_batch(known, levels, None)
        .map_err(unwritable)?;
    column.close().map_err(unwritable)
}

#[expect(clippy::needless_pass_by_value, reason = "as an error mapper")]
fn unwritable(error: ParquetError) -> EngineError {
    EngineError::Dataset(format!("the Parquet file cannot be written: {error}"))
}
