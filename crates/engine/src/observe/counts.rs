//! What interactions and feedback add to the counts of their task, gathered for a group of records and written in its
//! transaction. Everything is counted at the time when it happened, not when it was recorded: history that is brought in has its
//! place in the past.

use std::collections::BTreeMap;

use hone_domain::{
    Dimension, FeedbackKind, Grain, InteractionId, InteractionStatus, Measure, ProjectId, Sums, TaskId,
};
use hone_storage::feedback::Feedback;
use hone_storage::interactions::{self, Facets, Interaction};
use hone_storage::rollups::{self, RollupKey};
use hone_storage::{Conn, StorageError};
use uuid::Uuid;

use crate::effects::judgement;

/// What a group of records adds, summed up.
#[derive(Default)]
pub(crate) struct Counts {
    /// By the minute; hours and days are added up from it when it is written.
    minutes: BTreeMap<RollupKey, Sums>,
    scores: BTreeMap<(RollupKey, String), (i64, f64)>,
    said: Vec<Said>,
}

/// What a piece of feedback adds, until it is known what its interaction is.
struct Said {
    project_id: Uuid,
    task_id: Uuid,
    at_us: i64,
    interaction_id: Option<Uuid>,
    sums: Sums,
    score: Option<(String, f64)>,
}

impl Counts {
    /// Counts a new interaction.
    pub fn of_interaction(&mut self, row: &Interaction) {
        let mut sums = Sums::default();
        sums.add(Measure::Interactions, 1);
        match row.status {
            InteractionStatus::Ok => {}
            InteractionStatus::Error => sums.add(Measure::Errors, 1),
            InteractionStatus::Escalated => sums.add(Measure::Escalated, 1),
            InteractionStatus::Abstained => sums.add(Measure::Abstained, 1),
            InteractionStatus::Cancelled => sums.add(Measure::Cancelled, 1),
        }
        if let Some(confidence) = row.confidence {
            sums.add(Measure::Confident, 1);
            sums.add(Measure::ConfidenceMicro, in_millionths(confidence));
        }
        if let Some(latency_us) = row.latency_us.filter(|_| row.status != InteractionStatus::Error) {
            sums.add_latency(latency_us);
        }
        sums.add(Measure::TokensInput, row.tokens_input.unwrap_or(0));
        sums.add(Measure::TokensOutput, row.tokens_output.unwrap_or(0));
        if let Some(cost_micro_usd) = row.cost_micro_usd {
            sums.add(Measure::Priced, 1);
            sums.add(Measure::CostMicroUsd, cost_micro_usd);
        }
        sums.add(Measure::Turns, i64::from(row.conversation_id.is_some()));
        let key = minute_of(row.project_id, row.task_id, row.occurred_at_us);
        let facets = Facets {
            label: row.label.clone(),
            source: row.source,
            model: row.model.clone(),
            model_version_id: row.model_version_id,
            action_type: row.action_type.clone(),
        };
        self.add(&key, &facets, &sums);
    }

    /// Counts a conversation that began.
    pub fn of_conversation(&mut self, project: Uuid, task: Uuid, began_at_us: i64) {
        let mut sums = Sums::default();
        sums.add(Measure::Conversations, 1);
        let key = minute_of(project, task, began_at_us);
        *self.minutes.entry(key).or_default() += &sums;
    }

