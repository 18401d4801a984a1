//! Records of Argilla: version 2 with its questions nested or flattened, version 1 with predictions and annotations. A
//! suggestion is what a model detected, a response what a person says is right.

use std::collections::BTreeMap;

use hone_domain::{Document, FeedbackKind, FeedbackSource, NewFeedback, NewInteraction};
use serde_json::Value;

use super::{HistoryReader, Problem, Told, name, time};

/// Fields that hold what was asked, where the mapping names none.
const INPUTS: [&str; 7] = [
    "text",
    "prompt",
    "instruction",
    "question",
    "input",
    "query",
    "message",
];
/// Fields that hold what was answered, where the mapping names none.
const OUTPUTS: [&str; 4] = ["response", "output", "answer", "completion"];

/// What models and people said on one question.
#[derive(Default)]
struct Question {
    suggestion: Option<Value>,
    score: Option<f64>,
    responses: Vec<Value>,
}

pub(super) fn read(reader: &HistoryReader, row: &Document) -> Result<Told, Problem> {
    let fields = row.document(&["fields", "inputs"]).unwrap_or_default();
    let fields = Document(fields.as_object().cloned().unwrap_or_else(|| row.0.clone()));
    let column = |field: &str, usual: &[&str]| match reader.columns.get(field) {
        Some(named) => fields.text(&[named]).or_else(|| row.text(&[named])),
        None => fields.text(usual),
    };
    let input = column("input", &INPUTS).ok_or_else(|| match reader.columns.get("input") {
        Some(named) => format!("field \"{named}\" is missing or empty"),
        None => format!(
            "has none of the fields {}; name one with --map input=…",
            INPUTS.join(", ")
        ),
    })?;
    let own = row.text(&["id", "_server_id"]);
    let id = own.map_or_else(|| reader.id_of_row(row), |own| reader.interaction_id(&own));
    let questions = questions(row);
    let wanted = reader.columns.get("label");
    let of_label = questions
        .iter()
        .find(|(called, question)| wanted.map_or_else(|| is_label(question), |wanted| wanted == *called));
    let detected = of_label.and_then(|(_, question)| question.suggestion.as_ref()?.as_str());
    let metadata = row.document(&["metadata"]).unwrap_or_default();
    let interaction = NewInteraction {
        id: Some(id),
        input,
        output: column("output", &OUTPUTS),
        label: detected.map(str::to_owned).and_then(name),
        confidence: of_label
            .and_then(|(_, question)| question.score)
            .filter(|score| (0.0..=1.0).contains(score)),
        model: metadata["model"].as_str().map(str::to_owned).and_then(name),
        occurred_at: time(row.text(&["inserted_at", "event_timestamp"])),
        ..NewInteraction::default()
    };
    let mut feedback = Vec::new();
    for (called, question) in &questions {
        let is_of_label = of_label.is_some_and(|(label, _)| label == called);
        for (number, value) in question.responses.iter().enumerate() {
            let own = format!("{id}:{called}:{number}");
            let said = said(reader, &own, called, value, is_of_label);
            feedback.extend(said.map(|said| NewFeedback {
                interaction_id: Some(id),
                source: Some(FeedbackSource::User),
                ..said
            }));
        }
    }
    Ok(Told {
        interaction: Some((interaction, false)),
        feedback,
    })
}

/// The questions of a record, whatever its version.
fn questions(row: &Document) -> BTreeMap<String, Question> {
    let mut questions: BTreeMap<String, Question> = BTreeMap::new();
    for (called, suggestion) in row
        .document(&["suggestions"])
        .unwrap_or_default()
        .as_object()
        .into_iter()
        .flatten()
    {
        let question = questions.entry(called.clone()).or_default();
        question.suggestion = Some(suggestion["value"].clone());
        question.score = suggestion["score"].as_f64();
    }
    for (called, responses) in row
        .document(&["responses"])
        .unwrap_or_default()
        .as_object()
        .into_iter()
        .flatten()
    {
        let submitted = responses.as_array().into_iter().flatten();
        let submitted = submitted.filter(|response| is_submitted(&response["status"]));
        questions.entry(called.clone()).or_default().responses =
            submitted.map(|response| response["value"].clone()).collect();
    }
    for (column, value) in &row.0 {
        if let Some(called) = column.strip_suffix(".suggestion") {
            let question = questions.entry(called.to_owned()).or_default();
            question.suggestion = Some(value.clone());
            question.score = row.number(&[&format!("{column}.score")]);
        }
        if let Some(called) = column.strip_suffix(".responses") {
            let statuses = row.document(&[&format!("{column}.status")]).unwrap_or_default();
            let responses = value.as_array().into_iter().flatten().enumerate();
            let submitted = responses.filter(|(number, _)| is_submitted(&statuses[*number]));
            questions.entry(called.to_owned()).or_default().responses =
                submitted.map(|(_, value)| value.clone()).collect();
        }
    }
    // Version 1: one question without a name.
    let best = row
        .get(&["prediction"])
        .and_then(|prediction| prediction.get(0).cloned());
    let annotation = row
        .get(&["annotation"])
        .filter(|annotation| annotation.is_string());
    if best.is_some() || annotation.is_some() {
        let question = questions.entry("label".to_owned()).or_default();
        question.suggestion = best.as_ref().map(|best| best.get(0).unwrap_or(best).clone());
        question.score = best.as_ref().and_then(|best| best.get(1)?.as_f64());
        question.responses.extend(annotation.cloned());
    }
    questions
}

fn is_submitted(status: &Value) -> bool {
    matches!(status.as_str(), None | Some("submitted"))
}

/// Whether a question asks for one of several labels: short texts.
fn is_label(question: &Question) -> bool {
    let values = question.suggestion.iter().chain(&question.responses);
    let mut texts = values.map(|value| value.as_str());
    texts.clone().next().is_some() && texts.all(|text| text.is_some_and(|text| text.len() <= 100))
}

/// What one response says.
fn said(
    reader: &HistoryReader,
    own: &str,
    called: &str,
    value: &Value,
    is_label: bool,
) -> Option<NewFeedback> {
    match value {
        Value::String(label) if is_label => Some(NewFeedback {
            label: name(label.clone()),
            ..reader.feedback(FeedbackKind::Correction, own)
        })
        .filter(|feedback| feedback.label.is_some()),
        Value::String(text) if !text.trim().is_empty() => Some(NewFeedback {
            text: Some(text.clone()),
            ..reader.feedback(FeedbackKind::Correction, own)
        }),
        Value::Number(number) => {
            let number = number.as_f64()?;
            let is_rating = number.fract() == 0.0 && (1.0..=5.0).contains(&number);
            Some(if is_rating {
                NewFeedback {
                    rating: Some(number as u8),
                    ..reader.feedback(FeedbackKind::Rating, own)
                }
            } else {
                super::valued(reader, own, called, number, false)
            })
        }
        _ => None,
    }
}
