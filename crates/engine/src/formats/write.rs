//! Datasets as files: our own rows, and what other tools train on.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

use hone_domain::Split;
use serde_json::json;

use crate::{DatasetRow, EngineError};

/// What a dataset is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object a line, with everything about an example.
    Jsonl,
    /// The same as one JSON list.
    Json,
    /// Comma-separated with a header line.
    Csv,
    /// Chats of OpenAI's supervised fine-tuning: a question and its right answer or label.
    OpenAiChat,
    /// TRL's `prompt` and `completion`.
    Sft,
}

impl ExportFormat {
    /// The format that a file's name tells; JSONL when it tells none.
    pub fn of_file(file: &Path) -> Result<Self, EngineError> {
        match file.extension().and_then(|extension| extension.to_str()) {
            None | Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some(other) => {
                let detail = format!("\".{other}\" is none of jsonl, json, csv; say which with --format");
                Err(EngineError::field("", detail))
            }
        }
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jsonl | Self::OpenAiChat | Self::Sft => "application/x-ndjson",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// Writes the rows of a dataset, all or those of one part; gives how many. CSV cells that a spreadsheet would run as a formula
/// are prefixed with an apostrophe.
pub fn write_dataset(
    rows: &[DatasetRow],
    format: ExportFormat,
    split: Option<Split>,
    mut out: impl Write,
) -> std::io::Result<usize> {
    let rows = rows
        .iter()
        .filter(|row| split.is_none_or(|split| row.split == split));
    if format == ExportFormat::Csv {
        return write_csv(rows, out);
    }
    let mut count = 0;
    for row in rows {
        let line = match format {
            ExportFormat::Jsonl | ExportFormat::Json | ExportFormat::Csv => serde_json::to_string(row)?,
            ExportFormat::OpenAiChat => json!({ "messages": [
                { "role": "user", "content": row.input },
                { "role": "assistant", "content": answer(row) },
            ] })
            .to_string(),
            ExportFormat::Sft => json!({ "prompt": row.input, "completion": answer(row) }).to_string(),
        };
        let before = match (format, count) {
            (ExportFormat::Json, 0) => "[\n",
            (ExportFormat::Json, _) => ",\n",
            _ => "",
        };
        let end = if format == ExportFormat::Json { "" } else { "\n" };
        write!(out, "{before}{line}{end}")?;
        count += 1;
    }
    if format == ExportFormat::Json {
        out.write_all(if count == 0 { b"[]\n" } else { b"\n]\n" })?;
    }
    out.flush()?;
    Ok(count)
}

/// What is right to say: the answer of a generate task, the label of a classify task.
fn answer(row: &DatasetRow) -> &str {
    row.target.as_deref().or(row.label.as_deref()).unwrap_or_default()
}

fn write_csv<'a>(rows: impl Iterator<Item = &'a DatasetRow>, out: impl Write) -> std::io::Result<usize> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["id", "split", "input", "label", "target", "weight"])?;
    let mut count = 0;
    for row in rows {
        writer.write_record([
            row.id.to_string().as_str(),
            row.split.as_str(),
            &inert_cell(&row.input),
            &inert_cell(row.label.as_deref().unwrap_or_default()),
            &inert_cell(row.target.as_deref().unwrap_or_default()),
            &row.weight.to_string(),
        ])?;
        count += 1;
    }
    writer.flush()?;
    Ok(count)
}

fn inert_cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TrainingFormat, check_file};
    use super::*;

    fn rows() -> Vec<DatasetRow> {
        let row = |input: &str, label: Option<&str>, target: Option<&str>, split| DatasetRow {
            id: uuid::Uuid::from_u128(7),
            split,
            input: input.to_owned(),
            label: label.map(str::to_owned),
            target: target.map(str::to_owned),
            weight: 1.0,
            interaction_id: None,
            conversation_id: None,
        };
        vec![
            row("where is \"it\"\n?", Some("order"), None, Split::Train),
            row("=SUM(A1)", None, Some("No."), Split::Test),
        ]
    }

    fn written(format: ExportFormat, split: Option<Split>) -> String {
        let mut out = Vec::new();
        write_dataset(&rows(), format, split, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_written_for_others_is_what_they_take() {
        for (format, checked) in [
            (ExportFormat::OpenAiChat, TrainingFormat::OpenAiChat),
            (ExportFormat::Sft, TrainingFormat::Sft),
        ] {
            let report = check_file(written(format, None).as_bytes(), checked).unwrap();
            assert_eq!((report.good, report.problems.len()), (2, 0), "{format:?}");
        }
        assert_eq!(
            written(ExportFormat::Sft, Some(Split::Test)),
            "{\"completion\":\"No.\",\"prompt\":\"=SUM(A1)\"}\n"
        );
    }

    #[test]
    fn our_own_rows_come_back_as_they_were() {
        let lines = written(ExportFormat::Jsonl, None);
        let read: Vec<DatasetRow> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, rows());
        let list: Vec<DatasetRow> = serde_json::from_str(&written(ExportFormat::Json, None)).unwrap();
        assert_eq!(list, rows());
        let mut none = Vec::new();
        assert_eq!(
            write_dataset(&[], ExportFormat::Json, None, &mut none).unwrap(),
            0
        );
        assert_eq!(none, b"[]\n");
        assert!(
            written(ExportFormat::Csv, None).contains(",'=SUM(A1),"),
            "no formula runs"
        );
    }
}
