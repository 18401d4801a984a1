//! The monitors: each compares one thing of the requests before and since. Thresholds come from the sizes of both samples (a fixed
//! limit fires on noise where they are small); those with a p-value are corrected together (Benjamini-Hochberg).

use std::collections::{BTreeMap, BTreeSet};

use hone_learn::{FitContext, Scratch, TrainingSet, find_trainer};
use hone_stats::{
    Adwin, PageHinkley, PageHinkleySettings, false_discoveries, kolmogorov_smirnov, mix_shift,
    two_proportions,
};
use hone_text::WordBuffer;

use super::sample::Sample;

/// Share of false ones among the monitors that fire.
const FALSE_RATE: f64 = 0.05;
/// Chance of a false alarm of the monitor of correctness at a look.
const ADWIN_DELTA: f64 = 0.002;
/// Of latencies and costs in units of the reference's deviation: a change of half a deviation is seen after some hundred values, none
/// in four thousand is an alarm in one of a thousand.
const RISES: PageHinkleySettings = PageHinkleySettings {
    fewest: 30,
    delta: 0.25,
    threshold: 30.0,
    memory: 1.0,
};
/// Bins of confidences.
const BINS: usize = 10;
/// With fewer values on either side a monitor says nothing.
const FEWEST: usize = 100;
/// Words that are named.
const MAX_WORDS: usize = 20;
const REFERENCE: &str = "before";
const CURRENT: &str = "since";

/// One thing that was compared.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct DriftMonitor {
    /// `labels`, `confidence`, `unknown_words`, `texts`, `correctness`, `latency` or `cost`.
    pub name: String,
    /// How far apart both sides are, in what the monitor measures.
    pub distance: f64,
    /// The p-value of "both are alike"; of `correctness`, `latency` and `cost` there is none.
    pub p: Option<f64>,
    /// Whether it fires.
    pub fires: bool,
    /// What was found, in words.
    pub detail: String,
}

/// A word that has become more or less frequent.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct DriftWord {
    /// The word.
    pub word: String,
    /// Share of the requests before with it.
    pub before: f64,
    /// Share of the requests since with it.
    pub since: f64,
}

/// Compares everything; the words only where texts differ.
pub(super) fn compare(reference: &Sample, current: &Sample) -> (Vec<DriftMonitor>, Vec<DriftWord>) {
    let mut monitors: Vec<DriftMonitor> = [
        mix_of_labels(reference, current),
        mix_of_confidences(reference, current),
        unknown_words(reference, current),
        texts_apart(reference, current),
    ]
    .into_iter()
    .flatten()
    .collect();
    let p_values: Vec<f64> = monitors.iter().map(|monitor| monitor.p.unwrap_or(1.0)).collect();
    for place in false_discoveries(&p_values, FALSE_RATE) {
        monitors[place].fires = true;
    }
    let texts_differ = monitors
        .iter()
        .any(|monitor| monitor.fires && ["texts", "unknown_words"].contains(&monitor.name.as_str()));
    let words = if texts_differ {
        changed_words(&reference.texts, &current.texts)
    } else {
        Vec::new()
    };
    monitors.extend(correctness(&reference.judged, &current.judged));
    monitors.extend(rises("latency", &reference.latencies_us, &current.latencies_us));
    monitors.extend(rises("cost", &reference.costs, &current.costs));
    (monitors, words)
}

fn mix_of_labels(reference: &Sample, current: &Sample) -> Option<DriftMonitor> {
    let names: BTreeSet<&String> = reference.labels.iter().chain(&current.labels).collect();
    let count = |labels: &[String]| -> Vec<u64> {
        let mut counts: BTreeMap<&String, u64> = names.iter().map(|name| (*name, 0)).collect();
        for label in labels {
            *counts.entry(label).or_default() += 1;
        }
        counts.into_values().collect()
    };
    if reference.labels.len() < FEWEST || current.labels.len() < FEWEST || names.len() < 2 {
        return None;
    }
    let shift = mix_shift(&count(&reference.labels), &count(&current.labels))?;
    Some(DriftMonitor {
        name: "labels".to_owned(),
        distance: shift.divergence,
        p: Some(shift.p),
        fires: false,
        detail: format!(
            "the mix of labels is {:.4} nats away (p {:.2e})",
            shift.divergence, shift.p
        ),
    })
}

