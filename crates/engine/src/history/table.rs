//! Any table: each of our fields from the column of its name, or from the one that the mapping names.

use hone_domain::{Document, FeedbackKind, NewFeedback, NewInteraction};

use super::{HistoryReader, Problem, Told, person, time};

/// The fields that a mapping may name.
pub(super) const FIELDS: [&str; 21] = [
    "id",
    "input",
    "output",
    "label",
    "confidence",
    "model",
    "conversation",
    "turn",
    "subject",
    "latency_ms",
    "tokens_input",
    "tokens_output",
    "cost_usd",
    "action_type",
    "target_tool",
    "language",
    "occurred_at",
    "rating",
    "thumb",
    "correction",
    "comment",
];

/// Words for a thumb.
const UP: [&str; 6] = ["true", "up", "1", "yes", "good", "like"];
const DOWN: [&str; 6] = ["false", "down", "0", "no", "bad", "dislike"];

/// A row with the mapping of its columns.
struct Row<'a> {
    reader: &'a HistoryReader,
    row: &'a Document,
}

impl Row<'_> {
    fn column<'a>(&'a self, field: &'a str) -> &'a str {
        self.reader.columns.get(field).map_or(field, String::as_str)
    }

    fn text(&self, field: &str) -> Option<String> {
        self.row.text(&[self.column(field)])
    }

    fn required(&self, field: &str) -> Result<String, Problem> {
        self.text(field)
            .ok_or_else(|| format!("column \"{}\" is missing or empty", self.column(field)))
    }

    fn number(&self, field: &str) -> Result<Option<f64>, Problem> {
        let Some(text) = self.text(field) else {
            return Ok(None);
        };
        let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        let problem = || format!("column \"{}\" is no number: {text}", self.column(field));
        number.map(Some).ok_or_else(problem)
    }

    fn count(&self, field: &str) -> Result<Option<u32>, Problem> {
        let Some(number) = self.number(field)? else {
            return Ok(None);
        };
        let is_count = number >= 0.0 && number <= f64::from(u32::MAX) && number.fract() == 0.0;
        let problem = || format!("column \"{}\" is no whole number: {number}", self.column(field));
        is_count.then_some(Some(number as u32)).ok_or_else(problem)
    }
}

pub(super) fn read(reader: &HistoryReader, document: &Document) -> Result<Told, Problem> {
    let row = Row {
        reader,
        row: document,
    };
    let input = row.required("input")?;
    let id = row
        .text("id")
        .map_or_else(|| reader.id_of_row(document), |own| reader.interaction_id(&own));
    let occurred_at = match row.text("occurred_at") {
        Some(text) => Some(time(Some(text.clone())).ok_or_else(|| {
            format!(
                "column \"{}\" is no time such as 2026-01-31T12:00:00Z: {text}",
                row.column("occurred_at")
            )
        })?),
        None => None,
    };
    let interaction = NewInteraction {
        id: Some(id),
        input,
        output: row.text("output"),
        label: row.text("label"),
        confidence: row.number("confidence")?,
        model: row.text("model"),
        conversation: row.text("conversation"),
        turn: row.count("turn")?,
        subject: person(row.text("subject")),
        latency_ms: row.number("latency_ms")?,
        tokens_input: row.count("tokens_input")?,
        tokens_output: row.count("tokens_output")?,
        cost_usd: row.number("cost_usd")?,
        action_type: row.text("action_type"),
        target_tool: row.text("target_tool"),
        language: row.text("language"),
        occurred_at,
        ..NewInteraction::default()
    };
    let is_classify = interaction.label.is_some();
    let mut feedback = Vec::new();
    let about = |kind: FeedbackKind| NewFeedback {
        interaction_id: Some(id),
        ..reader.feedback(kind, &format!("{id}:{kind}"))
    };
    if let Some(rating) = row.count("rating")? {
        let rating = u8::try_from(rating)
            .ok()
            .filter(|rating| (1..=5).contains(rating));
        let rating = Some(
            rating.ok_or_else(|| format!("column \"{}\" is no rating from 1 to 5", row.column("rating")))?,
        );
        feedback.push(NewFeedback {
            rating,
            ..about(FeedbackKind::Rating)
        });
    }
    if let Some(thumb) = row.text("thumb") {
        let lower = thumb.to_lowercase();
        let is_up = UP.contains(&lower.as_str());
        if !is_up && !DOWN.contains(&lower.as_str()) {
            return Err(format!(
                "column \"{}\" is neither up nor down: {thumb}",
                row.column("thumb")
            ));
        }
        feedback.push(NewFeedback {
            up: Some(is_up),
            ..about(FeedbackKind::Thumb)
        });
    }
    if let Some(right) = row.text("correction") {
        let (label, text) = if is_classify {
            (Some(right), None)
        } else {
            (None, Some(right))
        };
        feedback.push(NewFeedback {
            label,
            text,
            ..about(FeedbackKind::Correction)
        });
    }
    if let Some(text) = row.text("comment") {
        feedback.push(NewFeedback {
            text: Some(text),
            ..about(FeedbackKind::Comment)
        });
    }
    Ok(Told {
        interaction: Some((interaction, false)),
        feedback,
    })
}
