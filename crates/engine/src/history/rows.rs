//! Rows of a file as documents, one after the other, so that memory does not grow with the file. A JSON file that is one
//! list is the exception: it is held while it is read, and refused when it is large.

use std::fs::File;
use std::io::{BufRead, Read as _};
use std::path::Path;

use hone_domain::Document;
use parquet::file::reader::FileReader as _;
use parquet::file::serialized_reader::SerializedFileReader;
use serde_json::Value;

use crate::EngineError;
use crate::csv_rows::CsvRows;
use crate::transfer::read_lines;

/// The largest JSON file that is one list.
const MAX_JSON_BYTES: u64 = 256 << 20;
/// Fields under which exports hold their list.
const LISTS: [&str; 7] = [
    "data",
    "inferences",
    "observations",
    "records",
    "items",
    "scores",
    "feedback",
];

/// How a file holds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// One JSON object a line.
    Jsonl,
    /// One JSON list, or an object that holds one.
    Json,
    /// Comma-separated with a header line.
    Csv,
    /// Parquet without nested columns.
    Parquet,
}

impl RowFormat {
    /// The format that a file's name tells; lines of JSON when it tells none.
    pub fn of_file(file: &Path) -> Result<Self, EngineError> {
        match file.extension().and_then(|extension| extension.to_str()) {
            None | Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some("parquet") => Ok(Self::Parquet),
            Some(other) => {
                let detail =
                    format!("\".{other}\" is neither jsonl, json, csv nor parquet; say which with --format");
                Err(EngineError::field("", detail))
            }
        }
    }
}

/// Takes a row with its number (lines of JSONL and CSV from 1, other rows from 1), or why it cannot be read.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(usize, Result<Document, String>) -> Result<(), EngineError>;

/// Reads every row of a file after the first `skipped` numbers.
pub fn read_rows(
    file: &Path,
    format: RowFormat,
    skipped: usize,
    visit: Visit<'_>,
) -> Result<(), EngineError> {
    let mut visit = |number: usize, row: Result<Document, String>| {
        if number <= skipped {
            Ok(())
        } else {
            visit(number, row)
        }
    };
    let opened = File::open(file).map_err(EngineError::File)?;
    match format {
        RowFormat::Jsonl => read_lines(std::io::BufReader::new(opened), &mut |number, line| {
            visit(number, line.and_then(object_of))
        }),
        RowFormat::Json => read_json(opened, &mut visit),
        RowFormat::Csv => read_csv(std::io::BufReader::new(opened), &mut visit),
        RowFormat::Parquet => read_parquet(opened, &mut visit),
    }
}

fn object_of(line: &[u8]) -> Result<Document, String> {
    match serde_json::from_slice(line) {
        Ok(Value::Object(fields)) => Ok(Document(fields)),
        Ok(_) => Err("is no JSON object".to_owned()),
        Err(error) => Err(format!("is no JSON: {error}")),
    }
}

fn read_json(file: File, visit: Visit<'_>) -> Result<(), EngineError> {
    let mut text = String::new();
    let mut bounded = file.take(MAX_JSON_BYTES + 1);
    bounded.read_to_string(&mut text).map_err(EngineError::File)?;
    if text.len() as u64 > MAX_JSON_BYTES {
        let detail = format!("has more than {MAX_JSON_BYTES} bytes; export it as JSONL, one object a line");
        return Err(EngineError::field("", detail));
    }
    let refuse = |problem: String| EngineError::field("", problem);
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| refuse(format!("is no JSON: {error}")))?;
    let rows = match value {
        Value::Array(rows) => rows,
        Value::Object(mut fields) => {
            let list = LISTS
                .iter()
                .find(|name| fields.get(**name).is_some_and(Value::is_array));
            match list.and_then(|name| fields.remove(*name)) {
                Some(Value::Array(rows)) => rows,
                _ => vec![Value::Object(fields)],
            }
        }
        _ => return Err(refuse("is neither a list nor an object".to_owned())),
    };
    for (index, row) in rows.into_iter().enumerate() {
        let row = match row {
            Value::Object(fields) => Ok(Document(fields)),
            _ => Err("is no JSON object".to_owned()),
        };
        visit(index + 1, row)?;
    }
    Ok(())
}

fn read_csv(file: impl BufRead, visit: Visit<'_>) -> Result<(), EngineError> {
    let mut rows = CsvRows::new(file);
    let headers = rows.headers()?;
    while let Some((line, row)) = rows.next()? {
        let document = row.map(|row| {
            let fields = headers.iter().cloned().zip(row.iter().map(Value::from));
            Document(fields.collect())
        });
        visit(line, document)?;
    }
    Ok(())
}

fn read_parquet(file: File, visit: Visit<'_>) -> Result<(), EngineError> {
    let refuse =
        |error: parquet::errors::ParquetError| EngineError::field("", format!("is no Parquet file: {error}"));
    let reader = SerializedFileReader::new(file).map_err(refuse)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    if let Some(nested) = schema
        .columns()
        .iter()
        .find(|column| column.path().parts().len() > 1)
    {
        let detail = format!(
            "column \"{}\" is nested; write it as JSON in a text column",
            nested.path().string()
        );
        return Err(EngineError::field("", detail));
    }
    let rows = reader.get_row_iter(None).map_err(refuse)?;
    for (index, row) in rows.enumerate() {
        let row = row
            .map_err(|error| error.to_string())
            .and_then(|row| match row.to_json_value() {
                Value::Object(fields) => Ok(Document(fields)),
                _ => Err("is no row".to_owned()),
            });
        visit(index + 1, row)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn rows(text: &str, format: RowFormat, skipped: usize) -> Vec<(usize, Result<Document, String>)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut seen = Vec::new();
        read_rows(file.path(), format, skipped, &mut |number, row| {
            seen.push((number, row));
            Ok(())
        })
        .unwrap();
        seen
    }

    #[test]
    fn rows_come_with_their_numbers_and_broken_ones_do_not_end_the_file() {
        let seen = rows("{\"a\":1}\n\n{broken\n[1]\n{\"a\":2}", RowFormat::Jsonl, 0);
        assert_eq!(
            seen.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            [1, 3, 4, 5]
        );
        assert!(seen[1].1.is_err() && seen[2].1.is_err() && seen[3].1.is_ok());
        assert_eq!(
            rows("{\"a\":1}\n{\"a\":2}\n{\"a\":3}", RowFormat::Jsonl, 2)[0].0,
            3
        );
        let csv = rows("a,b\n1,\"two\nlines\"\n3\n5,6\n", RowFormat::Csv, 0);
        assert_eq!(csv[0].1.as_ref().unwrap().0["b"], "two\nlines");
        assert!(csv[1].1.is_err() && csv[2].1.is_ok(), "{csv:?}");
        assert_eq!(csv[2].0, 5);
        assert_eq!(rows("{\"data\":[{\"a\":1},7]}", RowFormat::Json, 0).len(), 2);
    }
}
