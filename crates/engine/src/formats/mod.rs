//! Files that other tools train on: chats of OpenAI's fine-tuning and its preference rows, TRL's conversations, preference
//! rows and KTO rows. A file is checked line by line before it is used; memory does not grow with it.

mod chat;
mod pairs;
mod parquet_rows;
mod write;

pub use write::ExportFormat;
pub(crate) use write::RowWriter;

use std::collections::BTreeMap;
use std::io::BufRead;

use hone_text::{answer_flaws, find_personal, normalised_hash};
use rustc_hash::FxHashSet;
use serde_json::Value;

use crate::EngineError;
use crate::transfer::{RefusedLine, read_lines};

/// Problems that are listed; the rest is counted.
const MAX_LISTED: usize = 1_000;
/// Lines that a remark names, the first ones.
const MAX_NAMED: usize = 10;
/// Lines among which the same line is noticed.
const MAX_COMPARED: usize = 1_000_000;
/// OpenAI takes no file with fewer examples.
const FEWEST_OPENAI: usize = 10;

/// What a file's lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingFormat {
    /// OpenAI's chats for supervised fine-tuning: `messages`.
    OpenAiChat,
    /// OpenAI's preference rows: `input`, `preferred_output`, `non_preferred_output`.
    OpenAiPreference,
    /// TRL's supervised rows: `messages`, or `prompt` and `completion`, or `text`.
    Sft,
    /// TRL's preference rows: `prompt`, `chosen` and `rejected`.
    Preference,
    /// TRL's unpaired rows for KTO: `prompt`, `completion` and `label`.
    Kto,
}

/// What a check of a file found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct FormatReport {
    /// Lines that are not empty.
    pub lines: usize,
    /// Lines that can be trained on.
    pub good: usize,
    /// Lines that cannot, the first thousand of them.
    pub problems: Vec<RefusedLine>,
    /// Further ones that are not listed.
    pub more_problems: usize,
    /// What does not keep a line from being trained on, but may not be wanted.
    pub remarks: Vec<Remark>,
}

/// Something that may not be wanted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Remark {
    /// What it is.
    pub what: String,
    /// Lines that have it.
    pub count: usize,
    /// The first of them.
    pub lines: Vec<usize>,
}

/// What a line says, as far as it is looked at.
#[derive(Debug, Default)]
struct Row {
    /// What is learned to be said.
    answers: Vec<String>,
    /// Whether a pair has the same on both sides.
    is_tie: bool,
}

/// Checks every line of a file.
pub fn check_file(file: impl BufRead, format: TrainingFormat) -> Result<FormatReport, EngineError> {
    let mut report = FormatReport::default();
    let mut remarks: BTreeMap<&'static str, Remark> = BTreeMap::new();
    let mut seen: FxHashSet<[u8; 16]> = FxHashSet::default();
    read_lines(file, &mut |number, line| {
        report.lines += 1;
        let mut note = |what: &'static str| {
            let remark = remarks.entry(what).or_insert_with(|| Remark {
                what: what.to_owned(),
                count: 0,
                lines: Vec::new(),
            });
            remark.count += 1;
            if remark.lines.len() < MAX_NAMED {
                remark.lines.push(number);
            }
        };
        match line.and_then(|line| Ok((read(format, line)?, line))) {
            Ok((row, line)) => {
                report.good += 1;
                remark_on(&row, &mut note);
                let line = String::from_utf8_lossy(line);
                if !find_personal(&line).is_empty() {
                    note("personal data");
                }
                if seen.len() < MAX_COMPARED && !seen.insert(normalised_hash(&line)) {
                    note("the same as an earlier line");
                }
            }
            Err(problem) if report.problems.len() < MAX_LISTED => report.problems.push(RefusedLine {
                line: number,
                problem,
            }),
            Err(_) => report.more_problems += 1,
        }
        Ok(())
    })?;
    report.remarks = remarks.into_values().collect();
    let is_of_openai = matches!(
        format,
        TrainingFormat::OpenAiChat | TrainingFormat::OpenAiPreference
    );
    if is_of_openai && report.good < FEWEST_OPENAI {
        report.remarks.push(Remark {
            what: format!("fewer than {FEWEST_OPENAI} good lines, which OpenAI does not take"),
            count: report.good,
            lines: Vec::new(),
        });
    }
    Ok(report)
}