    /// Counts feedback whose task is known.
    pub fn of_feedback(&mut self, row: &Feedback, task: TaskId, is_mismatch: Option<bool>) {
        let mut sums = Sums::default();
        sums.add(Measure::Feedback, 1);
        let judged = judgement(row, is_mismatch);
        if let Some(correct) = judged {
            sums.add(Measure::Judged, 1);
            sums.add(Measure::Correct, i64::from(correct));
        }
        let value = row.value.unwrap_or(0.0);
        let mut count = |of: Measure, that: Measure| {
            sums.add(of, 1);
            sums.add(that, i64::from(value > 0.5));
        };
        match row.kind {
            FeedbackKind::Correction => sums.add(Measure::Corrected, i64::from(judged == Some(false))),
            FeedbackKind::Thumb => count(Measure::Thumbs, Measure::ThumbsUp),
            FeedbackKind::Used => count(Measure::UsedSaid, Measure::Used),
            FeedbackKind::Helpful => count(Measure::HelpfulSaid, Measure::Helpful),
            FeedbackKind::Rating => {
                sums.add(Measure::Ratings, 1);
                sums.add(Measure::RatingMicro, in_millionths(value));
            }
            FeedbackKind::Score | FeedbackKind::Comment | FeedbackKind::Preference => {}
        }
        let score = row.name.clone().filter(|_| row.kind == FeedbackKind::Score);
        self.said.push(Said {
            project_id: row.project_id,
            task_id: task.0,
            at_us: row.occurred_at_us,
            interaction_id: row.interaction_id,
            sums,
            score: score.map(|name| (name, value)),
        });
    }

    /// Writes everything. Rows are taken in the order of their keys, by everybody.
    pub async fn write(mut self, conn: &mut Conn) -> Result<(), StorageError> {
        for said in std::mem::take(&mut self.said) {
            let found = match said.interaction_id {
                Some(id) => {
                    interactions::find_facets(conn, ProjectId(said.project_id), InteractionId(id)).await?
                }
                None => None,
            };
            let key = minute_of(said.project_id, said.task_id, said.at_us);
            for key in keys_of(&key, found.as_ref()) {
                if let Some((name, value)) = &said.score {
                    let entry = self.scores.entry((key.clone(), name.clone())).or_default();
                    *entry = (entry.0 + 1, entry.1 + value);
                }
                *self.minutes.entry(key).or_default() += &said.sums;
            }
        }
        let mut all = BTreeMap::new();
        for (key, sums) in &self.minutes {
            for key in at_each_grain(key) {
                *all.entry(key).or_insert_with(Sums::default) += sums;
            }
        }
        rollups::add_many(conn, &all).await?;
        let mut scores = BTreeMap::new();
        for ((key, name), (count, total)) in &self.scores {
            for key in at_each_grain(key) {
                let entry = scores.entry((key, name.clone())).or_insert((0, 0.0));
                *entry = (entry.0 + count, entry.1 + total);
            }
        }
        rollups::add_scores(conn, &scores).await
    }

    fn add(&mut self, key: &RollupKey, facets: &Facets, sums: &Sums) {
        for key in keys_of(key, Some(facets)) {
            *self.minutes.entry(key).or_default() += sums;
        }
    }
}

/// The key of all of a task in the minute in which this moment lies.
fn minute_of(project_id: Uuid, task_id: Uuid, at_us: i64) -> RollupKey {
    RollupKey {
        project_id,
        task_id,
        grain: Grain::Minute,
        dimension: Dimension::All,
        at_us: Grain::Minute.start_us(at_us),
        value: String::new(),
    }
}

/// The key itself, and the same of each value that the interaction has.
fn keys_of(all: &RollupKey, facets: Option<&Facets>) -> Vec<RollupKey> {
    let mut keys = vec![all.clone()];
    if let Some(facets) = facets {
        let version = facets.model_version_id.map(|id| id.to_string());
        let values = [
            (Dimension::Version, version.or_else(|| facets.model.clone())),
            (Dimension::ActionType, facets.action_type.clone()),
            (Dimension::Label, facets.label.clone()),
            (Dimension::Source, Some(facets.source.to_string())),
        ];
        keys.extend(values.into_iter().filter_map(|(dimension, value)| {
            Some(RollupKey {
                dimension,
                value: value?,
                ..all.clone()
            })
        }));
    }
    keys
}

fn at_each_grain(minute: &RollupKey) -> impl Iterator<Item = RollupKey> {
    Grain::ALL.iter().map(|&grain| RollupKey {
        grain,
        at_us: grain.start_us(minute.at_us),
        ..minute.clone()
    })
}

fn in_millionths(value: f64) -> i64 {
    (value * 1e6).round() as i64
}
