//! What happened elsewhere, brought in: interactions and feedback out of exports of other tools. Each row of a file becomes
//! what it tells; a row that tells nothing that can be taken is refused with its number. Ids are derived from the rows'
//! own, so that bringing a file in twice changes nothing.

mod argilla;
mod langfuse;
mod openai;
mod rows;
mod table;
mod tensorzero;
mod trl;

use std::collections::BTreeMap;

use hone_domain::{
    AnswerSource, Document, FeedbackKind, FeedbackSource, HistorySource, Identity, InteractionId, JsonText,
    NewFeedback, NewInteraction, ProjectId, derive_repeatable_id, parse_rfc3339, require_name,
};
use serde_json::Value;

use crate::EngineError;

pub use rows::{RowFormat, read_rows};

/// Where rows come from and what their columns mean.
#[derive(Debug, Clone)]
pub struct HistoryReader {
    /// The tool.
    pub source: HistorySource,
    /// Our fields to the file's columns, where they are called otherwise.
    pub columns: BTreeMap<String, String>,
    /// The project that ids are derived in.
    pub project: ProjectId,
    /// The task of what is brought in.
    pub task: String,
}

/// What a row tells.
#[derive(Debug, Default)]
pub struct Told {
    /// An interaction, and whether it is a gold standard.
    pub interaction: Option<(NewInteraction, bool)>,
    /// What was said of it or of another.
    pub feedback: Vec<NewFeedback>,
}

/// Why a row is not taken.
pub(crate) type Problem = String;

impl HistoryReader {
    /// Checks the mapping.
    pub fn new(
        source: HistorySource,
        columns: BTreeMap<String, String>,
        project: ProjectId,
        task: &str,
    ) -> Result<Self, EngineError> {
        for field in columns.keys() {
            if !table::FIELDS.contains(&field.as_str()) {
                let detail = format!("\"{field}\" is no field; there are {}", table::FIELDS.join(", "));
                return Err(EngineError::field("/map", detail));
            }
        }
        if source != HistorySource::Table && source != HistorySource::Argilla && !columns.is_empty() {
            let detail = format!("files of {source} have columns of their own; leave the mapping out");
            return Err(EngineError::field("/map", detail));
        }
        Ok(Self {
            source,
            columns,
            project,
            task: task.to_owned(),
        })
    }

    /// What a row tells, with ids and the task.
    pub fn read(&self, row: &Document) -> Result<Told, String> {
        let mut told = match self.source {
            HistorySource::OpenAi => openai::read(self, row),
            HistorySource::Langfuse => langfuse::read(self, row),
            HistorySource::TensorZero => tensorzero::read(self, row),
            HistorySource::Argilla => argilla::read(self, row),
            HistorySource::Trl => trl::read(self, row),
            HistorySource::Table => table::read(self, row),
        }?;
        if let Some((interaction, _)) = &mut told.interaction {
            interaction.task.clone_from(&self.task);
            interaction.source.get_or_insert(AnswerSource::Import);
        }
        if told.interaction.is_none() && told.feedback.is_empty() {
            return Err(format!("tells nothing that a file of {} should", self.source));
        }
        Ok(told)
    }

    /// The id of the interaction that the file calls so, within the task: another task may bring the same file in.
    fn interaction_id(&self, own: &str) -> InteractionId {
        derive_repeatable_id(self.project, "import", &self.key(own))
    }

    fn key(&self, own: &str) -> String {
        format!("{}:{}:{own}", self.source, self.task)
    }

    /// The same for a row without an id: derived from all that it says.
    fn id_of_row(&self, row: &Document) -> InteractionId {
        self.interaction_id(&Value::Object(row.0.clone()).to_string())
    }

    /// Feedback of this kind with an id derived from the interaction's or the row's own.
    fn feedback(&self, kind: FeedbackKind, own: &str) -> NewFeedback {
        NewFeedback {
            id: Some(derive_repeatable_id(
                self.project,
                "import feedback",
                &self.key(own),
            )),
            ..NewFeedback::new(kind)
        }
    }
}

/// A named value as feedback: what is called thumbs or rating and looks so is that, anything else a score.
fn valued(reader: &HistoryReader, own: &str, called: &str, value: f64, is_boolean: bool) -> NewFeedback {
    let lower = called.to_lowercase();
    let is_thumb = is_boolean
        || ((lower.contains("thumb") || lower.contains("feedback")) && (value == 0.0 || value == 1.0));
    if is_thumb {
        return NewFeedback {
            up: Some(value > 0.5),
            ..reader.feedback(FeedbackKind::Thumb, own)
        };
    }
    if lower.contains("rating") && value.fract() == 0.0 && (1.0..=5.0).contains(&value) {
        return NewFeedback {
            rating: Some(value as u8),
            ..reader.feedback(FeedbackKind::Rating, own)
        };
    }
    NewFeedback {
        name: Some(name(called.to_owned()).unwrap_or_else(|| "score".to_owned())),
        score: Some(value),
        ..reader.feedback(FeedbackKind::Score, own)
    }
}

