//! Preferences: pairs of answers of which one is better, and answers that are good or not.

use serde_json::Value;

use super::chat::{Side, messages_of, side};
use super::{Row, require_known};

/// A preference row of OpenAI.
pub(super) fn openai(value: &Value) -> Result<Row, String> {
    require_known(value, "", &["input", "preferred_output", "non_preferred_output"])?;
    require_known(
        &value["input"],
        "/input",
        &["messages", "tools", "parallel_tool_calls"],
    )?;
    let asked = messages_of(&value["input"]["messages"], "/input/messages")?;
    if asked.last().is_some_and(|last| last["role"] == "assistant") {
        return Err("/input/messages ends with the assistant; its answers stand in preferred_output and non_preferred_output".to_owned());
    }
    let answer = |name: &str| -> Result<Side, String> {
        let place = format!("/{name}");
        let messages = messages_of(&value[name], &place)?;
        if let Some(number) = messages
            .iter()
            .position(|message| !matches!(message["role"].as_str(), Some("assistant" | "tool")))
        {
            return Err(format!("{place}/{number}/role is none of assistant, tool"));
        }
        side(&value[name], &place)
    };
    Ok(pair(
        answer("preferred_output")?,
        &answer("non_preferred_output")?,
    ))
}

/// A preference row of TRL, with the prompt in a field of its own or before both answers.
pub(super) fn trl(value: &Value) -> Result<Row, String> {
    let (chosen, rejected) = (
        side(&value["chosen"], "/chosen")?,
        side(&value["rejected"], "/rejected")?,
    );
    if value.get("prompt").is_some() {
        let prompt = side(&value["prompt"], "/prompt")?;
        require_same_kind(&[
            ("/prompt", &prompt),
            ("/chosen", &chosen),
            ("/rejected", &rejected),
        ])?;
    } else {
        require_same_kind(&[("/chosen", &chosen), ("/rejected", &rejected)])?;
    }
    Ok(pair(chosen, &rejected))
}

/// An unpaired row of TRL.
pub(super) fn kto(value: &Value) -> Result<Row, String> {
    let (prompt, completion) = (
        side(&value["prompt"], "/prompt")?,
        side(&value["completion"], "/completion")?,
    );
    require_same_kind(&[("/prompt", &prompt), ("/completion", &completion)])?;
    let Some(is_good) = value["label"].as_bool() else {
        return Err("/label is no true or false".to_owned());
    };
    // Of a bad answer nothing is learned to be said.
    let answers = if is_good {
        vec![completion.text]
    } else {
        Vec::new()
    };
    Ok(Row {
        answers,
        ..Row::default()
    })
}

/// Refuses a row of which one side is a text and another one messages.
pub(super) fn require_same_kind(sides: &[(&str, &Side)]) -> Result<(), String> {
    let first = sides.first().is_none_or(|(_, side)| side.is_of_messages);
    match sides.iter().find(|(_, side)| side.is_of_messages != first) {
        Some((place, _)) => Err(format!(
            "{place} is not of the same kind as {}: write texts or messages, not both",
            sides[0].0
        )),
        None => Ok(()),
    }
}

fn pair(better: Side, worse: &Side) -> Row {
    Row {
        is_tie: better.text.trim() == worse.text.trim(),
        answers: vec![better.text],
    }
}
