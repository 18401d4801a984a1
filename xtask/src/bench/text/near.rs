//! Near-duplicates among 100,000 texts of 150 characters, beside datasketch in the same run.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;
use hone_text::{NearGroups, Signer};
use serde_json::{Value, json};

use super::super::learn::{data_folder, peak_mb};
use super::super::report::Repeats;

const TEXTS: usize = 100_000;
const LENGTH: usize = 150;
const THRESHOLD: f64 = 0.8;
/// Of ten texts, how many are an earlier one with some words changed.
const CHANGED_OF_TEN: u64 = 2;
const MOST_CHANGES: u64 = 4;
const GRAM: usize = 5;
const REPEATS: usize = 3;
const DATASKETCH: &str = "datasketch==2.0.0";

type Pairs = HashSet<(u32, u32)>;

/// Finds the near-duplicates of a file once, in a process of its own whose memory can be told; prints one JSON object.
pub(crate) fn run(file: &Path) -> anyhow::Result<()> {
    let texts = read(file)?;
    let start = Instant::now();
    let (mut signer, mut groups) = (Signer::default(), NearGroups::new(THRESHOLD));
    let mut pairs = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let near = groups.add(signer.sign(text));
        pairs.extend(near.into_iter().map(|other| (other, number as u32)));
    }
    let seconds = start.elapsed().as_secs_f64();
    let measured = json!({ "seconds": seconds, "peak_mb": peak_mb(), "pairs": pairs });
    writeln!(std::io::stdout(), "{measured}")?;
    Ok(())
}

pub(super) fn rows(table: &mut String) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("texts.jsonl");
    let (texts, origins) = texts()?;
    let lines: Vec<String> = texts
        .iter()
        .map(|text| json!({ "text": text }).to_string())
        .collect();
    std::fs::write(&file, lines.join("\n"))?;
    let truth = truth(&texts, &origins);
    writeln!(
        table,
        "| **near-duplicates, {TEXTS} texts of {LENGTH} characters, {} pairs of {THRESHOLD} and above** | s | recall / precision / peak MiB |",
        truth.len()
    )?;
    let mut ours = Command::new(std::env::current_exe()?);
    ours.arg("near").arg(&file);
    let ours_s = row(table, "Hone", &mut ours, REPEATS, &texts, &truth)?;
    let mut theirs = Command::new(python()?);
    let script = crate::folder().join("peers/datasketch_near.py");
    theirs.arg(script).arg(&file).arg(THRESHOLD.to_string());
    let theirs_s = row(
        table,
        "datasketch, MinHashLSH, 128 values",
        &mut theirs,
        1,
        &texts,
        &truth,
    )?;
    writeln!(table, "| datasketch / Hone | {:.1} | |", theirs_s / ours_s)?;
    Ok(())
}

fn row(
    table: &mut String,
    name: &str,
    command: &mut Command,
    repeats: usize,
    texts: &[String],
    truth: &Pairs,
) -> anyhow::Result<f64> {
    let (mut seconds, mut last) = (Vec::new(), Value::Null);
    for _ in 0..repeats {
        let output = command.output()?;
        anyhow::ensure!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        last = serde_json::from_slice(&output.stdout)?;
        seconds.push(last["seconds"].as_f64().context("no time")?);
    }
    let pairs: Vec<(u32, u32)> = serde_json::from_value(last["pairs"].clone())?;
    let found: Pairs = pairs.into_iter().collect();
    let right = |pair: &&(u32, u32)| jaccard(&texts[pair.0 as usize], &texts[pair.1 as usize]) >= THRESHOLD;
    let recall = truth.intersection(&found).count() as f64 / truth.len() as f64;
    let precision = found.iter().filter(right).count() as f64 / found.len() as f64;
    let seconds = Repeats::new(seconds);
    writeln!(
        table,
        "| {name} | {} | {recall:.3} / {precision:.3} / {:.0} |",
        seconds.shown(2),
        last["peak_mb"].as_f64().unwrap_or(f64::NAN)
    )?;
    Ok(seconds.median())
}

/// Texts of real sentences, of which some are earlier ones with one to four words changed; with the first text that each
/// comes from.
fn texts() -> anyhow::Result<(Vec<String>, Vec<usize>)> {
    let sentences = read(&data_folder()?.join("clinc150/train.jsonl"))?;
    let words: Vec<&str> = sentences
        .iter()
        .flat_map(|sentence| sentence.split(' '))
        .collect();
    let mut random = Random(7);
    let (mut texts, mut origins): (Vec<String>, Vec<usize>) = (Vec::new(), Vec::new());
    while texts.len() < TEXTS {
        let number = texts.len();
        if number > 0 && random.below(10) < CHANGED_OF_TEN {
            let from = random.below(number as u64) as usize;
            let mut changed: Vec<&str> = texts[from].split(' ').collect();
            for _ in 0..=random.below(MOST_CHANGES) {
                let place = random.below(changed.len() as u64) as usize;
                changed[place] = words[random.below(words.len() as u64) as usize];
            }
            let changed = changed.join(" ");
            texts.push(changed);
            origins.push(origins[from]);
            continue;
        }
        let mut text = String::new();
        while text.len() < LENGTH {
            text.push_str(&sentences[random.below(sentences.len() as u64) as usize]);
            text.push(' ');
        }
        text.truncate(text.floor_char_boundary(LENGTH));
        texts.push(hone_text::normalise(&text));
        origins.push(number);
    }
    Ok((texts, origins))
}

/// Pairs of the threshold and above among texts that come from the same one.
fn truth(texts: &[String], origins: &[usize]) -> Pairs {
    let mut families: HashMap<usize, Vec<u32>> = HashMap::new();
    for (number, origin) in origins.iter().enumerate() {
        families.entry(*origin).or_default().push(number as u32);
    }
    let mut pairs = Pairs::new();
    for family in families.values() {
        for (place, &a) in family.iter().enumerate() {
            let near = |b: &&u32| jaccard(&texts[a as usize], &texts[**b as usize]) >= THRESHOLD;
            pairs.extend(family[place + 1..].iter().filter(near).map(|&b| (a, b)));
        }
    }
    pairs
}

/// The share of character 5-grams that two texts have in common.
fn jaccard(a: &str, b: &str) -> f64 {
    let grams =
        |text: &str| -> HashSet<Vec<u8>> { text.as_bytes().windows(GRAM).map(<[u8]>::to_vec).collect() };
    let (a, b) = (grams(a), grams(b));
    a.intersection(&b).count() as f64 / a.union(&b).count().max(1) as f64
}

fn read(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let row = |line: &str| -> anyhow::Result<String> {
        let value: Value = serde_json::from_str(line)?;
        Ok(value["text"].as_str().context("a row without text")?.to_owned())
    };
    text.lines().map(row).collect()
}

/// A virtual environment with datasketch, made when it is missing.
fn python() -> anyhow::Result<PathBuf> {
    let folder = std::env::home_dir()
        .context("no home folder")?
        .join(".cache/hone-peer-text");
    if !folder.join("bin/python").exists() {
        let made = Command::new("python3")
            .args(["-m", "venv"])
            .arg(&folder)
            .status()?;
        anyhow::ensure!(made.success(), "no virtual environment for the peer");
        let installed = Command::new(folder.join("bin/pip"))
            .args(["install", "-q", DATASKETCH])
            .status()?;
        anyhow::ensure!(installed.success(), "datasketch cannot be installed");
    }
    Ok(folder.join("bin/python"))
}

/// Numbers that are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound
    }
}
