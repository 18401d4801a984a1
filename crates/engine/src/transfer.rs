//! Examples out of files: JSONL and CSV line by line, Parquet row by row, so that memory does not grow with the file; and
//! chats and prompts with their completions, as other tools train on them.

use std::io::BufRead;
use std::path::Path;

use hone_domain::{Document, NewExample, Split, answer_text, last_of_user, message_of};
use serde_json::Value;

use crate::csv_rows::CsvRows;
use crate::{EngineError, RowFormat, read_rows};

/// Refused lines that are listed; the rest is counted.
const MAX_LISTED: usize = 1_000;
/// What a cell begins with that a spreadsheet runs as a formula.
pub(crate) const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];
/// The longest line that is read; a longer one is refused without holding it.
const MAX_LINE_BYTES: usize = 1 << 20;

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RefusedLine {
    /// Its number, from 1.
    pub line: usize,
    /// Why, and what to do.
    pub problem: String,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ImportReport {
    /// Lines read.
    pub lines: usize,
    /// Examples taken.
    pub approved: usize,
    /// Examples kept out of datasets, such as duplicates.
    pub rejected: usize,
    /// Lines that were brought in before.
    pub already: usize,
    /// Lines that could not be read, the first thousand of them.
    pub refused: Vec<RefusedLine>,
    /// Further ones that are not listed.
    pub more_refused: usize,
}

impl ImportReport {
    /// Notes a line that was not taken.
    pub fn refuse(&mut self, line: usize, problem: String) {
        if self.refused.len() < MAX_LISTED {
            self.refused.push(RefusedLine { line, problem });
        } else {
            self.more_refused += 1;
        }
    }
}

/// The fields of one line or row, under the names that the documents and other tools use. Others are passed over: files
/// have columns that are none of our business.
#[derive(serde::Deserialize)]
struct Line {
    #[serde(
        alias = "text",
        alias = "prompt",
        alias = "user_message",
        alias = "input_prompt"
    )]
    input: String,
    #[serde(default, alias = "intent")]
    label: Option<String>,
    #[serde(default, alias = "completion", alias = "target_output", alias = "response")]
    target: Option<String>,
    #[serde(default)]
    weight: Option<f64>,
    #[serde(default, alias = "conversation_id")]
    conversation: Option<String>,
    #[serde(default)]
    split: Option<Split>,
}

impl From<Line> for NewExample {
    fn from(line: Line) -> Self {
        let Line {
            input,
            label,
            target,
            weight,
            conversation,
            split,
        } = line;
        Self {
            id: None,
            input,
            label: label.filter(|label| !label.is_empty()),
            target: target.filter(|target| !target.is_empty()),
            weight,
            conversation: conversation.filter(|name| !name.is_empty()),
            split,
        }
    }
}

