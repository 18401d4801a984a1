//! Dividing examples into the parts of a dataset so that nothing leaks: conversations, subjects and near-duplicates stay
//! together, what was learned from is never held out later, and by time nothing is learned from that came after what is held
//! out. Within a label the shares are kept as closely as counts allow.

use std::collections::BTreeMap;

use hone_domain::{Split, SplitBy, SplitShares, TrainingPolicy};
use hone_storage::examples::Example;
use rustc_hash::FxHashMap;
use uuid::Uuid;

/// Gives every example its part.
///
/// Members of a unit (a conversation, or a subject) that were given different parts, because a text came again elsewhere, all
/// go to the earliest: what was held out may be learned from later, never the other way round. Units that near-duplicates
/// connect go where those of them are that have a part, or are dealt out together, in the order of a hash of their name.
pub(crate) fn assign_splits(usable: &[Example], policy: &TrainingPolicy) -> Vec<Split> {
    let clusters = clusters(usable, policy.split_by);
    if policy.split_by == SplitBy::Time {
        return by_time(usable, clusters, policy.split);
    }
    let mut counts = SplitCounts::new(policy.split);
    let mut splits = vec![Split::Train; usable.len()];
    let mut open = Vec::new();
    for units in clusters.values() {
        let mut left: Vec<usize> = Vec::new();
        let mut of_cluster = None;
        for members in units.values() {
            match given_part(usable, members) {
                Some(split) => {
                    counts.give(usable, members, split, &mut splits);
                    of_cluster = of_cluster.into_iter().chain([split]).min();
                }
                None => left.extend(members),
            }
        }
        match of_cluster {
            Some(split) => counts.give(usable, &left, split, &mut splits),
            None => open.push(left),
        }
    }
    for members in open {
        let split = counts.furthest_behind(usable[members[0]].label.as_deref());
        counts.give(usable, &members, split, &mut splits);
    }
    splits
}

/// Positions of examples by unit, by cluster of units; in the order of hashes, which is no order of the examples.
type Clusters = BTreeMap<[u8; 16], BTreeMap<Uuid, Vec<usize>>>;

fn clusters(usable: &[Example], split_by: SplitBy) -> Clusters {
    let unit_of = |example: &Example| {
        let subject = example.subject_id.filter(|_| split_by == SplitBy::Subject);
        subject.or(example.conversation_id).unwrap_or(example.id)
    };
    let mut names = Names::default();
    for example in usable {
        names.join(unit_of(example), example.id);
        if let Some(group) = example.near_group {
            names.join(example.id, group);
        }
    }
    let mut first_units: FxHashMap<usize, Uuid> = FxHashMap::default();
    for example in usable {
        let (unit, root) = (unit_of(example), names.root_of(example.id));
        let first = first_units.entry(root).or_insert(unit);
        *first = unit.min(*first);
    }
    let mut clusters = Clusters::new();
    for (position, example) in usable.iter().enumerate() {
        let first = first_units[&names.root_of(example.id)];
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(first.as_bytes()).as_bytes()[..16]);
        let units = clusters.entry(key).or_default();
        units.entry(unit_of(example)).or_default().push(position);
    }
    clusters
}

/// Names of which some belong together.
#[derive(Default)]
struct Names {
    numbers: FxHashMap<Uuid, usize>,
    parents: Vec<usize>,
}

impl Names {
    fn join(&mut self, a: Uuid, b: Uuid) {
        let (a, b) = (self.root_of(a), self.root_of(b));
        self.parents[a.max(b)] = a.min(b);
    }

    fn root_of(&mut self, name: Uuid) -> usize {
        let mut number = *self.numbers.entry(name).or_insert(self.parents.len());
        if number == self.parents.len() {
            self.parents.push(number);
        }
        while self.parents[number] != number {
            self.parents[number] = self.parents[self.parents[number]];
            number = self.parents[number];
        }
        number
    }
}

/// The part that members were given, the earliest where they differ.
fn given_part(usable: &[Example], members: &[usize]) -> Option<Split> {
    let given = members
        .iter()
        .filter_map(|&member| usable[member].split.as_deref()?.parse::<Split>().ok());
    given.min()
}

