//! Which answers people prefer, as rows to train on: edits, choices, thumbs and ratings, and answers that were asked for again.
//!
//! An edit is chosen over what it edits, a choice is a pair as it is, of two answers to the same words in one conversation the
//! later is chosen over the earlier, and a thumb or a rating judges an answer alone. Each row is checked, cleaned of personal data by the
//! task's rule, and given once.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use hone_domain::{
    FeedbackKind, FeedbackSource, PersonalHandling, Preference, SECOND_US, SubjectId, prompt_messages,
};
use hone_storage::feedback::{self, Feedback};
use hone_storage::interactions::{self, Interaction};
use hone_storage::tasks::Task;
use hone_storage::{Conn, conversations};
use hone_text::{TextFlaw, answer_flaws};
use rustc_hash::FxHashSet;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::privacy::PersonalCleaner;
use crate::{Engine, EngineError};

/// Feedback and conversations read at a time.
const PAGE: i64 = 500;
/// Ratings from which on an answer is good, and up to which it is bad.
const GOOD_RATING: f64 = 4.0;
const BAD_RATING: f64 = 2.0;
/// Without messages or turns, the same words are asked again when they come so soon after.
const SOON_US: i64 = 600 * SECOND_US;
/// Two answers of about the same length: neither is more than so many times as long as the other.
const SAME_LENGTH: f64 = 1.25;

/// A pair of answers of which one is preferred.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair {
    /// The messages before the answer.
    pub prompt: Vec<Value>,
    pub chosen: String,
    pub rejected: String,
}

/// An answer that is good or not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged {
    pub prompt: Vec<Value>,
    pub completion: String,
    pub good: bool,
}

/// A row to train on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PreferenceRow {
    Pair(Pair),
    Judged(Judged),
}

/// What preferences there are; absent fields do not restrict.
#[derive(Debug, Clone, Default)]
pub struct PreferenceFilter {
    /// Only what was said then or later.
    pub from_us: Option<i64>,
    /// Only what was said before.
    pub until_us: Option<i64>,
    /// Only what this one said.
    pub source: Option<FeedbackSource>,
    /// Only pairs of which neither answer is more than so many times as long as the other.
    pub max_length_ratio: Option<f64>,
}

/// Counts of preferences, with what length has to do with them: who prefers the longer answer throughout teaches length.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct PreferenceStatistics {
    /// Pairs by where they come from: `edit`, `choice`, `regeneration`.
    pub pairs: BTreeMap<&'static str, usize>,
    /// Answers judged alone, good and bad ones.
    pub good: usize,
    /// See `good`.
    pub bad: usize,
    /// Rows that were left out, by reason.
    pub left_out: BTreeMap<&'static str, usize>,
    /// Mean characters of chosen and of rejected answers.
    pub mean_chars: (f64, f64),
    /// Share of pairs whose longer answer is chosen, those of equal length by half: .5 where length says nothing. Absent without
    /// pairs.
    pub longer_chosen: Option<f64>,
    /// Pairs whose answers are of about the same length (neither more than 1.25 times as long).
    pub same_length: usize,
    #[serde(skip)]
    chars: (usize, usize),
    #[serde(skip)]
    longer: f64,
}

impl PreferenceStatistics {
    /// How many pairs there are.
    pub fn pair_count(&self) -> usize {
        self.pairs.values().sum()
    }

    fn count_pair(&mut self, origin: &'static str, pair: &Pair) {
        *self.pairs.entry(origin).or_default() += 1;
        let (chosen, rejected) = (pair.chosen.chars().count(), pair.rejected.chars().count());
        self.chars = (self.chars.0 + chosen, self.chars.1 + rejected);
        self.longer += match chosen.cmp(&rejected) {
            Ordering::Greater => 1.0,
            Ordering::Equal => 0.5,
            Ordering::Less => 0.0,
        };
        self.same_length += usize::from(length_ratio(pair) <= SAME_LENGTH);
        let count = self.pair_count() as f64;
        self.mean_chars = (self.chars.0 as f64 / count, self.chars.1 as f64 / count);
        self.longer_chosen = Some(self.longer / count);
    }

    fn leave_out(&mut self, why: &'static str) {
        *self.left_out.entry(why).or_default() += 1;
    }
}

fn length_ratio(pair: &Pair) -> f64 {
    let chars = |text: &str| text.chars().count().max(1) as f64;
    let (chosen, rejected) = (chars(&pair.chosen), chars(&pair.rejected));
    chosen.max(rejected) / chosen.min(rejected)
}

