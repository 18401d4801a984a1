//! What goes wrong again and again: the same error, the same label taken for another, the same kind of request disliked.

use std::collections::BTreeMap;

use super::sample::{Request, Sample};
use super::{FoundExample, topics};

/// What has happened fewer times is no pattern.
const FEWEST: usize = 3;
const EXAMPLES: usize = 3;
/// Patterns that are kept.
const MAX_PATTERNS: usize = 50;

/// Something that goes wrong again and again.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FailurePattern {
    /// `error`, `confused` (a label taken for another) or `disliked`.
    pub kind: String,
    /// What goes wrong, in words.
    pub what: String,
    /// How often.
    pub count: usize,
    /// Some requests with which it did.
    pub examples: Vec<FoundExample>,
}

/// The patterns, the most frequent first.
pub(super) fn of(sample: &Sample) -> Vec<FailurePattern> {
    let mut patterns: BTreeMap<(&str, String), Vec<&Request>> = BTreeMap::new();
    for request in &sample.requests {
        if !request.is_ok {
            let error = request
                .error
                .clone()
                .unwrap_or_else(|| "no reason is known".to_owned());
            patterns.entry(("error", error)).or_default().push(request);
        }
        if let (Some(right), Some(wrong)) = (&request.corrected, &request.label) {
            let what = format!("{right} is taken for {wrong}");
            patterns.entry(("confused", what)).or_default().push(request);
        }
    }
    let mut found: Vec<FailurePattern> = patterns
        .into_iter()
        .filter(|(_, requests)| requests.len() >= FEWEST)
        .map(|((kind, what), requests)| pattern(kind, what, &requests))
        .collect();
    found.extend(disliked(sample));
    found.sort_by_key(|pattern| std::cmp::Reverse(pattern.count));
    found.truncate(MAX_PATTERNS);
    found
}

/// Groups of requests whose answers were wrong and that no other label explains.
fn disliked(sample: &Sample) -> Vec<FailurePattern> {
    let wrong: Vec<usize> = sample
        .requests
        .iter()
        .enumerate()
        .filter(|(_, request)| request.verdict == Some(false) && request.corrected.is_none())
        .map(|(place, _)| place)
        .collect();
    topics::of_part(sample, &wrong)
        .into_iter()
        .map(|topic| FailurePattern {
            kind: "disliked".to_owned(),
            what: topic.name,
            count: topic.size,
            examples: std::iter::once(topic.medoid).chain(topic.examples).collect(),
        })
        .collect()
}

fn pattern(kind: &str, what: String, requests: &[&Request]) -> FailurePattern {
    FailurePattern {
        kind: kind.to_owned(),
        what,
        count: requests.len(),
        examples: requests
            .iter()
            .take(EXAMPLES)
            .map(|request| FoundExample {
                interaction_id: request.id,
                input: request.input.clone(),
            })
            .collect(),
    }
}
