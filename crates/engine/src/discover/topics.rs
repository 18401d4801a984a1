//! Topics: groups of requests, each with a name, its most typical request, how it fares and whether it grows.

use std::collections::BTreeMap;

use hone_learn::{Scratch, TextClassifier, cluster};
use hone_text::{WordBuffer, for_each_word_ngram};
use rustc_hash::{FxHashMap, FxHashSet};

use super::FoundExample;
use super::sample::{Request, Sample};

/// Topics at most, and requests of one at least.
const MAX_TOPICS: usize = 60;
const FEWEST: usize = 3;
/// Requests per topic that are looked for.
const PER_TOPIC: usize = 40;
/// A request that is less like the centre of its group than this belongs to none.
const LEAST_SIMILARITY: f32 = 0.35;
/// Terms that name a topic, and examples that show it.
const TERMS: usize = 4;
const EXAMPLES: usize = 3;

/// Requests about one thing.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Topic {
    /// The terms that tell it from the others.
    pub name: String,
    /// The same one by one, the most telling first.
    pub terms: Vec<String>,
    /// Its most typical request.
    pub medoid: FoundExample,
    /// Further typical requests.
    pub examples: Vec<FoundExample>,
    /// Requests.
    pub size: usize,
    /// Share of all that were looked at.
    pub share: f64,
    /// The labels that were detected, the most frequent first, with how often.
    pub labels: Vec<(String, usize)>,
    /// Share of judged answers that were right; absent where none was judged.
    pub approval_rate: Option<f64>,
    /// Answers that were judged.
    pub judged: usize,
    /// Share of requests that ended without an error.
    pub success_rate: f64,
    /// Requests in the later half of the time over those in the earlier: above 1 it grows.
    pub growth: Option<f64>,
}

/// What people ask about, the most frequent first.
pub(super) fn of(sample: &Sample) -> Vec<Topic> {
    groups(sample, 2)
}

/// Groups of some of the requests, which may be one alone.
pub(super) fn of_part(sample: &Sample, places: &[usize]) -> Vec<Topic> {
    groups(&sample.part(places), 1)
}

fn groups(sample: &Sample, fewest: usize) -> Vec<Topic> {
    let all = sample.requests.len();
    if all < FEWEST {
        return Vec::new();
    }
    let most = (all / PER_TOPIC).clamp(fewest, MAX_TOPICS);
    let clusters = cluster(&sample.vectors, sample.dimensions, most, 1);
    let mut members: Vec<Vec<(usize, f32)>> = vec![Vec::new(); clusters.count];
    for (place, (&group, &similarity)) in clusters.groups.iter().zip(&clusters.similarities).enumerate() {
        if similarity >= LEAST_SIMILARITY {
            members[group].push((place, similarity));
        }
    }
    members.retain(|members| members.len() >= FEWEST);
    for members in &mut members {
        members.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    }
    let names = names_of(sample, &members);
    let middle_us = middle_of(&sample.requests);
    let mut topics: Vec<Topic> = members
        .iter()
        .zip(names)
        .filter_map(|(members, terms)| topic(sample, members, terms, middle_us))
        .collect();
    topics.sort_by_key(|topic| std::cmp::Reverse(topic.size));
    topics
}

/// What people ask that no label seems to be for: requests of which the model is less sure than of what it knows, in groups.
pub(super) fn without_label(sample: &Sample, known: Option<(&TextClassifier, f32)>) -> Vec<Topic> {
    let Some((classifier, least_margin)) = known else {
        return Vec::new();
    };
    let mut scratch = Scratch::default();
    let outside: Vec<usize> = sample
        .requests
        .iter()
        .enumerate()
        // Of what somebody has said which label is right, there is one.
        .filter(|(_, request)| request.corrected.is_none() && request.verdict != Some(true))
        .filter(|(_, request)| classifier.predict(&request.input, 1, &mut scratch).margin < least_margin)
        .map(|(place, _)| place)
        .collect();
    let all = sample.requests.len().max(1) as f64;
    let mut topics = of_part(sample, &outside);
    for topic in &mut topics {
        topic.share = topic.size as f64 / all;
        // Those that were right are not among them.
        topic.approval_rate = None;
    }
    topics
}