fn mix_of_confidences(reference: &Sample, current: &Sample) -> Option<DriftMonitor> {
    let count = |values: &[f64]| {
        let mut bins = vec![0u64; BINS];
        for value in values {
            bins[((value * BINS as f64) as usize).min(BINS - 1)] += 1;
        }
        bins
    };
    if reference.confidences.len() < FEWEST || current.confidences.len() < FEWEST {
        return None;
    }
    let shift = mix_shift(&count(&reference.confidences), &count(&current.confidences))?;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    Some(DriftMonitor {
        name: "confidence".to_owned(),
        distance: shift.divergence,
        p: Some(shift.p),
        fires: false,
        detail: format!(
            "confidences went from {:.3} to {:.3} on average (p {:.2e})",
            mean(&reference.confidences),
            mean(&current.confidences),
            shift.p
        ),
    })
}

/// How many words of each request are in none of the first half of the requests before.
fn unknown_words(reference: &Sample, current: &Sample) -> Option<DriftMonitor> {
    let (known, rest) = reference.texts.split_at(reference.len() / 2);
    let mut buffer = WordBuffer::default();
    let mut vocabulary: BTreeSet<String> = BTreeSet::new();
    for text in known {
        buffer.fill(text);
        vocabulary.extend((0..buffer.len()).map(|place| buffer.slice(place, place).to_owned()));
    }
    let mut share_of = |text: &String| {
        buffer.fill(text);
        let unknown = (0..buffer.len()).filter(|&place| !vocabulary.contains(buffer.slice(place, place)));
        unknown.count() as f64 / buffer.len().max(1) as f64
    };
    let before: Vec<f64> = rest.iter().map(&mut share_of).collect();
    let since: Vec<f64> = current.texts.iter().map(&mut share_of).collect();
    let found = kolmogorov_smirnov(&before, &since)?;
    let mean = |values: &[f64]| 100.0 * values.iter().sum::<f64>() / values.len().max(1) as f64;
    Some(DriftMonitor {
        name: "unknown_words".to_owned(),
        distance: found.distance,
        p: Some(found.p),
        fires: false,
        detail: format!(
            "{:.1} % of the words are new, {:.1} % were before (p {:.2e})",
            mean(&since),
            mean(&before),
            found.p
        ),
    })
}

/// Whether the project's own trainer can tell requests before from requests since (classifier two-sample test, Lopez-Paz and Oquab
/// 2017): fitted on every other request, tried on the rest.
fn texts_apart(reference: &Sample, current: &Sample) -> Option<DriftMonitor> {
    let trainer = find_trainer("linear")?;
    let mut set = TrainingSet::default();
    let sides = [(REFERENCE, &reference.texts), (CURRENT, &current.texts)];
    for (side, texts) in sides {
        for text in texts.iter().step_by(2) {
            set.push(text.as_str(), side, 1.0);
        }
    }
    let context = FitContext {
        seed: 1,
        is_cancelled: &|| false,
        progress: &|_, _| {},
    };
    let fitted = trainer.fit(&set, &serde_json::json!({}), &context).ok()?;
    let mut scratch = Scratch::default();
    let mut taken_for_current = |texts: &[String]| {
        let held_out = texts.iter().skip(1).step_by(2);
        let taken = held_out.clone().filter(|text| {
            let label = fitted.classifier.predict(text, 1, &mut scratch).label;
            fitted.classifier.labels[label] == CURRENT
        });
        (taken.count() as u64, held_out.count() as u64)
    };
    let (before, since) = (
        taken_for_current(&reference.texts),
        taken_for_current(&current.texts),
    );
    let share = |(taken, all): (u64, u64)| taken as f64 / all.max(1) as f64;
    let distance = share(since) - share(before);
    let p = two_proportions(before, since, FALSE_RATE).map_or(1.0, |found| found.p);
    // Taken for current less often than what was before says nothing.
    let p = if distance > 0.0 { p } else { 1.0 };
    Some(DriftMonitor {
        name: "texts".to_owned(),
        distance,
        p: Some(p),
        fires: false,
        detail: format!(
            "a classifier takes {:.1} % of the new requests for new and {:.1} % of those before (p {p:.2e})",
            100.0 * share(since),
            100.0 * share(before)
        ),
    })
}

