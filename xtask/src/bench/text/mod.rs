//! What is said of each text when it arrives: how right it is on real data, and how long it takes.

mod near;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use anyhow::Context as _;
use hone_text::{
    PersonalKind, Signer, answer_flaws, find_personal, injection_signs, language, moderation, normalised_hash,
};

use super::learn::data_folder;
use super::report::{Repeats, append};

pub(crate) use self::near::run as near;

const REPEATS: usize = 5;

#[derive(serde::Deserialize)]
struct Marked {
    full_text: String,
    spans: Vec<Span>,
}

#[derive(serde::Deserialize)]
struct Span {
    entity_type: String,
    entity_value: String,
    start_position: usize,
    end_position: usize,
}

/// The kinds of `presidio_research` that have a recogniser.
const KINDS: [(&str, PersonalKind); 7] = [
    ("EMAIL_ADDRESS", PersonalKind::Email),
    ("PHONE_NUMBER", PersonalKind::Phone),
    ("CREDIT_CARD", PersonalKind::Card),
    ("IBAN_CODE", PersonalKind::Iban),
    ("US_SSN", PersonalKind::UsSsn),
    ("IP_ADDRESS", PersonalKind::IpAddress),
    ("DOMAIN_NAME", PersonalKind::Url),
];

#[derive(Default)]
struct Counts {
    marked: usize,
    found: usize,
    said: usize,
    right: usize,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let mut table = String::from(
        "| what | | |\n|---|---|---|\n| **personal data, `presidio_research`** | recall | precision |\n",
    );
    personal_data(&mut table)?;
    near::rows(&mut table)?;
    times(&mut table)?;
    append("text", &table)
}

/// A marked piece counts as found when all of its letters and digits are in findings of its kind; a finding is right when it
/// touches a marked piece of its kind.
fn personal_data(table: &mut String) -> anyhow::Result<()> {
    let mut texts: Vec<Marked> = Vec::new();
    for name in [
        "generated_small.json",
        "generated_large.json",
        "synth_dataset_v2.json",
    ] {
        let file = data_folder()?.join("presidio_research").join(name);
        let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
        texts.extend(serde_json::from_slice::<Vec<Marked>>(&bytes)?);
    }
    let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
    for marked in &texts {
        let text = &marked.full_text;
        // Positions are of characters.
        let places: Vec<usize> = text
            .char_indices()
            .map(|(place, _)| place)
            .chain([text.len()])
            .collect();
        let found = find_personal(text);
        for (name, kind) in KINDS {
            let spans: Vec<_> = marked
                .spans
                .iter()
                .filter(|span| span.entity_type == name)
                .map(|span| {
                    (
                        places[span.start_position]..places[span.end_position],
                        &span.entity_value,
                    )
                })
                .collect();
            let count = counts.entry(name).or_default();
            let said: Vec<_> = found.iter().filter(|finding| finding.kind == kind).collect();
            for (span, value) in &spans {
                let covers = |place: usize| said.iter().any(|finding| finding.range.contains(&place));
                let is_found = text[span.clone()]
                    .char_indices()
                    .filter(|(_, character)| character.is_alphanumeric())
                    .all(|(place, _)| covers(span.start + place));
                count.marked += 1;
                count.found += usize::from(is_found);
                if !is_found {
                    tell(name, "missed", value, text);
                }
            }
            for finding in said {
                let is_right = spans
                    .iter()
                    .any(|(span, _)| span.start < finding.range.end && finding.range.start < span.end);
                count.said += 1;
                count.right += usize::from(is_right);
                if !is_right {
                    tell(name, "wrong", &text[finding.range.clone()], text);
                }
            }
        }
    }
    for (name, count) in &counts {
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        writeln!(
            table,
            "| {name} ({}) | {:.3} | {:.3} |",
            count.marked,
            share(count.found, count.marked),
            share(count.right, count.said)
        )?;
    }
    Ok(())
}

/// How long everything takes that is said of a text when it arrives.
fn times(table: &mut String) -> anyhow::Result<()> {
    let text = "Hello, where is my parcel? It should have come on Monday 12 May, order 4512-88. Please mail ann@example.com or call me at home, thank you and bye.";
    writeln!(table, "| **one text of {} characters** | us | |", text.len())?;
    let mut signer = Signer::default();
    let mut features: [(&str, Feature<'_>); 7] = [
        (
            "normalised hash",
            Box::new(|text| usize::from(normalised_hash(text)[0])),
        ),
        (
            "near-duplicate bands",
            Box::new(move |text| signer.sign(text).count()),
        ),
        ("personal data", Box::new(|text| find_personal(text).len())),
        ("language", Box::new(|text| language(text).map_or(0, str::len))),
        ("flaws", Box::new(|text| answer_flaws(text).len())),
        ("moderation", Box::new(|text| moderation(text).kinds.len())),
        (
            "signs of injection",
            Box::new(|text| injection_signs(text).signs.len()),
        ),
    ];
    let mut sum = 0.0;
    for (name, feature) in &mut features {
        let times = (0..REPEATS).map(|_| microseconds_per_call(|| feature(black_box(text))));
        let times = Repeats::new(times.collect());
        sum += times.median();
        writeln!(table, "| {name} | {} | |", times.shown(2))?;
    }
    writeln!(table, "| all of them | {sum:.1} | |")?;
    Ok(())
}

/// Says something of a text.
type Feature<'a> = Box<dyn FnMut(&str) -> usize + 'a>;

fn microseconds_per_call(mut call: impl FnMut() -> usize) -> f64 {
    let (start, calls) = (Instant::now(), 20_000);
    for _ in 0..calls {
        black_box(call());
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

/// Prints what went wrong, for whoever improves a recogniser.
#[expect(clippy::print_stderr, reason = "only where it is asked for")]
fn tell(kind: &str, what: &str, piece: &str, text: &str) {
    if std::env::var_os("HONE_BENCH_TELL").is_some() {
        eprintln!("{kind} {what}: {piece:?} in {text:?}");
    }
}
