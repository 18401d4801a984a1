//! TensorZero: inferences as its API stores and its tables hold them, and feedback rows, told apart by their fields.

use hone_domain::{
    Document, FeedbackKind, NewFeedback, NewInteraction, answer_text, format_rfc3339, last_of_user,
    prompt_messages,
};
use serde_json::{Value, json};

use super::{HistoryReader, Problem, Told, document, name, person, time, valued};

pub(super) fn read(reader: &HistoryReader, row: &Document) -> Result<Told, Problem> {
    if row.get(&["value"]).is_some() && row.get(&["input"]).is_none() {
        return feedback(reader, row);
    }
    let own = row
        .text(&["inference_id", "id"])
        .ok_or("has neither inference_id nor id")?;
    let asked = row.get(&["input"]).map(prompt_messages).unwrap_or_default();
    let input = last_of_user(&asked)
        .filter(|input| !input.trim().is_empty())
        .ok_or("has no input of a user")?;
    let output = row.document(&["output"]).unwrap_or_default();
    let text = match output.get("raw") {
        Some(raw) => raw.as_str().map(str::to_owned),
        None => answer_text(&output),
    };
    let is_text_only = output
        .as_array()
        .into_iter()
        .flatten()
        .all(|block| block["type"] == "text");
    let model: Vec<String> = ["function_name", "variant_name"]
        .iter()
        .filter_map(|field| row.text(&[field]))
        .collect();
    let tags = row.document(&["tags"]).unwrap_or_default();
    let interaction = NewInteraction {
        id: Some(reader.interaction_id(&own)),
        input,
        output: text,
        reply: (!is_text_only).then(|| document(&output)).flatten(),
        request: document(&json!({ "messages": asked })),
        model: name(model.join("/")),
        conversation: row.text(&["episode_id"]).and_then(name),
        subject: person(tags["user_id"].as_str().map(str::to_owned)),
        latency_ms: row.number(&["processing_time_ms"]),
        first_token_ms: row.number(&["ttft_ms"]),
        occurred_at: time(row.text(&["timestamp"])).or_else(|| time_of_id(&own)),
        ..NewInteraction::default()
    };
    Ok(Told {
        interaction: Some((interaction, false)),
        feedback: Vec::new(),
    })
}

fn feedback(reader: &HistoryReader, row: &Document) -> Result<Told, Problem> {
    let target = row
        .text(&["target_id", "inference_id"])
        .ok_or("has neither target_id nor inference_id")?;
    let own = row
        .text(&["id"])
        .unwrap_or_else(|| Value::Object(row.0.clone()).to_string());
    let value = row.get(&["value"]).ok_or("has no value")?;
    let feedback = match (row.text(&["metric_name"]), value) {
        (Some(metric), Value::Bool(up)) => valued(reader, &own, &metric, f64::from(u8::from(*up)), true),
        (Some(metric), value) => {
            let value = value
                .as_f64()
                .ok_or_else(|| format!("the value of {metric} is no number"))?;
            valued(reader, &own, &metric, value, false)
        }
        (None, value) if row.get(&["inference_id"]).is_some() => NewFeedback {
            text: Some(answer_text(value).ok_or("the demonstration says nothing")?),
            ..reader.feedback(FeedbackKind::Correction, &own)
        },
        (None, value) => NewFeedback {
            text: Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
            ..reader.feedback(FeedbackKind::Comment, &own)
        },
    };
    let is_of_episode = row.text(&["target_type"]).as_deref() == Some("episode");
    Ok(Told {
        interaction: None,
        feedback: vec![NewFeedback {
            interaction_id: (!is_of_episode).then(|| reader.interaction_id(&target)),
            conversation: if is_of_episode { name(target) } else { None },
            occurred_at: time(row.text(&["timestamp"])),
            ..feedback
        }],
    })
}

/// The time in a UUID of version 7, in milliseconds.
fn time_of_id(id: &str) -> Option<String> {
    let id: uuid::Uuid = id.parse().ok()?;
    let milliseconds = id.as_u128() >> 80;
    (id.get_version_num() == 7).then(|| format_rfc3339(milliseconds as i64 * 1_000))
}