/// Whether answers are right less often or more often than before.
fn correctness(before: &[bool], since: &[bool]) -> Option<DriftMonitor> {
    if before.len() < FEWEST || since.len() < FEWEST / 2 {
        return None;
    }
    let mut window = Adwin::new(ADWIN_DELTA);
    for &right in before {
        window.observe(f64::from(right));
    }
    let changes = since.iter().filter(|&&right| window.observe(f64::from(right)));
    let fires = changes.count() > 0;
    let share = |values: &[bool]| values.iter().filter(|&&right| right).count() as f64 / values.len() as f64;
    let (old, new) = (share(before), share(since));
    Some(DriftMonitor {
        name: "correctness".to_owned(),
        distance: new - old,
        p: None,
        fires,
        detail: format!(
            "{:.1} % of the answers are right, {:.1} % were before",
            100.0 * new,
            100.0 * old
        ),
    })
}

/// Whether latencies or costs have risen or fallen. They are compared as logarithms, in units of the reference's deviation.
fn rises(name: &str, before: &[f64], since: &[f64]) -> Option<DriftMonitor> {
    if before.len() < FEWEST || since.len() < FEWEST / 2 {
        return None;
    }
    let logarithms = |values: &[f64]| {
        values
            .iter()
            .map(|value| value.max(0.0).ln_1p())
            .collect::<Vec<f64>>()
    };
    let (before_ln, since_ln) = (logarithms(before), logarithms(since));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let center = mean(&before_ln);
    let variance = before_ln
        .iter()
        .map(|value| (value - center).powi(2))
        .sum::<f64>()
        / before_ln.len() as f64;
    // Where nothing varied, a tenth more is a deviation.
    let deviation = variance.sqrt().max(0.1);
    let mut test = PageHinkley::new(RISES);
    for value in &before_ln {
        test.observe((value - center) / deviation);
    }
    let changes = since_ln
        .iter()
        .filter(|value| test.observe((**value - center) / deviation));
    let fires = changes.count() > 0;
    let ratio = (mean(&since_ln) - center).exp();
    Some(DriftMonitor {
        name: name.to_owned(),
        distance: ratio.ln(),
        p: None,
        fires,
        detail: format!("{name} is {ratio:.2} times what it was"),
    })
}

/// The words whose share of the requests changed most, of those that changed beyond chance.
fn changed_words(before: &[String], since: &[String]) -> Vec<DriftWord> {
    let (old, new) = (requests_with(before), requests_with(since));
    let names: Vec<&String> = old
        .keys()
        .chain(new.keys())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let (of_old, of_new) = (before.len() as u64, since.len() as u64);
    let counts = |word: &String| {
        (
            old.get(word).copied().unwrap_or(0),
            new.get(word).copied().unwrap_or(0),
        )
    };
    let p_values: Vec<f64> = names
        .iter()
        .map(|word| {
            let (a, b) = counts(word);
            two_proportions((a, of_old), (b, of_new), FALSE_RATE).map_or(1.0, |found| found.p)
        })
        .collect();
    let mut words: Vec<DriftWord> = false_discoveries(&p_values, FALSE_RATE)
        .into_iter()
        .map(|place| {
            let (a, b) = counts(names[place]);
            DriftWord {
                word: names[place].clone(),
                before: a as f64 / of_old as f64,
                since: b as f64 / of_new as f64,
            }
        })
        .collect();
    words.sort_by(|one, other| {
        let change = |word: &DriftWord| (word.since - word.before).abs();
        change(other).total_cmp(&change(one))
    });
    words.truncate(MAX_WORDS);
    words
}

