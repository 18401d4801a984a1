//! Training and prediction beside scikit-learn's documented pipeline, in one run on one machine.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;
use hone_learn::{
    Evaluation, FitContext, LinearTrainer, Scratch, TextClassifier, Trainer as _, TrainingSet, artifact,
};
use serde_json::{Value, json};

use super::report::{Repeats, append};

const REPEATS: usize = 5;
/// Rows up to which scikit-learn is measured beside us: it takes minutes beyond.
const PEER_ROWS: usize = 100_000;

/// What one side was measured at.
struct Side {
    train_s: Repeats,
    one_us: f64,
    batch_per_s: f64,
    cold_ms: Repeats,
    model_bytes: f64,
    peak_mb: f64,
    accuracy: f64,
    macro_f1: f64,
    ece: f64,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let data = data_folder()?;
    let peer = peer()?;
    build_hone()?;
    let mut table = String::from(
        "| data, settings | side | training s | one prediction us | batch/s | cold start ms | model KiB | peak MiB | accuracy | macro-F1 | ECE |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for name in ["clinc150", "clinc150_imb", "snips"] {
        let (train, test) = (
            data.join(name).join("train.jsonl"),
            data.join(name).join("test.jsonl"),
        );
        let theirs = measure_peer(&peer, &train, &test)?;
        row(&mut table, name, "scikit-learn", &theirs)?;
        let documented = measure_ours(&train, &test, &json!({}))?;
        row(&mut table, name, "hone", &documented)?;
        writeln!(
            table,
            "| {name} | **ratio** | {:.1} x | {:.0} x | {:.1} x | {:.1} x | 1/{:.0} | | {:+.4} | {:+.4} | |",
            theirs.train_s.median() / documented.train_s.median(),
            theirs.one_us / documented.one_us,
            documented.batch_per_s / theirs.batch_per_s,
            theirs.cold_ms.median() / documented.cold_ms.median(),
            theirs.model_bytes / documented.model_bytes,
            documented.accuracy - theirs.accuracy,
            documented.macro_f1 - theirs.macro_f1,
        )?;
        let both = measure_ours(&train, &test, &json!({ "features": "words_and_characters" }))?;
        row(
            &mut table,
            &format!("{name}, words and characters"),
            "hone",
            &both,
        )?;
    }
    append("learn", &table)
}

/// How training grows with the rows of a noisy 20-label set.
pub(crate) fn growth() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = peer()?;
    let source = read_set(&data_folder()?.join("clinc150").join("train.jsonl"))?;
    let labels: Vec<String> = source.distinct_labels().into_iter().take(20).collect();
    let mut table = String::from(
        "| rows | hone s | us a row | peak MiB | scikit-learn s | its peak MiB |\n|---|---|---|---|---|---|\n",
    );
    for rows in [1_000, 10_000, 100_000, 1_000_000] {
        let set = noisy(&source, &labels, rows);
        let file = folder.path().join("rows.jsonl");
        write_set(&set, &file)?;
        let (seconds, peak_mb) = fit_apart(&file, &json!({}), 3)?;
        let theirs = if rows <= PEER_ROWS {
            let measured = run_peer(&peer, &["grow", path(&file)])?;
            format!(
                "{:.2} | {:.0}",
                number(&measured, "train_s"),
                number(&measured, "peak_mb")
            )
        } else {
            "not run | ".to_owned()
        };
        let per_row = seconds.median() * 1e6 / rows as f64;
        writeln!(
            table,
            "| {rows} | {} | {per_row:.0} | {peak_mb:.0} | {theirs} |",
            seconds.shown(2)
        )?;
    }
    append("growth", &table)
}

fn row(table: &mut String, data: &str, side: &str, measured: &Side) -> anyhow::Result<()> {
    writeln!(
        table,
        "| {data} | {side} | {} | {:.1} | {:.0} | {} | {:.0} | {:.0} | {:.4} | {:.4} | {:.4} |",
        measured.train_s.shown(2),
        measured.one_us,
        measured.batch_per_s,
        measured.cold_ms.shown(0),
        measured.model_bytes / 1_024.0,
        measured.peak_mb,
        measured.accuracy,
        measured.macro_f1,
        measured.ece
    )?;
    Ok(())
}