/// Reads lines and hands each over with its number: an example, or why it cannot be one. `visit` ends the reading by an
/// error. Lists and Parquet cannot be read line by line: [`read_example_file`] reads them.
pub fn read_examples(
    file: impl BufRead,
    format: RowFormat,
    mut visit: impl FnMut(usize, Result<NewExample, String>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    match format {
        RowFormat::Jsonl => read_jsonl(file, &mut visit),
        RowFormat::Csv => read_csv(file, &mut visit),
        RowFormat::Json | RowFormat::Parquet => {
            let detail = "is not read from a stream; give a file";
            Err(EngineError::field("/file", detail))
        }
    }
}

/// The same for a file of any format.
pub fn read_example_file(
    file: &Path,
    format: RowFormat,
    mut visit: impl FnMut(usize, Result<NewExample, String>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    read_rows(file, format, 0, &mut |number, row| {
        visit(number, row.and_then(example_of))
    })
}

/// The example that a row is: in fields of its own, as a chat, or as a prompt with its completion.
fn example_of(Document(mut fields): Document) -> Result<NewExample, String> {
    if let Some(example) = example_of_chat(&fields) {
        return example;
    }
    // A column that is there for every row is empty where a row has no value.
    fields.retain(|_, value| !value.is_null());
    let names: Vec<String> = fields.keys().cloned().collect();
    let line: Result<Line, _> = serde_json::from_value(Value::Object(fields));
    line.map(NewExample::from).map_err(|error| {
        let has = names.join(", ");
        format!("{error}; the row has {has}: it needs input (or text, prompt) and label, or target (or completion)")
    })
}

/// The example that a chat is: its last answer, and the last message of the person before.
fn example_of_chat(fields: &serde_json::Map<String, Value>) -> Option<Result<NewExample, String>> {
    let (before, answer) = match (fields.get("messages"), fields.get("prompt")) {
        (Some(Value::Array(messages)), _) => {
            let (last, before) = messages.split_last()?;
            if last["role"] != "assistant" {
                return Some(Err("messages does not end with the assistant's answer".to_owned()));
            }
            (before, last)
        }
        (None, Some(Value::Array(prompt))) => (prompt.as_slice(), fields.get("completion")?),
        _ => return None,
    };
    let before: Vec<Value> = before.iter().map(message_of).collect();
    let Some(input) = last_of_user(&before) else {
        return Some(Err("has no message of the user before the answer".to_owned()));
    };
    let Some(target) = answer_text(answer) else {
        return Some(Err("the answer says nothing".to_owned()));
    };
    Some(Ok(NewExample {
        input,
        target: Some(target),
        ..NewExample::default()
    }))
}

type Visit<'a> = &'a mut dyn FnMut(usize, Result<NewExample, String>) -> Result<(), EngineError>;

fn read_jsonl(file: impl BufRead, visit: Visit<'_>) -> Result<(), EngineError> {
    read_lines(file, &mut |number, line| visit(number, line.and_then(parse_line)))
}

/// Takes a line with its number from 1, or why it cannot be read.
pub(crate) type VisitLine<'a> = &'a mut dyn FnMut(usize, Result<&[u8], String>) -> Result<(), EngineError>;

/// Hands over each line that is not empty with its number from 1, or says that it is too long.
pub(crate) fn read_lines(mut file: impl BufRead, visit: VisitLine<'_>) -> Result<(), EngineError> {
    let mut line = Vec::new();
    let mut number = 0;
    while let Some(too_long) = read_line(&mut file, &mut line)? {
        number += 1;
        let text = without_mark(&line, number).trim_ascii();
        if too_long {
            visit(
                number,
                Err(format!("is longer than {MAX_LINE_BYTES} bytes; shorten it")),
            )?;
        } else if !text.is_empty() {
            visit(number, Ok(text))?;
        }
    }
    Ok(())
}

/// The first line without the byte order mark that some editors write before it.
fn without_mark(line: &[u8], number: usize) -> &[u8] {
    match line.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) if number == 1 => rest,
        _ => line,
    }
}

fn parse_line(text: &[u8]) -> Result<NewExample, String> {
    let plain = hone_domain::parse_json::<Line>(text);
    plain.map(NewExample::from).or_else(|error| {
        let chat = match serde_json::from_slice(text) {
            Ok(Value::Object(fields)) => example_of_chat(&fields),
            _ => None,
        };
        chat.unwrap_or_else(|| Err(error.to_string()))
    })
}