/// Goes through the preferences of a task, page by page.
pub(crate) struct Preferences<'a> {
    engine: &'a Engine,
    task: &'a Task,
    filter: &'a PreferenceFilter,
    cleaner: PersonalCleaner,
    seen: FxHashSet<[u8; 16]>,
    place: Place,
    pub statistics: PreferenceStatistics,
}

/// How far it is.
enum Place {
    Feedback((i64, Uuid)),
    Regenerations(Option<(Uuid, Vec<u8>)>),
    End,
}

impl<'a> Preferences<'a> {
    pub async fn of(
        engine: &'a Engine,
        task: &'a Task,
        filter: &'a PreferenceFilter,
    ) -> Result<Self, EngineError> {
        let privacy = engine.privacy(task.project()).await?;
        Ok(Self {
            engine,
            task,
            filter,
            cleaner: privacy.cleaner_of(&task.policy.curation.personal_data),
            seen: FxHashSet::default(),
            place: Place::Feedback((from_us(filter), Uuid::nil())),
            statistics: PreferenceStatistics::default(),
        })
    }

    /// The next rows; `None` at the end. A page may be empty.
    pub async fn next_page(&mut self) -> Result<Option<Vec<PreferenceRow>>, EngineError> {
        let mut conn = self.engine.db.read().await?;
        match std::mem::replace(&mut self.place, Place::End) {
            Place::Feedback(after) => {
                let page = feedback::list_after(&mut conn, self.task.task_id(), after, PAGE).await?;
                let mut rows = Vec::new();
                let Some(last) = page.last() else {
                    self.place = Place::Regenerations(None);
                    return Ok(Some(rows));
                };
                self.place = Place::Feedback((last.created_at_us, last.id));
                for said in page {
                    if self.is_wanted(&said) {
                        rows.extend(self.of_feedback(&mut conn, &said).await?);
                    }
                }
                Ok(Some(rows))
            }
            // What was asked for again rests on nobody's word.
            Place::Regenerations(_) if self.filter.source.is_some() => Ok(None),
            Place::Regenerations(after) => {
                let found =
                    interactions::list_repeated(&mut conn, self.task.task_id(), after.as_ref(), PAGE).await?;
                let mut rows = Vec::new();
                let Some(last) = found.last() else {
                    return Ok(None);
                };
                self.place = Place::Regenerations(Some(last.clone()));
                for (conversation, input_hash) in &found {
                    rows.extend(self.of_repeated(&mut conn, *conversation, input_hash).await?);
                }
                Ok(Some(rows))
            }
            Place::End => Ok(None),
        }
    }

    fn is_wanted(&self, said: &Feedback) -> bool {
        let filter = self.filter;
        filter.until_us.is_none_or(|until| said.created_at_us < until)
            && filter.source.is_none_or(|source| said.source == source)
    }

    async fn of_feedback(
        &mut self,
        conn: &mut Conn,
        said: &Feedback,
    ) -> Result<Option<PreferenceRow>, EngineError> {
        let is_edit = said.kind == FeedbackKind::Correction && said.text.0.is_some();
        let verdict = match (said.kind, said.value) {
            (FeedbackKind::Thumb, Some(value)) => Some(value > 0.5),
            (FeedbackKind::Rating, Some(value)) if value >= GOOD_RATING => Some(true),
            (FeedbackKind::Rating, Some(value)) if value <= BAD_RATING => Some(false),
            _ => None,
        };
        if !is_edit && verdict.is_none() && said.kind != FeedbackKind::Preference {
            return Ok(None);
        }
        let Some(id) = said.interaction_id else {
            return Ok(None);
        };
        let found = interactions::find(conn, self.task.project(), id.into()).await?;
        let Some(interaction) = found else { return Ok(None) };
        if self.has_opted_out(conn, &interaction).await? {
            self.statistics.leave_out("opted_out");
            return Ok(None);
        }
        if self.was_said_anew(conn, said).await? {
            self.statistics.leave_out("said_anew");
            return Ok(None);
        }
        let prompt = prompt_of(&interaction);
        let row = if let (FeedbackKind::Preference, Some(text)) = (said.kind, &said.preference.0) {
            let Ok(Preference { chosen, rejected }) = serde_json::from_str(text) else {
                return Ok(None);
            };
            let pair = Pair {
                prompt,
                chosen,
                rejected,
            };
            self.checked_pair("choice", pair)
        } else if is_edit {
            let (Some(chosen), Some(rejected)) = (said.text.0.clone(), interaction.output.0) else {
                return Ok(None);
            };
            let pair = Pair {
                prompt,
                chosen,
                rejected,
            };
            self.checked_pair("edit", pair)
        } else {
            let (Some(good), Some(completion)) = (verdict, interaction.output.0) else {
                return Ok(None);
            };
            self.checked_judged(Judged {
                prompt,
                completion,
                good,
            })
        };
        Ok(row)
    }

