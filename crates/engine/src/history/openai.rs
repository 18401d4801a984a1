//! Files for fine-tuning by OpenAI: a chat is a gold standard; a preference also says which answer was worse.

use hone_domain::{
    Document, FeedbackKind, NewFeedback, NewInteraction, Preference, answer_text, last_of_user, message_of,
};
use serde_json::{Value, json};

use super::{HistoryReader, Problem, Told, document};

pub(super) fn read(reader: &HistoryReader, row: &Document) -> Result<Told, Problem> {
    if row.get(&["preferred_output"]).is_some() {
        return preference(reader, row);
    }
    let Some(Value::Array(messages)) = row.get(&["messages"]) else {
        return Err("has neither messages nor preferred_output".to_owned());
    };
    let Some((last, before)) = messages.split_last() else {
        return Err("has no messages".to_owned());
    };
    if last["role"] != "assistant" {
        return Err("does not end with a message of the assistant".to_owned());
    }
    let before: Vec<Value> = before.iter().map(message_of).collect();
    let input = last_of_user(&before).ok_or("has no message of the user before the answer")?;
    let interaction = NewInteraction {
        id: Some(reader.id_of_row(row)),
        input,
        output: answer_text(last).or_else(|| last["refusal"].as_str().map(str::to_owned)),
        reply: last.get("tool_calls").and_then(|_| document(last)),
        request: document(&json!({ "messages": before })),
        ..NewInteraction::default()
    };
    if interaction.output.is_none() && interaction.reply.is_none() {
        return Err("the last message says nothing".to_owned());
    }
    // A weight of 0 marks an answer that is not to be learned from.
    let is_reference = last
        .get("weight")
        .is_none_or(|weight| weight.as_f64() != Some(0.0));
    Ok(Told {
        interaction: Some((interaction, is_reference)),
        feedback: Vec::new(),
    })
}

fn preference(reader: &HistoryReader, row: &Document) -> Result<Told, Problem> {
    let answer = |field: &str| {
        let found = row.get(&[field]).and_then(answer_text);
        found.ok_or_else(|| format!("{field} says nothing"))
    };
    let (chosen, rejected) = (answer("preferred_output")?, answer("non_preferred_output")?);
    let messages = row.get(&["input"]).and_then(|input| input["messages"].as_array());
    let before: Vec<Value> = messages.into_iter().flatten().map(message_of).collect();
    let input = last_of_user(&before).ok_or("input.messages has no message of the user")?;
    let id = reader.id_of_row(row);
    let interaction = NewInteraction {
        id: Some(id),
        input,
        output: Some(rejected.clone()),
        request: document(&json!({ "messages": before })),
        ..NewInteraction::default()
    };
    let feedback = NewFeedback {
        interaction_id: Some(id),
        preference: Some(Preference { chosen, rejected }),
        ..reader.feedback(FeedbackKind::Preference, &id.to_string())
    };
    Ok(Told {
        interaction: Some((interaction, false)),
        feedback: vec![feedback],
    })
}