fn remark_on(row: &Row, note: &mut impl FnMut(&'static str)) {
    let flaws: std::collections::BTreeSet<&'static str> = row
        .answers
        .iter()
        .flat_map(|answer| answer_flaws(answer))
        .map(hone_text::TextFlaw::name)
        .collect();
    for flaw in flaws {
        note(flaw);
    }
    if row.is_tie {
        note("both answers are the same");
    }
}

fn read(format: TrainingFormat, line: &[u8]) -> Result<Row, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("is no JSON: {error}"))?;
    if !value.is_object() {
        return Err("is no JSON object; write one example as {…} a line".to_owned());
    }
    match format {
        TrainingFormat::OpenAiChat => chat::openai(&value),
        TrainingFormat::OpenAiPreference => pairs::openai(&value),
        TrainingFormat::Sft => chat::sft(&value),
        TrainingFormat::Preference => pairs::trl(&value),
        TrainingFormat::Kto => pairs::kto(&value),
    }
}

/// Refuses fields that a reader would not know, which it either refuses too or passes over.
fn require_known(value: &Value, place: &str, known: &[&str]) -> Result<(), String> {
    let unknown = value
        .as_object()
        .and_then(|fields| fields.keys().find(|name| !known.contains(&name.as_str())));
    match unknown {
        Some(name) => Err(format!(
            "{place}/{name} is not known; known are {}",
            known.join(", ")
        )),
        None => Ok(()),
    }
}

