//! Rows that TRL trains on: a prompt with its completion is a gold standard, with a label an answer that was judged, and two
//! answers a preference.

use hone_domain::{
    Document, FeedbackKind, NewFeedback, NewInteraction, Preference, answer_text, last_of_user,
    prompt_messages,
};
use serde_json::{Value, json};

use super::{HistoryReader, Problem, Told, document};

pub(super) fn read(reader: &HistoryReader, row: &Document) -> Result<Told, Problem> {
    if row.get(&["messages"]).is_some() {
        return super::openai::read(reader, row);
    }
    let answer = |field: &str| {
        let found = row
            .get(&[field])
            .map(without_prompt)
            .and_then(|said| answer_text(&said));
        found.ok_or_else(|| format!("{field} says nothing"))
    };
    let id = reader.id_of_row(row);
    let mut interaction = NewInteraction {
        id: Some(id),
        ..NewInteraction::default()
    };
    let before = prompt_of(row)?;
    interaction.input = last_of_user(&before).ok_or("the prompt has no message of the user")?;
    interaction.request = document(&json!({ "messages": before }));
    if row.get(&["completion"]).is_some() {
        interaction.output = Some(answer("completion")?);
        let Some(label) = row.get(&["label"]) else {
            return Ok(Told {
                interaction: Some((interaction, true)),
                feedback: Vec::new(),
            });
        };
        let up = label.as_bool().ok_or("label is neither true nor false")?;
        let thumb = NewFeedback {
            interaction_id: Some(id),
            up: Some(up),
            ..reader.feedback(FeedbackKind::Thumb, &id.to_string())
        };
        return Ok(Told {
            interaction: Some((interaction, false)),
            feedback: vec![thumb],
        });
    }
    let (chosen, rejected) = (answer("chosen")?, answer("rejected")?);
    interaction.output = Some(rejected.clone());
    let choice = NewFeedback {
        interaction_id: Some(id),
        preference: Some(Preference { chosen, rejected }),
        ..reader.feedback(FeedbackKind::Preference, &id.to_string())
    };
    Ok(Told {
        interaction: Some((interaction, false)),
        feedback: vec![choice],
    })
}

/// The messages before the answers: in a field of their own, or what both answers begin with.
fn prompt_of(row: &Document) -> Result<Vec<Value>, Problem> {
    if let Some(prompt) = row.get(&["prompt"]) {
        return Ok(prompt_messages(prompt));
    }
    match row.get(&["chosen"]) {
        Some(Value::Array(messages)) if messages.len() > 1 => {
            Ok(prompt_messages(&json!(messages[..messages.len() - 1])))
        }
        _ => Err("has no prompt".to_owned()),
    }
}

/// An answer alone, where the messages before it stand in the same list.
fn without_prompt(said: &Value) -> Value {
    match said {
        Value::Array(messages) => messages.last().cloned().unwrap_or_default(),
        other => other.clone(),
    }
}