/// The latest clusters are held out, those before them validate. Nothing that was learned from is held out later, though what
/// was held out is learned from when later examples come.
fn by_time(usable: &[Example], clusters: Clusters, shares: SplitShares) -> Vec<Split> {
    let mut clusters: Vec<(i64, Vec<usize>)> = clusters
        .into_values()
        .map(|units| {
            let members: Vec<usize> = units.into_values().flatten().collect();
            let times = members.iter().map(|&member| usable[member].judged_at_us);
            (times.max().unwrap_or_default(), members)
        })
        .collect();
    clusters.sort_by_key(|(latest_us, _)| *latest_us);
    let (total, mut before) = (usable.len() as f64, 0);
    let mut splits = vec![Split::Train; usable.len()];
    for (_, members) in clusters {
        let middle = (before as f64 + members.len() as f64 / 2.0) / total;
        let by_place = if middle < shares.train {
            Split::Train
        } else if middle < shares.train + shares.validation {
            Split::Validation
        } else {
            Split::Test
        };
        let split = given_part(usable, &members).map_or(by_place, |given| given.min(by_place));
        for &member in &members {
            splits[member] = split;
        }
        before += members.len();
    }
    splits
}

/// How many examples each part has, by label and over all.
struct SplitCounts<'a> {
    shares: [f64; 3],
    by_label: BTreeMap<Option<&'a str>, [f64; 3]>,
    total: [f64; 3],
}

impl<'a> SplitCounts<'a> {
    fn new(shares: SplitShares) -> Self {
        Self {
            shares: [shares.train, shares.validation, shares.test],
            by_label: BTreeMap::new(),
            total: [0.0; 3],
        }
    }

    fn give(&mut self, usable: &'a [Example], members: &[usize], split: Split, splits: &mut [Split]) {
        for &member in members {
            splits[member] = split;
            self.by_label.entry(usable[member].label.as_deref()).or_default()[split as usize] += 1.0;
            self.total[split as usize] += 1.0;
        }
    }

