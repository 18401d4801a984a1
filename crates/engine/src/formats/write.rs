//! Rows as other tools read them: our own rows, and what is trained on elsewhere. Page by page, so that memory does not grow
//! with the export.

use std::borrow::Cow;
use std::path::Path;

use rustc_hash::FxHashSet;
use serde_json::{Value, json};

use super::parquet_rows::ParquetRows;
use crate::preferences::{Judged, Pair, PreferenceRow, row_key};
use crate::transfer::FORMULA_STARTS;
use crate::{DatasetRow, EngineError, RowFormat};

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object a line, with everything about an example.
    Jsonl,
    /// The same as one JSON list.
    Json,
    /// Comma-separated with a header line.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// Chats of OpenAI's supervised fine-tuning: a question and its right answer or label.
    OpenAiChat,
    /// TRL's `prompt` and `completion`.
    Sft,
    /// OpenAI's preference rows, for DPO.
    OpenAiPreference,
    /// TRL's `prompt`, `chosen` and `rejected`.
    Preference,
    /// TRL's unpaired rows: `prompt`, `completion` and whether it is good.
    Kto,
}

impl ExportFormat {
    /// The format that a file's name tells; JSONL when it tells none.
    pub fn of_file(file: &Path) -> Result<Self, EngineError> {
        RowFormat::of_file(file).map(|format| match format {
            RowFormat::Jsonl => Self::Jsonl,
            RowFormat::Json => Self::Json,
            RowFormat::Csv => Self::Csv,
            RowFormat::Parquet => Self::Parquet,
        })
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jsonl
            | Self::OpenAiChat
            | Self::Sft
            | Self::OpenAiPreference
            | Self::Preference
            | Self::Kto => "application/x-ndjson",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Whether its rows are preferences, which come from feedback, and not examples.
    pub const fn is_of_preferences(self) -> bool {
        matches!(self, Self::OpenAiPreference | Self::Preference | Self::Kto)
    }
}

/// Writes rows in a format. CSV cells that a spreadsheet would run as a formula are prefixed with an apostrophe.
pub(crate) struct RowWriter {
    format: ExportFormat,
    count: usize,
    out: Vec<u8>,
    parquet: Option<ParquetRows>,
    /// Answers that have been written, where each may be once.
    seen: FxHashSet<[u8; 16]>,
}

impl RowWriter {
    pub fn new(format: ExportFormat) -> Result<Self, EngineError> {
        let mut writer = Self {
            format,
            count: 0,
            out: Vec::new(),
            parquet: None,
            seen: FxHashSet::default(),
        };
        match format {
            ExportFormat::Csv => writer.csv_record(&CSV_COLUMNS)?,
            ExportFormat::Parquet => writer.parquet = Some(ParquetRows::new()?),
            _ => {}
        }
        Ok(writer)
    }

    /// How many rows have been written.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes that have been written and not been taken.
    pub fn waiting_bytes(&self) -> usize {
        self.out.len()
    }

    /// Adds an example.
    pub fn write_example(&mut self, row: &DatasetRow) -> Result<(), EngineError> {
        if let Some(parquet) = &mut self.parquet {
            self.count += 1;
            return parquet.write(row);
        }
        match self.format {
            ExportFormat::Csv => self.csv_row(row),
            ExportFormat::OpenAiChat => self.line(&json!({ "messages": [
                { "role": "user", "content": row.input },
                { "role": "assistant", "content": answer(row) },
            ] })),
            ExportFormat::Sft => self.line(&json!({ "prompt": row.input, "completion": answer(row) })),
            _ => self.line(row),
        }
    }

