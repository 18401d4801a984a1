//! How far reviewers agree, how fast they are, and how well they do on what is known.

use std::collections::{BTreeMap, BTreeSet};

use hone_domain::{ReviewId, ReviewVerdict};
use hone_learn::{cohen_kappa, krippendorff_alpha};
use hone_storage::reviews::{self, Review, ReviewAnswer};
use hone_storage::tasks::Task;
use uuid::Uuid;

use super::answer::said;
use crate::{Engine, EngineError};

/// The latest answers that are looked at.
const MAX_ANSWERS: i64 = 20_000;
const HOUR_S: f64 = 3_600.0;

/// What can be said of the reviewers of a task.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct ReviewStatistics {
    /// Open items by reason.
    pub open: BTreeMap<String, i64>,
    /// Reviews that were looked at, skipped ones not counted.
    pub reviews: usize,
    /// Items that two or more people have judged.
    pub shared: usize,
    /// Krippendorff's alpha over shared items: 1 for full agreement, 0 for that of chance. Absent where nothing is shared.
    pub alpha: Option<f64>,
    /// Agreement of each two reviewers.
    pub pairs: Vec<PairAgreement>,
    /// Each reviewer.
    pub reviewers: Vec<ReviewerPace>,
}

/// How far two reviewers agree.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct PairAgreement {
    /// The two.
    pub reviewers: (String, String),
    /// Items that both have judged.
    pub shared: usize,
    /// Share of those on which they say the same.
    pub same: f64,
    /// Cohen's kappa: 1 for full agreement, 0 for that of chance.
    pub kappa: Option<f64>,
}

/// How a reviewer works.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct ReviewerPace {
    /// Who.
    pub reviewer: String,
    /// Reviews.
    pub reviews: usize,
    /// Items that they did not want to judge.
    pub skipped: usize,
    /// Seconds from claim to answer, the median.
    pub median_s: Option<f64>,
    /// Reviews an hour at that pace.
    pub per_hour: Option<f64>,
    /// Items whose answer was known.
    pub gold: usize,
    /// Share of those that they judged rightly.
    pub gold_right: Option<f64>,
    /// Share of their answers that are what was decided in the end, where others judged as well.
    pub with_majority: Option<f64>,
}

impl Engine {
    /// What can be said of the reviewers of a task since then.
    pub async fn review_statistics(
        &self,
        task: &Task,
        since_us: i64,
    ) -> Result<ReviewStatistics, EngineError> {
        let mut conn = self.db.read().await?;
        let answers =
            reviews::list_answers_of_task(&mut conn, task.task_id(), since_us, None, MAX_ANSWERS).await?;
        let mut items: BTreeMap<Uuid, Review> = BTreeMap::new();
        for answer in &answers {
            if !items.contains_key(&answer.review_id) {
                let found = reviews::find(&mut conn, task.project(), ReviewId(answer.review_id)).await?;
                items.extend(found.map(|review| (review.id, review)));
            }
        }
        let open = reviews::count_open(&mut conn, task.task_id()).await?;
        let judged: Vec<Judged<'_>> = answers
            .iter()
            .filter(|answer| answer.verdict != ReviewVerdict::Skip)
            .filter_map(|answer| Some(Judged::of(answer, items.get(&answer.review_id)?)))
            .collect();
        let by_item = group(&judged, |judged| judged.answer.review_id);
        let shared: Vec<&Vec<&Judged<'_>>> = by_item.values().filter(|answers| answers.len() > 1).collect();
        let numbers = numbers_of(&judged);
        let number = |judged: &&Judged<'_>| numbers[judged.value.as_str()];
        let units: Vec<Vec<u32>> = shared
            .iter()
            .map(|answers| answers.iter().map(number).collect())
            .collect();
        Ok(ReviewStatistics {
            open: open.into_iter().collect(),
            reviews: judged.len(),
            shared: shared.len(),
            alpha: krippendorff_alpha(&units),
            pairs: pairs_of(&judged, &by_item, &numbers),
            reviewers: paces_of(&answers, &judged, &by_item),
        })
    }
}

/// An answer with what it says in the form in which answers are compared.
struct Judged<'a> {
    answer: &'a ReviewAnswer,
    value: String,
}