    /// Answers to the same words in one conversation: the last one is what the person went on with.
    async fn of_repeated(
        &mut self,
        conn: &mut Conn,
        conversation: Uuid,
        input_hash: &[u8],
    ) -> Result<Vec<PreferenceRow>, EngineError> {
        let answers = interactions::list_same(conn, self.task.task_id(), conversation, input_hash).await?;
        let is_wanted = |answer: &&Interaction| {
            answer.created_at_us >= from_us(self.filter)
                && self
                    .filter
                    .until_us
                    .is_none_or(|until| answer.created_at_us < until)
                && answer.output.0.is_some()
        };
        let answers: Vec<&Interaction> = answers.iter().filter(is_wanted).collect();
        let Some((last, earlier)) = answers.split_last() else {
            return Ok(Vec::new());
        };
        if self.has_opted_out(conn, last).await? || self.was_disliked(conn, last).await? {
            return Ok(Vec::new());
        }
        let mut rows = Vec::new();
        for before in earlier.iter().filter(|before| is_asked_again(before, last)) {
            let (Some(chosen), Some(rejected)) = (last.output.0.clone(), before.output.0.clone()) else {
                continue;
            };
            let pair = Pair {
                prompt: prompt_of(last),
                chosen,
                rejected,
            };
            rows.extend(self.checked_pair("regeneration", pair));
        }
        Ok(rows)
    }

    async fn was_disliked(&self, conn: &mut Conn, interaction: &Interaction) -> Result<bool, EngineError> {
        let said = feedback::list_of_interaction(conn, self.task.project(), interaction.id.into()).await?;
        Ok(said.iter().any(|row| match row.kind {
            FeedbackKind::Thumb => row.value.is_some_and(|value| value < 0.5),
            FeedbackKind::Rating => row.value.is_some_and(|value| value <= BAD_RATING),
            FeedbackKind::Correction => true,
            _ => false,
        }))
    }

    /// Whether somebody has said something else of the same answer later: a thumb or a rating counts until there is another or an
    /// edit, an edit until there is another one. Choices stand side by side.
    async fn was_said_anew(&self, conn: &mut Conn, said: &Feedback) -> Result<bool, EngineError> {
        let Some(id) = said
            .interaction_id
            .filter(|_| said.kind != FeedbackKind::Preference)
        else {
            return Ok(false);
        };
        let all = feedback::list_of_interaction(conn, self.task.project(), id.into()).await?;
        let is_edit = |row: &Feedback| row.kind == FeedbackKind::Correction && row.text.0.is_some();
        let judges = |row: &Feedback| matches!(row.kind, FeedbackKind::Thumb | FeedbackKind::Rating);
        let later = all.iter().skip_while(|row| row.id != said.id).skip(1);
        Ok(later
            .into_iter()
            .any(|row| is_edit(row) || (judges(said) && judges(row))))
    }

    async fn has_opted_out(&self, conn: &mut Conn, interaction: &Interaction) -> Result<bool, EngineError> {
        match interaction.subject_id {
            Some(subject) => Ok(conversations::is_opted_out(conn, SubjectId(subject)).await?),
            None => Ok(false),
        }
    }

    fn checked_pair(&mut self, origin: &'static str, mut pair: Pair) -> Option<PreferenceRow> {
        self.clean_prompt(&mut pair.prompt);
        self.cleaner.clean(&mut pair.chosen);
        self.cleaner.clean(&mut pair.rejected);
        let ratio = self.filter.max_length_ratio;
        let texts = [pair.chosen.as_str(), pair.rejected.as_str()];
        let problem = if let Some(problem) = self.shared_problem(&pair.prompt, &texts) {
            Some(problem)
        } else if hone_text::normalise(&pair.chosen) == hone_text::normalise(&pair.rejected) {
            Some("same_answers")
        } else if is_empty(&pair.rejected) {
            Some("empty")
        } else if ratio.is_some_and(|most| length_ratio(&pair) > most) {
            Some("length")
        } else {
            answer_problem(&pair.chosen)
        };
        let key = [&pair.chosen, &pair.rejected];
        if let Some(problem) = problem.or_else(|| self.repeated(&pair.prompt, &key)) {
            self.statistics.leave_out(problem);
            return None;
        }
        self.statistics.count_pair(origin, &pair);
        Some(PreferenceRow::Pair(pair))
    }