    /// Adds a preference, where the format takes such.
    pub fn write_preference(&mut self, row: &PreferenceRow) -> Result<(), EngineError> {
        match (self.format, row) {
            (ExportFormat::OpenAiPreference, PreferenceRow::Pair(pair)) => self.line(&json!({
                "input": { "messages": pair.prompt },
                "preferred_output": [{ "role": "assistant", "content": pair.chosen }],
                "non_preferred_output": [{ "role": "assistant", "content": pair.rejected }],
            })),
            (ExportFormat::Preference, PreferenceRow::Pair(pair)) => self.line(&trl_pair(pair)),
            (ExportFormat::Kto, PreferenceRow::Judged(judged)) => self.judged(judged),
            // A pair is a good and a bad answer as well.
            (ExportFormat::Kto, PreferenceRow::Pair(pair)) => {
                for (text, good) in [(&pair.chosen, true), (&pair.rejected, false)] {
                    self.judged(&Judged {
                        prompt: pair.prompt.clone(),
                        completion: text.clone(),
                        good,
                    })?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Adds an answer that is good or not, unless the same answer has been given: it would be said to be both.
    fn judged(&mut self, judged: &Judged) -> Result<(), EngineError> {
        let key = row_key(&judged.prompt, &[&judged.completion]);
        if self.seen.insert(key) {
            self.line(&kto(judged))?;
        }
        Ok(())
    }

    fn line(&mut self, row: &impl serde::Serialize) -> Result<(), EngineError> {
        let is_list = self.format == ExportFormat::Json;
        if is_list {
            let before: &[u8] = if self.count == 0 { b"[\n" } else { b",\n" };
            self.out.extend_from_slice(before);
        }
        serde_json::to_writer(&mut self.out, row).map_err(|error| EngineError::Dataset(error.to_string()))?;
        if !is_list {
            self.out.push(b'\n');
        }
        self.count += 1;
        Ok(())
    }

    fn csv_row(&mut self, row: &DatasetRow) -> Result<(), EngineError> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (label, target) = (text(&row.label), text(&row.target));
        let quality = row
            .quality
            .map_or_else(String::new, |quality| quality.to_string());
        self.csv_record(&[
            row.id.to_string().as_str(),
            row.split.map_or("", hone_domain::Split::as_str),
            &inert_cell(&row.input),
            &inert_cell(&label),
            &inert_cell(&target),
            &row.weight.to_string(),
            row.source.as_deref().unwrap_or_default(),
            &quality,
            row.judged_at.as_deref().unwrap_or_default(),
        ])?;
        self.count += 1;
        Ok(())
    }

    fn csv_record(&mut self, cells: &[&str]) -> Result<(), EngineError> {
        let unwritable = |error: &dyn std::fmt::Display| EngineError::Dataset(error.to_string());
        let mut writer = csv::Writer::from_writer(&mut self.out);
        writer.write_record(cells).map_err(|error| unwritable(&error))?;
        writer.flush().map_err(|error| unwritable(&error))
    }

    /// What has been written since it was last asked for.
    pub fn take(&mut self) -> Vec<u8> {
        match &mut self.parquet {
            Some(parquet) => parquet.take(),
            None => std::mem::take(&mut self.out),
        }
    }

    /// Ends the file; gives the rest of it.
    pub fn finish(mut self) -> Result<Vec<u8>, EngineError> {
        if let Some(parquet) = self.parquet {
            return parquet.finish();
        }
        if self.format == ExportFormat::Json {
            let end: &[u8] = if self.count == 0 { b"[]\n" } else { b"\n]\n" };
            self.out.extend_from_slice(end);
        }
        Ok(self.out)
    }
}

const CSV_COLUMNS: [&str; 9] = [
    "id",
    "split",
    "input",
    "label",
    "target",
    "weight",
    "source",
    "quality",
    "judged_at",
];

/// TRL takes a text for a prompt of one message, and lists of messages for a longer one.
fn trl_pair(pair: &Pair) -> Value {
    match only_text(&pair.prompt) {
        Some(prompt) => json!({ "prompt": prompt, "chosen": pair.chosen, "rejected": pair.rejected }),
        None => json!({
            "prompt": pair.prompt, "chosen": [{ "role": "assistant", "content": pair.chosen }],
            "rejected": [{ "role": "assistant", "content": pair.rejected }],
        }),
    }
}

fn kto(judged: &Judged) -> Value {
    match only_text(&judged.prompt) {
        Some(prompt) => json!({ "prompt": prompt, "completion": judged.completion, "label": judged.good }),
        None => json!({
            "prompt": judged.prompt, "completion": [{ "role": "assistant", "content": judged.completion }],
            "label": judged.good,
        }),
    }
}

fn only_text(prompt: &[Value]) -> Option<&str> {
    match prompt {
        [only] => only["content"].as_str(),
        _ => None,
    }
}

/// What is right to say: the answer of a generate task, the label of a classify task.
fn answer(row: &DatasetRow) -> &str {
    row.target.as_deref().or(row.label.as_deref()).unwrap_or_default()
}

fn inert_cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(FORMULA_STARTS) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use hone_domain::Split;

    use super::super::{TrainingFormat, check_file};
    use super::*;

    fn rows() -> Vec<DatasetRow> {
        let row = |input: &str, label: Option<&str>, target: Option<&str>, split| DatasetRow {
            id: uuid::Uuid::from_u128(7),
            split: Some(split),
            input: input.to_owned(),
            label: label.map(str::to_owned),
            target: target.map(str::to_owned),
            weight: 1.0,
            quality: Some(0.8),
            ..DatasetRow::default()
        };
        vec![
            row("where is \"it\"\n?", Some("order"), None, Split::Train),
            row("=SUM(A1)", None, Some("No."), Split::Test),
        ]
    }

    fn written(format: ExportFormat, pages: &[&[DatasetRow]]) -> Vec<u8> {
        let mut writer = RowWriter::new(format).unwrap();
        let mut all = Vec::new();
        for page in pages {
            for row in *page {
                writer.write_example(row).unwrap();
            }
            all.extend(writer.take());
        }
        all.extend(writer.finish().unwrap());
        all
    }

    fn text(format: ExportFormat, pages: &[&[DatasetRow]]) -> String {
        String::from_utf8(written(format, pages)).unwrap()
    }

    #[test]
    fn what_is_written_for_others_is_what_they_take() {
        for (format, checked) in [
            (ExportFormat::OpenAiChat, TrainingFormat::OpenAiChat),
            (ExportFormat::Sft, TrainingFormat::Sft),
        ] {
            let report = check_file(text(format, &[&rows()]).as_bytes(), checked).unwrap();
            assert_eq!((report.good, report.problems.len()), (2, 0), "{format:?}");
        }
        let preferences = [
            PreferenceRow::Pair(Pair {
                prompt: vec![json!({ "role": "user", "content": "hi" })],
                chosen: "Hello.".to_owned(),
                rejected: "What?".to_owned(),
            }),
            PreferenceRow::Pair(Pair {
                prompt: vec![
                    json!({ "role": "system", "content": "Be kind." }),
                    json!({ "role": "user", "content": "hi" }),
                ],
                chosen: "Hello.".to_owned(),
                rejected: "What?".to_owned(),
            }),
            PreferenceRow::Judged(Judged {
                prompt: vec![json!({ "role": "user", "content": "hi" })],
                completion: "Hello.".to_owned(),
                good: true,
            }),
        ];
        for (format, checked, lines) in [
            (
                ExportFormat::OpenAiPreference,
                TrainingFormat::OpenAiPreference,
                2,
            ),
            (ExportFormat::Preference, TrainingFormat::Preference, 2),
            (ExportFormat::Kto, TrainingFormat::Kto, 4),
        ] {
            let mut writer = RowWriter::new(format).unwrap();
            for row in &preferences {
                writer.write_preference(row).unwrap();
            }
            let file = writer.finish().unwrap();
            let report = check_file(file.as_slice(), checked).unwrap();
            assert_eq!(
                (report.good, report.problems.len()),
                (lines, 0),
                "{format:?}: {report:?}"
            );
        }
    }

    #[test]
    fn our_own_rows_come_back_as_they_were_however_they_are_paged() {
        let all = rows();
        let (first, second) = all.split_at(1);
        let lines = text(ExportFormat::Jsonl, &[first, second]);
        let read: Vec<DatasetRow> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, all);
        let list: Vec<DatasetRow> =
            serde_json::from_str(&text(ExportFormat::Json, &[first, second])).unwrap();
        assert_eq!(list, all);
        assert_eq!(text(ExportFormat::Json, &[]), "[]\n");
        let csv = text(ExportFormat::Csv, &[first, second]);
        assert_eq!(csv.matches("judged_at").count(), 1);
        assert!(csv.contains(",'=SUM(A1),"), "no formula runs");
    }

    #[test]
    fn parquet_comes_back_as_it_was() {
        let mut file = tempfile::Builder::new().suffix(".parquet").tempfile().unwrap();
        let all = rows();
        std::io::Write::write_all(&mut file, &written(ExportFormat::Parquet, &[&all, &all])).unwrap();
        let mut read = Vec::new();
        crate::read_rows(file.path(), RowFormat::Parquet, 0, &mut |_, row| {
            read.push(row.unwrap().0);
            Ok(())
        })
        .unwrap();
        assert_eq!(read.len(), 4);
        assert_eq!(
            (&read[1]["input"], &read[1]["target"]),
            (&json!("=SUM(A1)"), &json!("No."))
        );
        assert_eq!(
            (&read[0]["label"], &read[0]["split"]),
            (&json!("order"), &json!("train"))
        );
        assert_eq!(read[0]["quality"], 0.8);
        assert!(read[0]["target"].is_null());
    }
}