/// A text that must be there and say something.
fn require_text<'a>(value: &'a Value, place: &str) -> Result<&'a str, String> {
    match value.as_str() {
        Some(text) if !text.trim().is_empty() => Ok(text),
        Some(_) => Err(format!("{place} is empty")),
        None if value.is_null() => Err(format!("{place} is missing")),
        None => Err(format!("{place} is no text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: TrainingFormat, lines: &[&str]) -> FormatReport {
        check_file(lines.join("\n").as_bytes(), format).unwrap()
    }

    #[test]
    fn good_lines_of_every_format_are_good() {
        let chat = r#"{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"hi"},{"role":"assistant","content":"Hello.","weight":1}]}"#;
        let tools = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"weather?"}]},{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"rain"},{"role":"assistant","content":"Rain."}],"tools":[{"type":"function","function":{"name":"f"}}]}"#;
        let pair = r#"{"input":{"messages":[{"role":"user","content":"hi"}]},"preferred_output":[{"role":"assistant","content":"Hello."}],"non_preferred_output":[{"role":"assistant","content":"What?"}]}"#;
        for (format, line) in [
            (TrainingFormat::OpenAiChat, chat),
            (TrainingFormat::OpenAiChat, tools),
            (TrainingFormat::OpenAiPreference, pair),
            (TrainingFormat::Sft, chat),
            (TrainingFormat::Sft, r#"{"prompt":"hi","completion":"Hello."}"#),
            (TrainingFormat::Sft, r#"{"text":"hi there"}"#),
            (
                TrainingFormat::Preference,
                r#"{"prompt":"hi","chosen":"Hello.","rejected":"What?"}"#,
            ),
            (
                TrainingFormat::Preference,
                r#"{"chosen":[{"role":"user","content":"hi"},{"role":"assistant","content":"Hello."}],"rejected":[{"role":"user","content":"hi"},{"role":"assistant","content":"What?"}]}"#,
            ),
            (
                TrainingFormat::Kto,
                r#"{"prompt":"hi","completion":"Hello.","label":true}"#,
            ),
        ] {
            let report = check(format, &[line]);
            assert_eq!(
                (report.good, report.problems.as_slice()),
                (1, &[][..]),
                "{format:?} {line}"
            );
        }
    }

    #[test]
    fn each_problem_has_its_line_its_place_and_a_remedy() {
        for (format, line, said) in [
            (TrainingFormat::OpenAiChat, "{\"messages\":", "is no JSON"),
            (TrainingFormat::OpenAiChat, "[]", "no JSON object"),
            (TrainingFormat::OpenAiChat, "{}", "/messages is missing"),
            (
                TrainingFormat::OpenAiChat,
                r#"{"messages":[]}"#,
                "/messages is empty",
            ),
            (
                TrainingFormat::OpenAiChat,
                r#"{"messages":[{"role":"bot","content":"x"}]}"#,
                "/messages/0/role is \"bot\"",
            ),
            (
                TrainingFormat::OpenAiChat,
                r#"{"messages":[{"role":"user","content":"x"}]}"#,
                "no message of the assistant",
            ),
            (
                TrainingFormat::OpenAiChat,
                r#"{"messages":[{"role":"assistant","content":""}]}"#,
                "/messages/0/content is empty",
            ),
            (
                TrainingFormat::OpenAiChat,
                r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}],"note":1}"#,
                "/note is not known",
            ),
            (
                TrainingFormat::OpenAiChat,
                r#"{"messages":[{"role":"user","content":"x","weight":1},{"role":"assistant","content":"y"}]}"#,
                "/messages/0/weight",
            ),
            (
                TrainingFormat::OpenAiChat,
                r#"{"messages":[{"role":"tool","tool_call_id":"c9","content":"x"},{"role":"assistant","content":"y"}]}"#,
                "answers no call",
            ),
            (
                TrainingFormat::OpenAiChat,
                r#"{"messages":[{"role":"assistant","content":"y"},{"role":"user","content":"x"}]}"#,
                "ends with a message of user",
            ),
            (
                TrainingFormat::OpenAiPreference,
                r#"{"input":{"messages":[{"role":"user","content":"hi"}]},"preferred_output":[{"role":"user","content":"x"}]}"#,
                "/preferred_output",
            ),
            (
                TrainingFormat::Sft,
                r#"{"prompt":"hi"}"#,
                "/completion is missing",
            ),
            (
                TrainingFormat::Preference,
                r#"{"prompt":"hi","chosen":"a"}"#,
                "/rejected is missing",
            ),
            (
                TrainingFormat::Preference,
                r#"{"prompt":"hi","chosen":"a","rejected":[{"role":"assistant","content":"b"}]}"#,
                "of the same kind",
            ),
            (
                TrainingFormat::Kto,
                r#"{"prompt":"hi","completion":"a","label":1}"#,
                "/label is no true or false",
            ),
        ] {
            let report = check(format, &["", line]);
            assert_eq!((report.good, report.problems.len()), (0, 1), "{line}");
            assert_eq!(report.problems[0].line, 2);
            assert!(
                report.problems[0].problem.contains(said),
                "{line}: {}",
                report.problems[0].problem
            );
        }
    }

    #[test]
    fn what_may_not_be_wanted_is_remarked() {
        let kto = |answer: &str| {
            serde_json::json!({ "prompt": "hi", "completion": answer, "label": true }).to_string()
        };
        let (refusal, mail) = (
            kto("I'm sorry, but I can't help with that."),
            kto("Write to ann@example.com."),
        );
        let tie = r#"{"prompt":"hi","chosen":"Same.","rejected":"Same."}"#;
        let report = check(TrainingFormat::Kto, &[&refusal, &mail, &refusal]);
        let of = |what: &str| {
            report
                .remarks
                .iter()
                .find(|remark| remark.what == what)
                .map(|remark| remark.lines.clone())
        };
        assert_eq!(of("refusal"), Some(vec![1, 3]));
        assert_eq!(of("personal data"), Some(vec![2]));
        assert_eq!(of("the same as an earlier line"), Some(vec![3]));
        assert_eq!(
            check(TrainingFormat::Preference, &[tie]).remarks[0].what,
            "both answers are the same"
        );
    }

    #[test]
    fn a_line_without_end_is_refused_without_being_held() {
        let long = format!("{{\"text\":\"{}\"}}", "x".repeat(2 << 20));
        let report = check(TrainingFormat::Sft, &[&long, r#"{"text":"hi there"}"#]);
        assert_eq!((report.good, report.problems[0].line), (1, 1));
        let bad = vec!["{"; 3_000];
        let report = check(TrainingFormat::Sft, &bad);
        assert_eq!((report.problems.len(), report.more_problems), (1_000, 2_000));
    }
}