fn middle_of(requests: &[Request]) -> i64 {
    let ends = requests.first().zip(requests.last());
    ends.map_or(0, |(first, last)| first.at_us + (last.at_us - first.at_us) / 2)
}

fn topic(sample: &Sample, members: &[(usize, f32)], terms: Vec<String>, middle_us: i64) -> Option<Topic> {
    let requests: Vec<&Request> = members
        .iter()
        .map(|(place, _)| &sample.requests[*place])
        .collect();
    let mut seen = FxHashSet::default();
    let mut typical = requests
        .iter()
        .filter(|request| seen.insert(hone_text::normalised_hash(&request.input)))
        .map(|request| FoundExample {
            interaction_id: request.id,
            input: request.input.clone(),
        });
    let medoid = typical.next()?;
    let examples: Vec<FoundExample> = typical.take(EXAMPLES).collect();
    let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
    for label in requests.iter().filter_map(|request| request.label.as_deref()) {
        *labels.entry(label).or_default() += 1;
    }
    let mut labels: Vec<(String, usize)> = labels
        .into_iter()
        .map(|(label, count)| (label.to_owned(), count))
        .collect();
    labels.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let verdicts: Vec<bool> = requests.iter().filter_map(|request| request.verdict).collect();
    let share = |part: usize, all: usize| part as f64 / all as f64;
    let later = requests
        .iter()
        .filter(|request| request.at_us > middle_us)
        .count();
    let earlier = requests.len() - later;
    Some(Topic {
        name: terms.join(", "),
        terms,
        medoid,
        examples,
        size: requests.len(),
        share: share(requests.len(), sample.requests.len()),
        labels,
        approval_rate: (!verdicts.is_empty())
            .then(|| share(verdicts.iter().filter(|right| **right).count(), verdicts.len())),
        judged: verdicts.len(),
        success_rate: share(
            requests.iter().filter(|request| request.is_ok).count(),
            requests.len(),
        ),
        growth: (earlier > 0).then(|| share(later, earlier)),
    })
}

/// The terms that tell each group from the others: those that are frequent in it and rare elsewhere (class-based TF-IDF,
/// Grootendorst 2022), each counted once a request.
fn names_of(sample: &Sample, members: &[Vec<(usize, f32)>]) -> Vec<Vec<String>> {
    let mut words = WordBuffer::default();
    let mut everywhere: FxHashMap<String, f64> = FxHashMap::default();
    let counts: Vec<FxHashMap<String, f64>> = members
        .iter()
        .map(|members| {
            let mut counts: FxHashMap<String, f64> = FxHashMap::default();
            for (place, _) in members {
                let mut own = FxHashSet::default();
                words.fill(&sample.requests[*place].input);
                for_each_word_ngram(&words, 1, 2, |term| {
                    own.insert(term.to_owned());
                });
                for term in own {
                    *counts.entry(term).or_default() += 1.0;
                }
            }
            for (term, count) in &counts {
                *everywhere.entry(term.clone()).or_default() += count / members.len() as f64;
            }
            counts
        })
        .collect();
    let groups = members.len() as f64;
    counts
        .iter()
        .zip(members)
        .map(|(counts, members)| {
            let mut weighed: Vec<(f64, &String)> = counts
                .iter()
                .map(|(term, count)| {
                    let rarity = (1.0 + groups / everywhere.get(term).copied().unwrap_or(1.0)).ln();
                    // Squared, as words such as "my" are frequent enough to win otherwise.
                    (count / members.len() as f64 * rarity * rarity, term)
                })
                .collect();
            weighed.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
            chosen_terms(weighed.iter().map(|(_, term)| term.as_str()))
        })
        .collect()
}

/// The first terms of which none is part of another.
fn chosen_terms<'a>(terms: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut chosen: Vec<String> = Vec::new();
    for term in terms {
        let is_part = |other: &String| {
            other
                .split(' ')
                .any(|word| term.split(' ').any(|own| own == word))
        };
        if !chosen.iter().any(is_part) {
            chosen.push(term.to_owned());
        }
        if chosen.len() == TERMS {
            break;
        }
    }
    chosen
}
