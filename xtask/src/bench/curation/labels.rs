//! Label errors on CLINC150 with 5 % of the labels changed, against cleanlab on the same probabilities.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use hone_learn::{FitContext, LabelledProbabilities, LinearTrainer, Trainer as _, TrainingSet};
use serde_json::{Value, json};

use super::Draws;
use crate::bench::learn::{data_folder, peer, read_set};

/// Share of labels that are changed to another one.
const NOISE: f64 = 0.05;
const SEEDS: u64 = 3;

#[derive(Default)]
struct Found {
    precision: f64,
    recall: f64,
    seconds: f64,
    count: f64,
}

pub(super) fn rows(table: &mut String) -> anyhow::Result<()> {
    writeln!(
        table,
        "| **label errors, CLINC150 (15,000), {:.0} % of the labels changed, mean of {SEEDS} seeds** | found | precision | recall | seconds |\n|---|---|---|---|---|",
        NOISE * 100.0
    )?;
    let set = read_set(&data_folder()?.join("clinc150/train.jsonl"))?;
    for (name, settings) in [
        ("words 1-3, 10,000 features", json!({})),
        (
            "words 1-2 and characters 2-5",
            json!({ "features": "words_and_characters" }),
        ),
    ] {
        let (mut ours, mut theirs) = (Found::default(), Found::default());
        for seed in 0..SEEDS {
            let (own, peer) = compare(&set, &settings, seed)?;
            for (sum, one) in [(&mut ours, own), (&mut theirs, peer)] {
                sum.precision += one.precision / SEEDS as f64;
                sum.recall += one.recall / SEEDS as f64;
                sum.seconds += one.seconds / SEEDS as f64;
                sum.count += one.count / SEEDS as f64;
            }
        }
        for (side, found) in [("Hone", ours), ("cleanlab 2.9", theirs)] {
            writeln!(
                table,
                "| {side}, {name} | {:.0} | {:.4} | {:.4} | {:.2} |",
                found.count, found.precision, found.recall, found.seconds
            )?;
        }
    }
    Ok(())
}

fn compare(set: &TrainingSet, settings: &Value, seed: u64) -> anyhow::Result<(Found, Found)> {
    let names = set.distinct_labels();
    let number = |label: &String| names.partition_point(|known| known < label) as u32;
    let mut draws = Draws::new(seed);
    let mut noisy = set.clone();
    let mut wrong = BTreeSet::new();
    for position in 0..set.len() {
        if draws.share() < NOISE {
            let own = number(&set.labels[position]);
            let other = (own + 1 + draws.below(names.len() as u64 - 1) as u32) % names.len() as u32;
            noisy.labels[position].clone_from(&names[other as usize]);
            wrong.insert(position);
        }
    }
    let fitted = LinearTrainer.fit(&noisy, settings, &FitContext::silent(seed))?;
    let probabilities = fitted.out_of_fold.probabilities(&fitted.classifier.calibration);
    let labels: Vec<u32> = noisy.labels.iter().map(number).collect();
    let start = Instant::now();
    let errors = LabelledProbabilities {
        probabilities: &probabilities,
        label_count: names.len(),
        labels: &labels,
    }
    .label_errors();
    let seconds = start.elapsed().as_secs_f64();
    let positions: Vec<usize> = errors.iter().map(|error| error.position).collect();
    let ours = judged(&positions, &wrong, seconds);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("noisy");
    let write = |name: &str, bytes: Vec<u8>| -> anyhow::Result<()> {
        let path = format!("{}.{name}", file.display());
        Ok(std::fs::File::create(path)?.write_all(&bytes)?)
    };
    write(
        "probabilities",
        probabilities.iter().flat_map(|p| p.to_le_bytes()).collect(),
    )?;
    write(
        "labels",
        labels.iter().flat_map(|label| label.to_le_bytes()).collect(),
    )?;
    let output = Command::new(with_cleanlab()?)
        .arg(crate::folder().join("peers/cleanlab_errors.py"))
        .arg(&file)
        .arg(names.len().to_string())
        .output()?;
    anyhow::ensure!(
        output.status.success(),
        "cleanlab failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let positions: Vec<usize> = serde_json::from_value(said["issues"].clone())?;
    let theirs = judged(&positions, &wrong, said["seconds"].as_f64().unwrap_or(f64::NAN));
    Ok((ours, theirs))
}

fn judged(found: &[usize], wrong: &BTreeSet<usize>, seconds: f64) -> Found {
    let right = found.iter().filter(|position| wrong.contains(position)).count() as f64;
    Found {
        precision: right / found.len().max(1) as f64,
        recall: right / wrong.len().max(1) as f64,
        seconds,
        count: found.len() as f64,
    }
}

/// The peer's Python, with cleanlab in it.
fn with_cleanlab() -> anyhow::Result<std::path::PathBuf> {
    let python = peer()?;
    let has = Command::new(&python).args(["-c", "import cleanlab"]).output()?;
    if !has.status.success() {
        let installed = Command::new(&python)
            .args(["-m", "pip", "install", "-q", "cleanlab==2.9.0"])
            .status()?;
        anyhow::ensure!(installed.success(), "cleanlab cannot be installed");
    }
    Ok(python)
}