fn person(user_id: Option<String>) -> Option<Identity> {
    user_id.and_then(name).map(|user_id| Identity {
        user_id,
        ip_address: None,
        user_agent: None,
    })
}

/// A text that can be a name; anything else is left out.
fn name(text: String) -> Option<String> {
    require_name("", &text).is_ok().then_some(text)
}

/// A time as RFC 3339; times without a zone are UTC, as the tools write them.
fn time(text: Option<String>) -> Option<String> {
    let text = text?;
    let joined = text.trim().replacen(' ', "T", 1).replace(' ', "");
    let candidates = [joined.clone(), format!("{joined}Z")];
    candidates
        .into_iter()
        .find(|candidate| parse_rfc3339(candidate).is_some())
}

fn document(value: &Value) -> Option<JsonText> {
    (!value.is_null())
        .then(|| JsonText::parse(value.to_string()))
        .flatten()
}

/// Who said it: a person unless the file says otherwise.
fn said_by(is_automated: bool) -> FeedbackSource {
    if is_automated {
        FeedbackSource::Automated
    } else {
        FeedbackSource::User
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn read(source: HistorySource, row: Value) -> Result<Told, String> {
        let reader = HistoryReader::new(source, BTreeMap::new(), ProjectId(Uuid::nil()), "t").unwrap();
        let Value::Object(row) = row else {
            panic!("no object")
        };
        reader.read(&Document(row))
    }

    fn interaction(source: HistorySource, row: Value) -> (NewInteraction, bool) {
        let told = read(source, row).unwrap();
        let (interaction, is_reference) = told.interaction.unwrap();
        interaction.validate(i64::MAX / 2).unwrap();
        (interaction, is_reference)
    }

    #[test]
    fn rows_of_trl_are_answers_with_what_was_said_of_them() {
        let pair = json!({ "prompt": "hi", "chosen": "Hello.", "rejected": "What?" });
        let told = read(HistorySource::Trl, pair).unwrap();
        let (chat, is_reference) = told.interaction.unwrap();
        assert_eq!(
            (chat.input.as_str(), chat.output.as_deref(), is_reference),
            ("hi", Some("What?"), false)
        );
        assert_eq!(told.feedback[0].preference.as_ref().unwrap().chosen, "Hello.");
        let shared = json!({
            "chosen": [{ "role": "user", "content": "hi" }, { "role": "assistant", "content": "Hello." }],
            "rejected": [{ "role": "user", "content": "hi" }, { "role": "assistant", "content": "What?" }],
        });
        let told = read(HistorySource::Trl, shared).unwrap();
        assert_eq!(told.interaction.unwrap().0.input, "hi");
        assert_eq!(told.feedback[0].preference.as_ref().unwrap().rejected, "What?");
        let kto = json!({ "prompt": "hi", "completion": "What?", "label": false });
        let told = read(HistorySource::Trl, kto).unwrap();
        assert_eq!(
            (told.feedback[0].kind, told.feedback[0].up),
            (FeedbackKind::Thumb, Some(false))
        );
        let sft = json!({ "prompt": "hi", "completion": "Hello." });
        assert!(
            read(HistorySource::Trl, sft).unwrap().interaction.unwrap().1,
            "a gold standard"
        );
        assert!(read(HistorySource::Trl, json!({ "chosen": "a" })).is_err());
    }

    #[test]
    fn openai_chats_are_gold_standards_and_preferences() {
        let sft = json!({ "messages": [{ "role": "system", "content": "s" }, { "role": "user", "content": "Capital?" },
            { "role": "assistant", "content": "Paris" }] });
        let (chat, is_reference) = interaction(HistorySource::OpenAi, sft.clone());
        assert_eq!(
            (chat.input.as_str(), chat.output.as_deref(), is_reference),
            ("Capital?", Some("Paris"), true)
        );
        assert_eq!(
            interaction(HistorySource::OpenAi, sft).0.id,
            chat.id,
            "the same row is the same interaction"
        );
        let dpo = json!({ "input": { "messages": [{ "role": "user", "content": "Cold?" }] },
            "preferred_output": [{ "role": "assistant", "content": "Mild." }],
            "non_preferred_output": [{ "role": "assistant", "content": "No." }] });
        let told = read(HistorySource::OpenAi, dpo).unwrap();
        let preference = told.feedback[0].preference.as_ref().unwrap();
        assert_eq!(
            (preference.chosen.as_str(), preference.rejected.as_str()),
            ("Mild.", "No.")
        );
        assert_eq!(told.feedback[0].interaction_id, told.interaction.unwrap().0.id);
        assert!(read(HistorySource::OpenAi, json!({ "messages": [] })).is_err());
    }

    #[test]
    fn langfuse_is_read_in_both_spellings_and_scores_find_their_call() {
        for row in [
            json!({ "id": "a1", "traceId": "t1", "type": "GENERATION", "startTime": "2025-04-12T10:23:14.500Z",
                "endTime": "2025-04-12T10:23:16.000Z", "userId": "u", "model": "m", "usageDetails": { "input": 412, "output": 87 },
                "costDetails": { "total": 0.000_114 }, "input": [{ "role": "user", "content": "Twice?" }],
                "output": { "role": "assistant", "content": "Sorry." } }),
            json!({ "id": "a1", "trace_id": "t1", "type": "GENERATION", "start_time": "2025-04-12 10:23:14.500",
                "end_time": "2025-04-12 10:23:16.000", "user_id": "u", "provided_model_name": "m",
                "usage_details": "{\"input\":412,\"output\":87}", "total_cost": "0.000114",
                "input": "[{\"role\":\"user\",\"content\":\"Twice?\"}]", "output": "{\"role\":\"assistant\",\"content\":\"Sorry.\"}" }),
        ] {
            let (call, _) = interaction(HistorySource::Langfuse, row);
            assert_eq!(
                (call.input.as_str(), call.output.as_deref()),
                ("Twice?", Some("Sorry."))
            );
            assert_eq!(
                (call.tokens_input, call.tokens_output, call.latency_ms),
                (Some(412), Some(87), Some(1_500.0))
            );
            assert_eq!(
                (call.cost_usd, call.conversation.as_deref()),
                (Some(0.000_114), Some("t1"))
            );
            let score = json!({ "id": "s1", "traceId": "t1", "observationId": "a1", "name": "user-feedback", "dataType": "BOOLEAN",
                "value": 1, "source": "API", "comment": "thanks", "timestamp": "2025-04-12T10:24:01.000Z" });
            let told = read(HistorySource::Langfuse, score).unwrap();
            assert_eq!(
                (told.feedback[0].interaction_id, told.feedback[0].up),
                (call.id, Some(true))
            );
        }
        let of_third = json!({ "id": "s3", "name": "ok", "dataType": "BOOLEAN", "value": true,
            "subject": { "kind": "observation", "id": "a1", "traceId": "t1" } });
        let told = read(HistorySource::Langfuse, of_third).unwrap();
        assert_eq!(
            (told.feedback[0].up, told.feedback[0].interaction_id.is_some()),
            (Some(true), true)
        );
        let of_trace = json!({ "id": "s2", "trace_id": "t1", "name": "helpfulness", "data_type": "NUMERIC", "value": 0.5, "source": "EVAL" });
        let told = read(HistorySource::Langfuse, of_trace).unwrap();
        assert_eq!(
            (told.feedback[0].conversation.as_deref(), told.feedback[0].score),
            (Some("t1"), Some(0.5))
        );
        assert_eq!(told.feedback[0].source, Some(FeedbackSource::Automated));
    }

    #[test]
    fn tensorzero_inferences_and_feedback_are_read() {
        let id = "01942e26-910b-7ab1-a645-46bc4463a001";
        let stored = json!({ "type": "chat", "function_name": "f", "variant_name": "v", "inference_id": id, "episode_id": "e",
            "input": { "system": "s", "messages": [{ "role": "user", "content": [{ "type": "text", "text": "Twice?" }] }] },
            "output": [{ "type": "text", "text": "Sorry." }], "timestamp": "2025-01-03T21:51:07Z", "processing_time_ms": 413, "tags": { "user_id": "u" } });
        let table = json!({ "id": id, "function_name": "f", "variant_name": "v", "episode_id": "e",
            "input": "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"value\":\"Twice?\"}]}]}",
            "output": "[{\"type\":\"text\",\"text\":\"Sorry.\"}]", "processing_time_ms": 413 });
        for row in [stored, table] {
            let (call, _) = interaction(HistorySource::TensorZero, row);
            assert_eq!(
                (call.input.as_str(), call.output.as_deref(), call.latency_ms),
                ("Twice?", Some("Sorry."), Some(413.0))
            );
            assert_eq!(
                (call.conversation.as_deref(), call.model.as_deref()),
                (Some("e"), Some("f/v"))
            );
            for (row, kind) in [
                (
                    json!({ "id": "1", "target_id": id, "metric_name": "thumbs_up", "value": true }),
                    FeedbackKind::Thumb,
                ),
                (
                    json!({ "id": "2", "target_id": id, "metric_name": "quality", "value": 3.5 }),
                    FeedbackKind::Score,
                ),
                (
                    json!({ "id": "3", "target_id": id, "target_type": "inference", "value": "Too short" }),
                    FeedbackKind::Comment,
                ),
                (
                    json!({ "id": "4", "inference_id": id, "value": "[{\"type\":\"text\",\"text\":\"Better.\"}]" }),
                    FeedbackKind::Correction,
                ),
            ] {
                let feedback = read(HistorySource::TensorZero, row).unwrap().feedback.remove(0);
                feedback.validate(i64::MAX / 2).unwrap();
                assert_eq!((feedback.kind, feedback.interaction_id), (kind, call.id));
            }
        }
        let json_inference = json!({ "type": "json", "inference_id": id, "input": { "messages": [{ "role": "user", "content": "x" }] },
            "output": { "raw": "{\"a\":1}", "parsed": { "a": 1 } } });
        assert_eq!(
            interaction(HistorySource::TensorZero, json_inference)
                .0
                .output
                .as_deref(),
            Some("{\"a\":1}")
        );
    }

    #[test]
    fn argilla_is_read_in_all_versions() {
        let nested = json!({ "id": "r1", "fields": { "prompt": "Twice?" }, "metadata": { "model": "m" },
            "suggestions": { "intent": { "value": "billing", "score": 0.75, "agent": "m" } },
            "responses": { "intent": [{ "value": "refund", "user_id": "u1", "status": "submitted" }],
                "quality": [{ "value": 5, "user_id": "u1" }] } });
        let flat = json!({ "id": "r1", "prompt": "Twice?", "intent.suggestion": "billing", "intent.suggestion.score": 0.75,
            "intent.responses": ["refund"], "intent.responses.users": ["u1"], "intent.responses.status": ["submitted"], "quality.responses": [5] });
        let old = json!({ "id": "r1", "text": "Twice?", "prediction": [["billing", 0.75], ["other", 0.25]], "annotation": "refund", "annotation_agent": "ann" });
        for row in [nested, flat, old] {
            let told = read(HistorySource::Argilla, row).unwrap();
            let (record, _) = told.interaction.unwrap();
            assert_eq!(
                (record.input.as_str(), record.label.as_deref(), record.confidence),
                ("Twice?", Some("billing"), Some(0.75))
            );
            let correction = told
                .feedback
                .iter()
                .find(|feedback| feedback.kind == FeedbackKind::Correction)
                .unwrap();
            assert_eq!(
                (correction.label.as_deref(), correction.interaction_id),
                (Some("refund"), record.id)
            );
        }
    }

    #[test]
    fn a_table_is_read_by_its_mapping_and_problems_are_named() {
        let columns = BTreeMap::from([
            ("input".to_owned(), "question".to_owned()),
            ("rating".to_owned(), "stars".to_owned()),
        ]);
        let reader = HistoryReader::new(HistorySource::Table, columns, ProjectId(Uuid::nil()), "t").unwrap();
        let read = |row: Value| match row {
            Value::Object(row) => reader.read(&Document(row)),
            _ => unreachable!(),
        };
        let told = read(json!({ "question": "Twice?", "output": "Sorry.", "stars": "5", "tokens_input": "12", "thumb": "", "other": "x" })).unwrap();
        let (row, _) = told.interaction.unwrap();
        assert_eq!((row.input.as_str(), row.tokens_input), ("Twice?", Some(12)));
        assert_eq!((told.feedback.len(), told.feedback[0].rating), (1, Some(5)));
        assert_eq!(
            read(json!({ "output": "x" })).unwrap_err(),
            "column \"question\" is missing or empty"
        );
        assert_eq!(
            read(json!({ "question": "a", "stars": "many" })).unwrap_err(),
            "column \"stars\" is no number: many"
        );
        let wrong = BTreeMap::from([("inputs".to_owned(), "x".to_owned())]);
        let refused =
            HistoryReader::new(HistorySource::Table, wrong, ProjectId(Uuid::nil()), "t").unwrap_err();
        assert!(
            refused.to_string().contains("\"inputs\" is no field"),
            "{refused}"
        );
    }
}