    fn checked_judged(&mut self, mut judged: Judged) -> Option<PreferenceRow> {
        self.clean_prompt(&mut judged.prompt);
        self.cleaner.clean(&mut judged.completion);
        let shared = self.shared_problem(&judged.prompt, &[judged.completion.as_str()]);
        let problem = shared.or_else(|| {
            if judged.good {
                answer_problem(&judged.completion)
            } else {
                is_empty(&judged.completion).then_some("empty")
            }
        });
        let key = [&judged.completion, &judged.good.to_string()];
        if let Some(problem) = problem.or_else(|| self.repeated(&judged.prompt, &key)) {
            self.statistics.leave_out(problem);
            return None;
        }
        if judged.good {
            self.statistics.good += 1;
        } else {
            self.statistics.bad += 1;
        }
        Some(PreferenceRow::Judged(judged))
    }

    /// What keeps any row out: a prompt that is no text, or personal data where the task rejects it.
    fn shared_problem(&self, prompt: &[Value], answers: &[&str]) -> Option<&'static str> {
        if let Some(problem) = prompt_problem(prompt) {
            return Some(problem);
        }
        if self.cleaner.handling() != PersonalHandling::Reject {
            return None;
        }
        let asked = prompt.iter().filter_map(|message| message["content"].as_str());
        let has_any = asked
            .chain(answers.iter().copied())
            .any(|text| !self.cleaner.kinds_in(text).is_empty());
        has_any.then_some("personal_data")
    }

    fn clean_prompt(&self, prompt: &mut [Value]) {
        if !self.cleaner.changes() {
            return;
        }
        for message in prompt {
            if let Value::String(content) = &mut message["content"] {
                self.cleaner.clean(content);
            }
        }
    }

    /// Whether the same row was given before.
    fn repeated(&mut self, prompt: &[Value], texts: &[&String]) -> Option<&'static str> {
        let key = row_key(prompt, texts);
        (!self.seen.insert(key)).then_some("repeated")
    }
}

fn from_us(filter: &PreferenceFilter) -> i64 {
    filter.from_us.unwrap_or(0)
}

fn is_empty(text: &str) -> bool {
    text.trim().is_empty()
}

/// Whether one request is another one asked again: with the same messages before it, or, where these are not known, at the same
/// turn or soon after. The same words at another place of a conversation ask for something else.
fn is_asked_again(before: &Interaction, after: &Interaction) -> bool {
    if before.request.0.is_some() || after.request.0.is_some() {
        return prompt_of(before) == prompt_of(after);
    }
    match (before.turn, after.turn) {
        (Some(before), Some(after)) => before == after,
        _ => after.created_at_us - before.created_at_us <= SOON_US,
    }
}

/// Why the messages before an answer cannot be written as all tools take them: calls of tools and pictures are no texts.
fn prompt_problem(prompt: &[Value]) -> Option<&'static str> {
    let is_plain = |message: &Value| {
        matches!(
            message["role"].as_str(),
            Some("system" | "developer" | "user" | "assistant")
        ) && message["content"]
            .as_str()
            .is_some_and(|content| !is_empty(content))
    };
    (!prompt.iter().all(is_plain)).then_some("no_text")
}

/// By what two rows are the same.
pub(crate) fn row_key(prompt: &[Value], texts: &[&String]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for message in prompt {
        hasher.update(message.to_string().as_bytes());
    }
    for text in texts {
        hasher.update(&[0]);
        hasher.update(text.as_bytes());
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

/// Why an answer cannot be one to learn from.
fn answer_problem(answer: &str) -> Option<&'static str> {
    answer_flaws(answer).into_iter().find_map(|flaw| match flaw {
        TextFlaw::Empty => Some("empty"),
        TextFlaw::Refusal => Some("refusal"),
        TextFlaw::CutOff => Some("cut_off"),
        TextFlaw::Template => Some("template"),
        _ => None,
    })
}

/// The messages before the answer: those of the request, or the input alone.
fn prompt_of(interaction: &Interaction) -> Vec<Value> {
    let request = interaction.request.0.as_deref();
    let request = request.and_then(|request| serde_json::from_str::<Value>(request).ok());
    let messages = request
        .filter(|request| request["messages"].is_array())
        .map(|request| prompt_messages(&request));
    let ends_with_user = |messages: &Vec<Value>| messages.last().is_some_and(|last| last["role"] == "user");
    messages
        .filter(ends_with_user)
        .unwrap_or_else(|| vec![json!({ "role": "user", "content": interaction.input.0 })])
}