/// Reads up to the next line end into `line`; gives whether the line was too long to keep, or `None` at the end.
fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> Result<Option<bool>, EngineError> {
    line.clear();
    let (mut too_long, mut any) = (false, false);
    loop {
        let buffer = file.fill_buf().map_err(EngineError::File)?;
        if buffer.is_empty() {
            return Ok(any.then_some(too_long));
        }
        any = true;
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        if line.len() + part.len() > MAX_LINE_BYTES {
            too_long = true;
            line.clear();
        } else if !too_long {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        file.consume(used);
        if end.is_some() {
            return Ok(Some(too_long));
        }
    }
}

fn read_csv(file: impl BufRead, visit: Visit<'_>) -> Result<(), EngineError> {
    let hint = "a CSV needs a header line with input (or text) and label";
    let mut rows = CsvRows::new(file);
    let headers = rows.headers()?;
    let headers: csv::StringRecord = headers.iter().map(|name| name.to_lowercase()).collect();
    while let Some((number, row)) = rows.next()? {
        let line = row.and_then(|row| {
            let row: csv::StringRecord = row.iter().map(without_guard).collect();
            row.deserialize::<Line>(Some(&headers))
                .map_err(|error| error.to_string())
        });
        visit(
            number,
            line.map(NewExample::from)
                .map_err(|error| format!("{error}; {hint}")),
        )?;
    }
    Ok(())
}

/// A cell without the apostrophe that keeps spreadsheets from running it as a formula, as our own exports write it.
fn without_guard(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(formula) if formula.starts_with(FORMULA_STARTS) => formula,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], format: RowFormat) -> Vec<(usize, Result<NewExample, String>)> {
        let mut seen = Vec::new();
        read_examples(text, format, |number, line| {
            seen.push((number, line));
            Ok(())
        })
        .unwrap();
        seen
    }

    #[test]
    fn a_broken_line_in_the_middle_is_named_and_the_rest_is_read() {
        let seen = read(
            b"{\"text\":\"a\",\"label\":\"x\"}\n{broken\n\n{\"input\":\"b\",\"intent\":\"y\"}",
            RowFormat::Jsonl,
        );
        assert_eq!(seen.iter().map(|line| line.0).collect::<Vec<_>>(), [1, 2, 4]);
        assert!(seen[1].1.is_err());
        assert_eq!(seen[2].1.as_ref().unwrap().label.as_deref(), Some("y"));
    }

    #[test]
    fn an_endless_line_is_refused_without_being_held() {
        let mut text = vec![b'a'; MAX_LINE_BYTES + 10];
        text.extend_from_slice(b"\n{\"text\":\"a\",\"label\":\"x\"}\n");
        let seen = read(&text, RowFormat::Jsonl);
        assert!(seen[0].1.as_ref().unwrap_err().contains("longer than"));
        assert!(seen[1].1.is_ok());
    }

    #[test]
    fn csv_rows_are_read_and_bad_ones_named() {
        let seen = read(
            b"text,label\n\"two\nlines\",x\nonly one\nlast,y\n",
            RowFormat::Csv,
        );
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[0].1.as_ref().unwrap().input, "two\nlines");
        assert_eq!(seen[1].0, 4);
        assert!(seen[1].1.is_err());
        assert!(seen[2].1.is_ok());
    }

    #[test]
    fn chats_and_prompts_with_completions_are_examples() {
        let seen = read(
            br#"{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"hi"},{"role":"assistant","content":"Hello."}]}
{"prompt":"hi","completion":"Hello."}
{"prompt":[{"role":"user","content":"hi"}],"completion":[{"role":"assistant","content":"Hello."}]}
{"messages":[{"role":"user","content":"hi"}]}"#,
            RowFormat::Jsonl,
        );
        for (_, example) in &seen[..3] {
            let example = example.as_ref().unwrap();
            assert_eq!(
                (example.input.as_str(), example.target.as_deref()),
                ("hi", Some("Hello."))
            );
        }
        assert!(seen[3].1.as_ref().unwrap_err().contains("does not end with"));
    }

    #[test]
    fn a_row_with_other_columns_names_them() {
        let fields = serde_json::json!({ "question": "hi", "answer": null, "label": "x" });
        let Value::Object(fields) = fields else {
            panic!("an object")
        };
        let problem = example_of(Document(fields)).unwrap_err();
        assert!(
            problem.contains("the row has question, label")
                || problem.contains("the row has label, question"),
            "{problem}"
        );
    }

    #[test]
    fn a_cell_that_was_guarded_comes_back_as_it_was() {
        let seen = read(b"text,label\n'=SUM(A1),x\n'tis fine,y\n=1+1,z\n", RowFormat::Csv);
        let inputs: Vec<&str> = seen
            .iter()
            .map(|(_, line)| line.as_ref().unwrap().input.as_str())
            .collect();
        assert_eq!(inputs, ["=SUM(A1)", "'tis fine", "=1+1"]);
    }

    #[test]
    fn a_byte_order_mark_and_capital_headers_do_no_harm() {
        let seen = read(
            "\u{feff}{\"text\":\"a\",\"label\":\"x\"}".as_bytes(),
            RowFormat::Jsonl,
        );
        assert_eq!(seen[0].1.as_ref().unwrap().input, "a");
        let seen = read(b"Text, Label\na,x\n", RowFormat::Csv);
        assert_eq!(seen[0].1.as_ref().unwrap().label.as_deref(), Some("x"));
        let divided = read_examples(&b"text;label\na;x\n"[..], RowFormat::Csv, |_, _| Ok(()));
        assert!(divided.unwrap_err().to_string().contains("semicolons"));
    }
}