impl<'a> Judged<'a> {
    fn of(answer: &'a ReviewAnswer, review: &Review) -> Self {
        let value = said(
            review,
            answer.verdict,
            answer.label.as_deref(),
            answer.text.0.as_deref(),
        );
        Self { answer, value }
    }
}

fn group<'a, K: Ord>(
    judged: &'a [Judged<'a>],
    key: impl Fn(&Judged<'a>) -> K,
) -> BTreeMap<K, Vec<&'a Judged<'a>>> {
    let mut groups: BTreeMap<K, Vec<&Judged<'_>>> = BTreeMap::new();
    for answer in judged {
        groups.entry(key(answer)).or_default().push(answer);
    }
    groups
}

fn numbers_of<'a>(judged: &'a [Judged<'_>]) -> BTreeMap<&'a str, u32> {
    let values: BTreeSet<&str> = judged.iter().map(|judged| judged.value.as_str()).collect();
    values.into_iter().zip(0..).collect()
}

fn pairs_of(
    judged: &[Judged<'_>],
    by_item: &BTreeMap<Uuid, Vec<&Judged<'_>>>,
    numbers: &BTreeMap<&str, u32>,
) -> Vec<PairAgreement> {
    let mut both: BTreeMap<(&str, &str), Vec<(u32, u32)>> = BTreeMap::new();
    for answers in by_item.values() {
        for (position, a) in answers.iter().enumerate() {
            for b in &answers[position + 1..] {
                let (a, b) = if a.answer.reviewer <= b.answer.reviewer {
                    (a, b)
                } else {
                    (b, a)
                };
                let names = (a.answer.reviewer.as_str(), b.answer.reviewer.as_str());
                let values = (numbers[a.value.as_str()], numbers[b.value.as_str()]);
                both.entry(names).or_default().push(values);
            }
        }
    }
    debug_assert!(judged.len() >= by_item.len());
    both.into_iter()
        .map(|((a, b), values)| PairAgreement {
            reviewers: (a.to_owned(), b.to_owned()),
            shared: values.len(),
            same: values.iter().filter(|(a, b)| a == b).count() as f64 / values.len() as f64,
            kappa: cohen_kappa(&values),
        })
        .collect()
}

fn paces_of(
    answers: &[ReviewAnswer],
    judged: &[Judged<'_>],
    by_item: &BTreeMap<Uuid, Vec<&Judged<'_>>>,
) -> Vec<ReviewerPace> {
    let reviewers: BTreeSet<&str> = answers.iter().map(|answer| answer.reviewer.as_str()).collect();
    let share = |right: usize, of: usize| (of > 0).then(|| right as f64 / of as f64);
    reviewers
        .into_iter()
        .map(|reviewer| {
            let own: Vec<&Judged<'_>> = judged
                .iter()
                .filter(|judged| judged.answer.reviewer == reviewer)
                .collect();
            let mut times: Vec<i64> = own.iter().filter_map(|judged| judged.answer.took_us).collect();
            times.sort_unstable();
            let median_s = times.get(times.len() / 2).map(|us| *us as f64 / 1e6);
            let gold: Vec<bool> = own
                .iter()
                .filter_map(|judged| judged.answer.is_gold_right)
                .collect();
            let with_others = own
                .iter()
                .filter(|judged| by_item[&judged.answer.review_id].len() > 1);
            let agreeing = with_others.clone().filter(|judged| {
                let all = &by_item[&judged.answer.review_id];
                2 * all.iter().filter(|other| other.value == judged.value).count() > all.len()
            });
            ReviewerPace {
                reviewer: reviewer.to_owned(),
                reviews: own.len(),
                skipped: answers
                    .iter()
                    .filter(|answer| answer.reviewer == reviewer && answer.verdict == ReviewVerdict::Skip)
                    .count(),
                median_s,
                per_hour: median_s
                    .filter(|median| *median > 0.0)
                    .map(|median| HOUR_S / median),
                gold: gold.len(),
                gold_right: share(gold.iter().filter(|right| **right).count(), gold.len()),
                with_majority: share(agreeing.count(), with_others.count()),
            }
        })
        .collect()
}
