//! Exports of Langfuse: observations of the type generation and traces are interactions, scores are feedback. Its page
//! writes names in one style (traceId), its export to storage in another (`trace_id`); texts may be JSON inside a string.

use hone_domain::{
    Document, FeedbackKind, InteractionStatus, NewFeedback, NewInteraction, answer_text, last_of_user,
    parse_rfc3339, prompt_messages,
};
use serde_json::{Value, json};

use super::{HistoryReader, Problem, Told, document, name, person, said_by, time, valued};

pub(super) fn read(reader: &HistoryReader, row: &Document) -> Result<Told, Problem> {
    let is_score = row.get(&["dataType", "data_type"]).is_some() && row.get(&["name"]).is_some();
    if is_score {
        return score(reader, row);
    }
    let own = row.text(&["id"]).ok_or("has no id")?;
    if let Some(kind) = row.text(&["type"]).filter(|kind| kind != "GENERATION") {
        return Err(format!(
            "is an observation of type {kind}; only those of type GENERATION ask a model"
        ));
    }
    let asked = row.get(&["input"]).map(prompt_messages).unwrap_or_default();
    let input = last_of_user(&asked)
        .filter(|input| !input.trim().is_empty())
        .ok_or("has no input")?;
    let starts = time(row.text(&["startTime", "start_time", "timestamp"]));
    let elapsed_ms = |until: &[&str]| {
        let until = parse_rfc3339(&time(row.text(until))?)?;
        let elapsed_us = until - parse_rfc3339(starts.as_deref()?)?;
        (elapsed_us >= 0).then_some(elapsed_us as f64 / 1_000.0)
    };
    let usage = row
        .document(&["usageDetails", "usage_details", "usage"])
        .unwrap_or_default();
    let usage = Document(usage.as_object().cloned().unwrap_or_default());
    let cost = row.document(&["costDetails", "cost_details"]).unwrap_or_default();
    let level = row.text(&["level"]);
    let interaction = NewInteraction {
        id: Some(reader.interaction_id(&own)),
        input,
        output: row.get(&["output"]).and_then(answer_text),
        request: document(&json!({ "messages": asked })),
        status: (level.as_deref() == Some("ERROR")).then_some(InteractionStatus::Error),
        model: row
            .text(&["model", "providedModelName", "provided_model_name"])
            .and_then(name),
        conversation: row
            .text(&["sessionId", "session_id", "traceId", "trace_id"])
            .or(Some(own))
            .and_then(name),
        subject: person(row.text(&["userId", "user_id"])),
        latency_ms: elapsed_ms(&["endTime", "end_time"]),
        first_token_ms: elapsed_ms(&["completionStartTime", "completion_start_time"]),
        tokens_input: usage
            .count(&["input", "promptTokens"])
            .or_else(|| row.count(&["inputTokens", "promptTokens"])),
        tokens_output: usage
            .count(&["output", "completionTokens"])
            .or_else(|| row.count(&["outputTokens", "completionTokens"])),
        cost_usd: row
            .number(&["totalCost", "total_cost"])
            .or_else(|| cost["total"].as_f64()),
        tags: tags(row),
        occurred_at: starts.clone(),
        ..NewInteraction::default()
    };
    Ok(Told {
        interaction: Some((interaction, false)),
        feedback: Vec::new(),
    })
}

/// The value of a score; true is one.
fn number_of(row: &Document) -> Option<f64> {
    match row.get(&["value"]) {
        Some(Value::Bool(value)) => Some(f64::from(u8::from(*value))),
        _ => row.number(&["value"]),
    }
}

fn tags(row: &Document) -> Vec<String> {
    let tags = row.document(&["tags"]).unwrap_or_default();
    let tags = tags.as_array().into_iter().flatten().filter_map(Value::as_str);
    tags.map(str::to_owned).filter_map(name).take(20).collect()
}

fn score(reader: &HistoryReader, row: &Document) -> Result<Told, Problem> {
    let (own, called) = (
        row.text(&["id"]).ok_or("has no id")?,
        row.text(&["name"]).ok_or("has no name")?,
    );
    let is_boolean = row.text(&["dataType", "data_type"]).as_deref() == Some("BOOLEAN");
    let comment = row.text(&["comment"]);
    let said = row.text(&["stringValue", "string_value"]);
    let feedback = match number_of(row) {
        Some(value) if row.text(&["dataType", "data_type"]).as_deref() != Some("CATEGORICAL") => {
            NewFeedback {
                text: comment,
                ..valued(reader, &own, &called, value, is_boolean)
            }
        }
        _ => {
            let said = said.or_else(|| row.text(&["value"])).ok_or("has no value")?;
            let parts: Vec<String> = [said].into_iter().chain(comment).collect();
            NewFeedback {
                text: Some(format!("{called}: {}", parts.join(" - "))),
                ..reader.feedback(FeedbackKind::Comment, &own)
            }
        }
    };
    // The third version of its API names what a score is about in one object.
    let about = row.document(&["subject"]).unwrap_or_default();
    let about_of = |kind: &str| {
        about["id"]
            .as_str()
            .filter(|_| about["kind"] == kind)
            .map(str::to_owned)
    };
    let of_call = row
        .text(&["observationId", "observation_id"])
        .or_else(|| about_of("observation"));
    let conversation = row
        .text(&["sessionId", "session_id", "traceId", "trace_id"])
        .or_else(|| about_of("session"))
        .or_else(|| about_of("trace"))
        .and_then(name);
    if of_call.is_none() && conversation.is_none() {
        return Err("belongs to no observation, trace or session".to_owned());
    }
    let source = row.text(&["source"]);
    Ok(Told {
        interaction: None,
        feedback: vec![NewFeedback {
            interaction_id: of_call.as_deref().map(|own| reader.interaction_id(own)),
            conversation: if of_call.is_some() { None } else { conversation },
            source: Some(said_by(source.as_deref() == Some("EVAL"))),
            occurred_at: time(row.text(&["timestamp", "createdAt", "created_at"])),
            ..feedback
        }],
    })
}