fn measure_ours(train: &Path, test: &Path, settings: &Value) -> anyhow::Result<Side> {
    let (set, held_out) = (read_set(train)?, read_set(test)?);
    let (train_s, peak_mb) = fit_apart(train, settings, REPEATS)?;
    let fitted = LinearTrainer.fit(&set, settings, &FitContext::silent(1))?;
    let bytes = artifact::encode(&fitted.classifier)?;
    let classifier = artifact::decode(&bytes)?;
    let texts: Vec<&str> = held_out.texts.iter().map(String::as_str).collect();
    let labels: Vec<&str> = held_out.labels.iter().map(String::as_str).collect();
    let start = Instant::now();
    classifier.probabilities(&texts);
    let batch_per_s = texts.len() as f64 / start.elapsed().as_secs_f64();
    let evaluation: Evaluation = classifier.evaluate(&texts, &labels);
    Ok(Side {
        train_s,
        one_us: one_prediction_us(&classifier, &texts),
        batch_per_s,
        cold_ms: cold_start_ms(train, settings, texts[0])?,
        model_bytes: bytes.len() as f64,
        peak_mb,
        accuracy: evaluation.accuracy,
        macro_f1: evaluation.macro_f1,
        ece: evaluation.ece,
    })
}

/// Trains `repeats` times on a file and prints the seconds of each and the largest resident memory.
pub(crate) fn fit(file: &Path, settings: &str, repeats: usize) -> anyhow::Result<()> {
    let (set, settings): (TrainingSet, Value) = (read_set(file)?, serde_json::from_str(settings)?);
    let mut seconds = Vec::new();
    for _ in 0..repeats {
        let start = Instant::now();
        LinearTrainer.fit(&set, &settings, &FitContext::silent(1))?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    writeln!(
        std::io::stdout(),
        "{}",
        json!({ "train_s": seconds, "peak_mb": peak_mb() })
    )?;
    Ok(())
}

/// The same in a process of its own, so that its memory is its own.
fn fit_apart(file: &Path, settings: &Value, repeats: usize) -> anyhow::Result<(Repeats, f64)> {
    let output = Command::new(std::env::current_exe()?)
        .args(["fit", path(file), &settings.to_string(), &repeats.to_string()])
        .output()?;
    anyhow::ensure!(
        output.status.success(),
        "the training failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let measured: Value = serde_json::from_slice(&output.stdout)?;
    let seconds = measured["train_s"].as_array().context("no times")?;
    let seconds = Repeats::new(seconds.iter().filter_map(Value::as_f64).collect());
    Ok((seconds, number(&measured, "peak_mb")))
}

/// Text to probabilities and three alternatives, p50 over all texts.
fn one_prediction_us(classifier: &TextClassifier, texts: &[&str]) -> f64 {
    let mut scratch = Scratch::default();
    let mut times = Vec::with_capacity(texts.len());
    for text in texts {
        let start = Instant::now();
        std::hint::black_box(classifier.predict(text, 3, &mut scratch));
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Repeats::new(times).median()
}

/// `hone predict` from process start to the end of the process, on an installation with this model.
fn cold_start_ms(train: &Path, settings: &Value, text: &str) -> anyhow::Result<Repeats> {
    let data = tempfile::tempdir()?;
    let hone = |args: &[&str]| -> anyhow::Result<()> {
        let output = Command::new(hone_binary())
            .current_dir(data.path())
            .arg("--data")
            .arg(data.path())
            .args(args)
            .output()?;
        anyhow::ensure!(
            output.status.success(),
            "hone {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    };
    let train = std::fs::canonicalize(train)?;
    hone(&["import", "bench", path(&train)])?;
    hone(&["train", "bench", "--settings", &settings.to_string()])?;
    timed(|| hone(&["predict", "bench", text]))
}

fn timed(mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Repeats> {
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Repeats::new(times))
}

fn measure_peer(peer: &Path, train: &Path, test: &Path) -> anyhow::Result<Side> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model.pkl");
    let measured = run_peer(
        peer,
        &["fit", path(train), path(test), path(&model), &REPEATS.to_string()],
    )?;
    let cold_ms = timed(|| run_peer(peer, &["predict", path(&model), "where is my card"]).map(|_| ()))?;
    let seconds = measured["train_s"].as_array().context("the peer gave no times")?;
    Ok(Side {
        train_s: Repeats::new(seconds.iter().filter_map(Value::as_f64).collect()),
        one_us: number(&measured, "one_us"),
        batch_per_s: number(&measured, "batch_per_s"),
        cold_ms,
        model_bytes: number(&measured, "model_bytes"),
        peak_mb: number(&measured, "peak_mb"),
        accuracy: number(&measured, "accuracy"),
        macro_f1: number(&measured, "macro_f1"),
        ece: number(&measured, "ece"),
    })
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or(f64::NAN)
}

/// A virtual environment with scikit-learn 1.9, made when it is missing.
pub(super) fn peer() -> anyhow::Result<PathBuf> {
    let folder = std::env::home_dir()
        .context("no home folder")?
        .join(".cache/hone-peer");
    let python = folder.join("bin/python");
    if !python.exists() {
        let made = Command::new("python3")
            .args(["-m", "venv"])
            .arg(&folder)
            .status()?;
        anyhow::ensure!(made.success(), "no virtual environment for the peer");
        let installed = Command::new(folder.join("bin/pip"))
            .args(["install", "-q", "scikit-learn==1.9.1"])
            .status()?;
        anyhow::ensure!(installed.success(), "scikit-learn cannot be installed");
    }
    Ok(python)
}

fn run_peer(python: &Path, args: &[&str]) -> anyhow::Result<Value> {
    let script = crate::folder().join("peers/scikit_learn.py");
    let output = Command::new(python).arg(script).args(args).output()?;
    anyhow::ensure!(
        output.status.success(),
        "the peer failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Builds the binary as users run it.
pub(crate) fn build_hone() -> anyhow::Result<()> {
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--package", "hone"])
        .status()?;
    anyhow::ensure!(built.success(), "hone cannot be built");
    Ok(())
}

/// The release binary, beside the folder that xtask itself was built into.
pub(crate) fn hone_binary() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.ancestors()
        .nth(2)
        .unwrap_or(Path::new("target"))
        .join("release/hone")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark finds its data through the environment"
)]
pub(super) fn data_folder() -> anyhow::Result<PathBuf> {
    let folder = std::env::var("HONE_TEST_DATA")
        .map_or_else(|_| crate::folder().join("../../shared/data"), PathBuf::from);
    anyhow::ensure!(
        folder.join("clinc150").exists(),
        "no data in {}; set HONE_TEST_DATA",
        folder.display()
    );
    Ok(folder)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

pub(super) fn read_set(file: &Path) -> anyhow::Result<TrainingSet> {
    let mut set = TrainingSet::default();
    for line in std::fs::read_to_string(file)?.lines() {
        let row: Value = serde_json::from_str(line)?;
        set.push(
            row["text"].as_str().unwrap_or_default(),
            row["label"].as_str().unwrap_or_default(),
            1.0,
        );
    }
    Ok(set)
}

fn write_set(set: &TrainingSet, file: &Path) -> anyhow::Result<()> {
    let mut lines = String::new();
    for (text, label) in set.texts.iter().zip(&set.labels) {
        writeln!(lines, "{}", json!({ "text": text, "label": label }))?;
    }
    Ok(std::fs::write(file, lines)?)
}

/// Repeats the rows of the given labels with word noise: every third word is replaced by one of another row.
fn noisy(source: &TrainingSet, labels: &[String], rows: usize) -> TrainingSet {
    let pool: Vec<(&str, &str)> = source
        .texts
        .iter()
        .zip(&source.labels)
        .filter(|(_, label)| labels.contains(label))
        .map(|(text, label)| (text.as_str(), label.as_str()))
        .collect();
    let mut state = 1u64;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut set = TrainingSet::default();
    for row in 0..rows {
        let (text, label) = pool[row % pool.len()];
        let words: Vec<&str> = text
            .split(' ')
            .map(|word| {
                if draw(3) == 0 {
                    pool[draw(pool.len())].0.split(' ').next().unwrap_or(word)
                } else {
                    word
                }
            })
            .collect();
        set.push(words.join(" "), label, 1.0);
    }
    set
}

/// Largest resident memory of this process so far, in MiB.
pub(super) fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok())
        .unwrap_or(f64::NAN)
        / 1_024.0
}