/// In how many texts each word is.
fn requests_with(texts: &[String]) -> BTreeMap<String, u64> {
    let mut buffer = WordBuffer::default();
    let mut counts = BTreeMap::new();
    for text in texts {
        buffer.fill(text);
        let words: BTreeSet<&str> = (0..buffer.len())
            .map(|place| buffer.slice(place, place))
            .collect();
        for word in words {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(word.to_owned(), 1);
                }
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests of which one in `rare` is about crypto; the numbers differ, so that no two are the same.
    fn sample(seed: u64, count: usize, rare: u64, right: u64, latency_us: f64) -> Sample {
        let mut draws = fastrand_like(seed);
        let mut sample = Sample::default();
        let topics = [
            "where is my parcel",
            "give my money back",
            "reset the password",
            "change the address",
        ];
        for _ in 0..count {
            let draw = draws();
            let is_rare = draw.is_multiple_of(rare);
            let topic = (draw / 7 % 4) as usize;
            let text = if is_rare {
                "pay with bitcoin wallet"
            } else {
                topics[topic]
            };
            sample
                .texts
                .push(format!("{text} please number{}", draw / 31 % 50));
            sample.labels.push(if is_rare {
                "other".to_owned()
            } else {
                format!("label-{topic}")
            });
            sample.confidences.push(0.5 + (draw / 11 % 50) as f64 / 100.0);
            sample
                .latencies_us
                .push(latency_us * (0.8 + (draw / 13 % 40) as f64 / 100.0));
            sample.judged.push(draw / 17 % 100 < right);
        }
        sample
    }

    fn fastrand_like(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut value = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (value ^ (value >> 31)) >> 8
        }
    }

    fn firing(reference: &Sample, current: &Sample) -> Vec<String> {
        let (monitors, _) = compare(reference, current);
        monitors
            .into_iter()
            .filter(|monitor| monitor.fires)
            .map(|monitor| monitor.name)
            .collect()
    }

    #[test]
    fn what_stays_the_same_fires_seldom() {
        let alarms = (0..200)
            .filter(|seed| {
                let [one, other] = [0, 1].map(|side| sample(seed * 2 + side, 400, 50, 85, 1e5));
                !firing(&one, &other).is_empty()
            })
            .count();
        // A twentieth by design; twice that would be chance in one of a thousand.
        assert!(alarms <= 20, "{alarms} of 200");
    }

    #[test]
    fn a_new_topic_is_seen_and_its_words_are_named() {
        let (before, since) = (sample(1, 800, 200, 85, 1e5), sample(2, 800, 5, 85, 1e5));
        let (monitors, words) = compare(&before, &since);
        let fired: Vec<&str> = monitors
            .iter()
            .filter(|monitor| monitor.fires)
            .map(|monitor| monitor.name.as_str())
            .collect();
        assert!(
            fired.contains(&"labels") && fired.contains(&"texts"),
            "{monitors:?}"
        );
        assert!(
            !fired.contains(&"latency") && !fired.contains(&"correctness"),
            "{monitors:?}"
        );
        let named: Vec<&str> = words.iter().take(4).map(|word| word.word.as_str()).collect();
        assert!(
            named.contains(&"bitcoin") && named.contains(&"wallet"),
            "{words:?}"
        );
    }

    #[test]
    fn falling_correctness_and_rising_latency_are_seen() {
        let before = sample(1, 800, 50, 90, 1e5);
        let worse = sample(2, 800, 50, 60, 1e5);
        assert!(firing(&before, &worse).contains(&"correctness".to_owned()));
        let slower = sample(3, 800, 50, 90, 1.5e5);
        assert_eq!(firing(&before, &slower), ["latency"]);
    }
}