    /// Sainte-Laguë's rule per label; the overall counts decide where a label has too few to tell.
    fn furthest_behind(&self, label: Option<&str>) -> Split {
        let of_label = self.by_label.get(&label).copied().unwrap_or_default();
        let labels = self.by_label.len().max(1) as f64;
        let filled = |part: Split| {
            let (index, share) = (part as usize, self.shares[part as usize]);
            if share <= 0.0 {
                return f64::INFINITY;
            }
            (of_label[index] + 0.5) / share + (self.total[index] + 0.5) / share / labels
        };
        let mut best = Split::Train;
        for &part in Split::ALL {
            if filled(part) < filled(best) {
                best = part;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freeze::tests::example;
    use proptest::prelude::*;

    fn policy(split_by: SplitBy) -> TrainingPolicy {
        TrainingPolicy {
            split_by,
            ..TrainingPolicy::default()
        }
    }

    fn assign(usable: &[Example]) -> Vec<Split> {
        assign_splits(usable, &policy(SplitBy::Conversation))
    }

    fn count(splits: &[Split], part: Split) -> usize {
        splits.iter().filter(|&&split| split == part).count()
    }

    #[test]
    fn shares_hold_within_each_label() {
        let usable: Vec<Example> = (0..300u128)
            .map(|number| example(number, ["a", "b", "c"][number as usize % 3], None, None))
            .collect();
        let splits = assign(&usable);
        for label in 0..3 {
            let own: Vec<Split> = splits.iter().copied().skip(label).step_by(3).collect();
            let (train, test) = (count(&own, Split::Train), count(&own, Split::Test));
            assert!((68..=72).contains(&train), "{train}");
            assert!((14..=16).contains(&test), "{test}");
        }
    }

    #[test]
    fn few_examples_still_give_a_held_out_part() {
        let usable: Vec<Example> = (0..20u128)
            .map(|number| example(number, &format!("label{}", number % 10), None, None))
            .collect();
        assert!(count(&assign(&usable), Split::Test) >= 2);
    }

    #[test]
    fn a_part_that_was_asked_for_stays_though_a_near_duplicate_has_another() {
        let mut usable = vec![
            example(1, "a", None, Some("train")),
            example(2, "a", None, Some("test")),
            example(3, "a", None, None),
        ];
        usable[1].near_group = Some(usable[0].id);
        usable[2].near_group = Some(usable[0].id);
        assert_eq!(assign(&usable), [Split::Train, Split::Test, Split::Train]);
    }

    #[test]
    fn what_is_held_out_by_time_is_the_latest() {
        let usable: Vec<Example> = (0..100u128)
            .map(|number| Example {
                judged_at_us: (number * 37 % 100) as i64,
                ..example(number, "a", None, None)
            })
            .collect();
        let splits = assign_splits(&usable, &policy(SplitBy::Time));
        assert_eq!(
            (count(&splits, Split::Train), count(&splits, Split::Test)),
            (70, 15)
        );
        for (example, split) in usable.iter().zip(splits) {
            assert_eq!(split == Split::Test, example.judged_at_us >= 85);
        }
    }

    /// Examples in conversations, of subjects, in groups of near-duplicates, at times; some have a part.
    fn any_examples() -> impl Strategy<Value = Vec<Example>> {
        let one = (
            prop::option::of(0u128..12),
            prop::option::of(0u128..6),
            prop::option::of(0usize..60),
            0i64..1_000,
        );
        prop::collection::vec(one, 1..60).prop_map(|rows| {
            let id = |position: usize| Uuid::from_u128(position as u128 + 100);
            let made = rows.iter().enumerate().map(|(position, row)| {
                let (conversation, subject, near, judged_at_us) = *row;
                Example {
                    id: id(position),
                    subject_id: subject.map(|subject| Uuid::from_u128(subject + 1_000)),
                    near_group: near.filter(|&near| near < position).map(id),
                    judged_at_us,
                    ..example(0, ["a", "b"][position % 2], conversation, None)
                }
            });
            made.collect()
        })
    }

    fn require_together<K: Ord>(usable: &[Example], splits: &[Split], unit: impl Fn(&Example) -> Option<K>) {
        let mut seen: BTreeMap<K, Split> = BTreeMap::new();
        for (example, &split) in usable.iter().zip(splits) {
            if let Some(unit) = unit(example) {
                assert_eq!(*seen.entry(unit).or_insert(split), split);
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_leaks_whichever_way_is_split(usable in any_examples(), later in any_examples()) {
            for &split_by in SplitBy::ALL {
                let splits = assign_splits(&usable, &policy(split_by));
                if split_by == SplitBy::Subject {
                    require_together(&usable, &splits, |example| example.subject_id);
                } else {
                    require_together(&usable, &splits, |example| example.conversation_id);
                }
                for (example, split) in usable.iter().zip(&splits) {
                    let group = example.near_group.and_then(|group| usable.iter().position(|other| other.id == group));
                    if let Some(group) = group {
                        prop_assert_eq!(splits[group], *split);
                    }
                }
                // A later freeze with more examples: nothing learned from is held out.
                let mut more = usable.clone();
                for (example, split) in more.iter_mut().zip(&splits) {
                    example.split = Some(split.as_str().to_owned());
                }
                more.extend(later.iter().cloned().map(|example| Example {
                    id: Uuid::from_u128(example.id.as_u128() + 5_000),
                    judged_at_us: example.judged_at_us + 500,
                    ..example
                }));
                let after = assign_splits(&more, &policy(split_by));
                for (before, after) in splits.iter().zip(&after) {
                    prop_assert!(after <= before, "{before} became {after}");
                }
            }
        }

        #[test]
        fn by_time_nothing_learned_is_later_than_what_is_held_out(usable in any_examples()) {
            let splits = assign_splits(&usable, &policy(SplitBy::Time));
            let latest_of = |units: &BTreeMap<Uuid, Vec<usize>>| {
                let members: Vec<usize> = units.values().flatten().copied().collect();
                (members.iter().map(|&member| usable[member].judged_at_us).max().unwrap(), splits[members[0]])
            };
            let ends: Vec<(i64, Split)> = clusters(&usable, SplitBy::Time).values().map(latest_of).collect();
            for (learned_us, _) in ends.iter().filter(|(_, split)| *split == Split::Train) {
                for (held_us, _) in ends.iter().filter(|(_, split)| *split == Split::Test) {
                    prop_assert!(learned_us <= held_us);
                }
            }
        }

        #[test]
        fn a_later_freeze_moves_nothing(first in 5usize..60, more in 1usize..60) {
            let mut usable: Vec<Example> = (0..first).map(|number| example(number as u128, "a", None, None)).collect();
            let before = assign(&usable);
            for (example, split) in usable.iter_mut().zip(&before) {
                example.split = Some(split.as_str().to_owned());
            }
            usable.extend((0..more).map(|number| example((first + number) as u128, "a", None, None)));
            let after = assign(&usable);
            prop_assert_eq!(&after[..first], &before[..]);
        }
    }
}
