//! Active learning on CLINC150: how many labels are needed for the accuracy that random choice reaches with 2,700, when people are
//! asked as the review queue asks.

use std::fmt::Write as _;

use hone_learn::{FitContext, LinearTrainer, Scratch, TextClassifier, Trainer as _, TrainingSet};
use hone_text::Signer;
use serde_json::json;

use super::Draws;
use crate::bench::learn::{data_folder, read_set};

const START: usize = 300;
const STEP: usize = 300;
const END: usize = 2_700;
const SEEDS: u64 = 5;
const RANDOM_SHARE: f64 = 0.1;

pub(super) fn rows(table: &mut String) -> anyhow::Result<()> {
    let folder = data_folder()?.join("clinc150");
    let (pool, test) = (
        read_set(&folder.join("train.jsonl"))?,
        read_set(&folder.join("test.jsonl"))?,
    );
    let bands = bands_of(&pool);
    let (mut random, mut active) = (Vec::new(), Vec::new());
    for seed in 0..SEEDS {
        random.push(curve(&pool, &test, &bands, seed, false)?);
        active.push(curve(&pool, &test, &bands, seed, true)?);
    }
    let mean = |curves: &[Vec<f64>], step: usize| {
        curves.iter().map(|curve| curve[step]).sum::<f64>() / curves.len() as f64
    };
    let steps = (END - START) / STEP + 1;
    writeln!(
        table,
        "| **active learning, CLINC150, mean accuracy of {SEEDS} seeds** | random | as the queue asks |\n|---|---|---|"
    )?;
    let (random, active): (Vec<f64>, Vec<f64>) = (0..steps)
        .map(|step| (mean(&random, step), mean(&active, step)))
        .unzip();
    for step in 0..steps {
        writeln!(
            table,
            "| {} labels | {:.4} | {:.4} |",
            START + step * STEP,
            random[step],
            active[step]
        )?;
    }
    let goal = random[steps - 1];
    let reached = (1..steps).find(|&step| active[step] >= goal);
    let labels = reached.map(|step| {
        let (before, after) = (active[step - 1], active[step]);
        START as f64 + STEP as f64 * (step as f64 - 1.0 + (goal - before) / (after - before))
    });
    if let Some(labels) = labels {
        writeln!(
            table,
            "| labels for the accuracy of random choice at {END} ({goal:.4}) | {END} | {labels:.0}, {:.0} % fewer |",
            100.0 * (1.0 - labels / END as f64)
        )?;
    }
    Ok(())
}

fn bands_of(pool: &TrainingSet) -> Vec<Vec<u64>> {
    let mut signer = Signer::default();
    let texts = pool.texts.iter();
    texts
        .map(|text| {
            signer
                .sign(text)
                .flat_map(|signature| *signature.bands())
                .collect()
        })
        .collect()
}

/// Accuracy on the test part after each step.
fn curve(
    pool: &TrainingSet,
    test: &TrainingSet,
    bands: &[Vec<u64>],
    seed: u64,
    is_active: bool,
) -> anyhow::Result<Vec<f64>> {
    let mut draws = Draws::new(seed);
    let mut open: Vec<usize> = (0..pool.len()).collect();
    let mut labelled: Vec<usize> = draws.take(&mut open, START);
    let mut accuracies = Vec::new();
    loop {
        let classifier = fitted(pool, &labelled, seed)?;
        accuracies.push(accuracy(&classifier, test));
        if labelled.len() >= END {
            return Ok(accuracies);
        }
        let next = if is_active {
            chosen(&classifier, pool, bands, &mut open, &mut draws)
        } else {
            draws.take(&mut open, STEP)
        };
        labelled.extend(next);
    }
}

fn fitted(pool: &TrainingSet, labelled: &[usize], seed: u64) -> anyhow::Result<TextClassifier> {
    let mut set = TrainingSet::default();
    for &position in labelled {
        set.push(pool.texts[position].as_str(), pool.labels[position].as_str(), 1.0);
    }
    let settings = json!({ "features": "words_and_characters", "folds": 3 });
    Ok(LinearTrainer
        .fit(&set, &settings, &FitContext::silent(seed))?
        .classifier)
}

fn accuracy(classifier: &TextClassifier, test: &TrainingSet) -> f64 {
    let texts: Vec<&str> = test.texts.iter().map(String::as_str).collect();
    let labels: Vec<&str> = test.labels.iter().map(String::as_str).collect();
    classifier.evaluate(&texts, &labels).accuracy
}

/// The next step as the review queue asks: the smallest margins first, some at random, few of a group of near-duplicates.
fn chosen(
    classifier: &TextClassifier,
    pool: &TrainingSet,
    bands: &[Vec<u64>],
    open: &mut Vec<usize>,
    draws: &mut Draws,
) -> Vec<usize> {
    let random = (STEP as f64 * RANDOM_SHARE).round() as usize;
    let mut next = draws.take(open, random);
    let mut scratch = Scratch::default();
    let mut by_margin: Vec<(f64, usize)> = open
        .iter()
        .map(|&position| {
            let top = classifier.predict(&pool.texts[position], 2, &mut scratch).top;
            (f64::from(top[0].1 - top[1].1), position)
        })
        .collect();
    by_margin.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut groups = hone_text::BandGroups::default();
    for (_, position) in by_margin {
        if next.len() >= STEP {
            break;
        }
        if groups.add(&bands[position]).1 <= 2 {
            next.push(position);
        }
    }
    open.retain(|position| !next.contains(position));
    next
}
