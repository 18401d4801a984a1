//! Our mathematics against established implementations: `../shared/numbers`, or the folder in `HONE_TEST_NUMBERS`.
//! Where the folder is absent, each test says so and passes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it skips"
)]

use std::path::PathBuf;

use hone_learn::calibration::{CalibrationSet, Isotonic, Sigmoid, fit_temperature, softmax};
use hone_learn::{Analyser, Block, BlockSettings, FitContext, SvmProblem, SvmSettings, Vectoriser, fit_svm};
use serde_json::Value;

const TOLERANCE: f64 = 1e-4;

#[expect(
    clippy::disallowed_methods,
    reason = "a test finds its reference numbers through the environment"
)]
fn numbers_folder() -> Option<PathBuf> {
    let folder = std::env::var("HONE_TEST_NUMBERS").map_or_else(
        |_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/numbers")),
        PathBuf::from,
    );
    if folder.join("ml_reference.json").exists() {
        return Some(folder);
    }
    println!("skipped: no reference numbers in {}", folder.display());
    None
}

fn read(folder: &std::path::Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

fn case(id: &str) -> Option<Value> {
    let reference = read(&numbers_folder()?, "ml_reference.json");
    let found = reference["cases"]
        .as_array()
        .unwrap()
        .iter()
        .find(|case| case["id"] == id);
    Some(found.unwrap_or_else(|| panic!("no case {id}"))["expected"].clone())
}

fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

fn assert_close(ours: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(
        (ours - expected).abs() <= tolerance,
        "{what}: {ours} in place of {expected}"
    );
}

/// `f_i` and `y_i` of the sigmoid and isotonic cases, as their descriptions give them.
fn margins_and_labels() -> (Vec<f64>, Vec<bool>) {
    (0..60)
        .map(|i| {
            let margin = f64::from((29 * i) % 61) / 15.0 - 2.0;
            (margin, margin + f64::from((17 * i) % 13 - 6) / 4.0 > 0.0)
        })
        .unzip()
}

#[test]
fn sigmoid_calibration_equals_scikit_learn() {
    let (margins, positive) = margins_and_labels();
    let Some(expected) = case("platt01") else { return };
    let fitted = Sigmoid::fit(&margins, &positive, &[1.0; 60]);
    assert_close(fitted.a, expected["A"].as_f64().unwrap(), 1e-6, "A");
    assert_close(fitted.b, expected["B"].as_f64().unwrap(), 1e-6, "B");

    let Some(expected) = case("platt02_weighted") else {
        return;
    };
    let weights: Vec<f64> = (0..60).map(|i| f64::from(1 + i % 3)).collect();
    let fitted = Sigmoid::fit(&margins, &positive, &weights);
    assert_close(fitted.a, expected["A"].as_f64().unwrap(), 1e-6, "weighted A");
    assert_close(fitted.b, expected["B"].as_f64().unwrap(), 1e-6, "weighted B");
}

#[test]
fn isotonic_calibration_equals_scikit_learn() {
    let (margins, positive) = margins_and_labels();
    let Some(expected) = case("isotonic01") else {
        return;
    };
    let fitted = Isotonic::fit(&margins, &positive, &[1.0; 60]);
    assert_eq!(fitted.x.len(), floats(&expected["x"]).len());
    for (ours, expected) in fitted.x.iter().zip(floats(&expected["x"])) {
        assert_close(*ours, expected, 1e-9, "x");
    }
    for (ours, expected) in fitted.y.iter().zip(floats(&expected["y"])) {
        assert_close(*ours, expected, 1e-9, "y");
    }
}

#[test]
fn temperature_equals_the_reference() {
    let Some(expected) = case("temperature01") else {
        return;
    };
    let (margins, labels) = temperature_case();
    let beta = fit_temperature(&CalibrationSet {
        margins: &margins,
        label_count: 3,
        labels: &labels,
        weights: &[1.0; 80],
    });
    assert_close(beta, expected["beta"].as_f64().unwrap(), 1e-6, "beta");
    let mut loss = 0.0;
    for (row, &label) in margins.chunks_exact(3).zip(&labels) {
        let mut row = row.to_vec();
        softmax(&mut row, beta as f32);
        loss -= f64::from(row[label as usize]).ln();
    }
    assert_close(loss / 80.0, expected["nll"].as_f64().unwrap(), 1e-6, "log-loss");
}

struct Golden {
    fit: Value,
    texts: Vec<String>,
    labels: Vec<String>,
    folder: PathBuf,
}

fn golden() -> Option<Golden> {
    let folder = numbers_folder()?.join("golden");
    let data = read(&folder, "data.json");
    let strings = |key: &str| -> Vec<String> {
        data["train"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row[key].as_str().unwrap().to_owned())
            .collect()
    };
    Some(Golden {
        fit: read(&folder, "golden.json"),
        texts: strings("text"),
        labels: strings("label"),
        folder,
    })
}

fn documented_block() -> BlockSettings {
    BlockSettings {
        analyser: Analyser::Words,
        min_n: 1,
        max_n: 3,
        max_features: Some(10_000),
        min_df: 1,
        sublinear: false,
    }
}

fn golden_vectoriser(golden: &Golden) -> (Vec<String>, Vectoriser) {
    let vocabulary: Vec<String> = golden.fit["vocab"]
        .as_array()
        .unwrap()
        .iter()
        .map(|term| term.as_str().unwrap().to_owned())
        .collect();
    let texts: Vec<&str> = golden.texts.iter().map(String::as_str).collect();
    let block = Block::fit_with_vocabulary(documented_block(), &vocabulary, &texts);
    (vocabulary, Vectoriser::from_blocks(vec![block]))
}

/// scikit-learn cuts ties at the 10,000th term by the order in which `numpy`'s vectorised sort leaves them, ours by byte
/// order: outside those ties (terms that stand once) the vocabularies must be the same, and the ties must be ties.
#[test]
fn the_golden_vocabulary_is_ours_up_to_ties() {
    let Some(golden) = golden() else { return };
    let (theirs, _) = golden_vectoriser(&golden);
    let theirs: std::collections::BTreeSet<&str> = theirs.iter().map(String::as_str).collect();
    let texts: Vec<&str> = golden.texts.iter().map(String::as_str).collect();
    let fitted = Vectoriser::fit(&[documented_block()], &texts);
    let ours: std::collections::BTreeSet<&str> = fitted.blocks()[0]
        .terms()
        .map(|term| std::str::from_utf8(term).unwrap())
        .collect();
    assert_eq!(ours.len(), theirs.len());
    let mut counts: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for text in &golden.texts {
        let mut words = hone_text::WordBuffer::default();
        words.fill(text);
        hone_text::for_each_word_ngram(&words, 1, 3, |ngram| {
            *counts.entry(ngram.to_owned()).or_default() += 1;
        });
    }
    for term in ours.symmetric_difference(&theirs) {
        assert_eq!(counts.get(*term), Some(&1), "{term:?} is no tie");
    }
    assert!(
        counts
            .iter()
            .filter(|(_, count)| **count > 1)
            .all(|(term, _)| ours.contains(term.as_str()))
    );
}

#[test]
fn golden_idf_and_rows_equal_scikit_learn() {
    let Some(golden) = golden() else { return };
    let (vocabulary, vectoriser) = golden_vectoriser(&golden);
    let ours: Vec<&str> = vectoriser.blocks()[0]
        .terms()
        .map(|term| std::str::from_utf8(term).unwrap())
        .collect();
    assert_eq!(ours, vocabulary, "feature numbers");
    for (ours, expected) in vectoriser.blocks()[0]
        .idf()
        .iter()
        .zip(floats(&golden.fit["idf"]))
    {
        assert_close(f64::from(*ours), expected, TOLERANCE, "idf");
    }
    for row in golden.fit["first_rows"].as_array().unwrap() {
        let rows = vectoriser.transform(&[row["text"].as_str().unwrap()]);
        let (indices, values) = rows.row(0);
        let expected: Vec<u32> = floats(&row["idx"])
            .into_iter()
            .map(|index| index as u32)
            .collect();
        let mut pairs: Vec<(u32, f64)> = expected.into_iter().zip(floats(&row["val"])).collect();
        pairs.sort_by_key(|pair| pair.0);
        assert_eq!(indices, pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
        for (ours, (_, expected)) in values.iter().zip(pairs) {
            assert_close(f64::from(*ours), expected, TOLERANCE, "row value");
        }
    }
}

#[test]
fn golden_coefficients_and_margins_equal_scikit_learn() {
    let Some(golden) = golden() else { return };
    let (vocabulary, vectoriser) = golden_vectoriser(&golden);
    let texts: Vec<&str> = golden.texts.iter().map(String::as_str).collect();
    let rows = vectoriser.transform(&texts);
    let classes: Vec<&str> = golden.fit["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let labels: Vec<u32> = golden
        .labels
        .iter()
        .map(|label| classes.iter().position(|class| class == label).unwrap() as u32)
        .collect();
    let weights: Vec<f32> = (0..labels.len())
        .map(|index| if index % 4 == 0 { 2.0 } else { 1.0 })
        .collect();
    let members: Vec<u32> = (0..labels.len() as u32).collect();
    let mut sums = vec![0.0f32; classes.len()];
    for (&label, &weight) in labels.iter().zip(&weights) {
        sums[label as usize] += weight;
    }
    let total: f32 = sums.iter().sum();
    let label_weights: Vec<f32> = sums
        .iter()
        .map(|sum| total / (classes.len() as f32 * sum))
        .collect();
    let problem = SvmProblem {
        rows: &rows,
        feature_count: vocabulary.len(),
        labels: &labels,
        label_count: classes.len(),
        sample_weights: &weights,
        label_weights: &label_weights,
        members: &members,
    };
    let settings = SvmSettings {
        c: 1.0,
        tolerance: 1e-8,
        max_epochs: 3_000,
        seed: 7,
    };
    let fit = fit_svm(&problem, &settings, &FitContext::silent(7)).unwrap();

    let file = std::fs::File::open(golden.folder.join("coef.npz")).unwrap();
    let mut archive = npyz::npz::NpzArchive::new(file).unwrap();
    let coefficients = archive.by_name("one").unwrap().unwrap();
    let by_feature = coefficients.order() == npyz::Order::Fortran;
    let expected: Vec<f64> = coefficients.into_vec().unwrap();
    let mut largest = 0.0f64;
    for label in 0..classes.len() {
        for feature in 0..vocabulary.len() {
            let position = if by_feature {
                feature * classes.len() + label
            } else {
                label * vocabulary.len() + feature
            };
            let difference = f64::from(fit.weight(label, feature)) - expected[position];
            largest = largest.max(difference.abs());
        }
    }
    assert!(
        largest <= TOLERANCE,
        "largest difference of a coefficient: {largest:e}"
    );
    for (ours, expected) in fit.bias.iter().zip(floats(&golden.fit["one_svc_intercept"])) {
        assert_close(f64::from(*ours), expected, TOLERANCE, "intercept");
    }
    let mut margins = Vec::new();
    for row in golden.fit["first_rows"].as_array().unwrap() {
        let features = vectoriser.transform(&[row["text"].as_str().unwrap()]);
        let (indices, values) = features.row(0);
        fit.margins(indices.iter().copied().zip(values.iter().copied()), &mut margins);
        for (ours, expected) in margins.iter().zip(floats(&row["decision_one"])) {
            assert_close(f64::from(*ours), expected, TOLERANCE, "margin");
        }
    }
}

#[test]
fn label_errors_equal_the_reference() {
    let Some(expected) = case("cleanlab01") else {
        return;
    };
    let (margins, labels) = temperature_case();
    let mut probabilities = margins;
    for row in probabilities.chunks_exact_mut(3) {
        let exponentials: Vec<f64> = row
            .iter()
            .map(|&margin| (0.9 * f64::from(margin)).exp())
            .collect();
        let sum: f64 = exponentials.iter().sum();
        for (probability, exponential) in row.iter_mut().zip(exponentials) {
            *probability = (exponential / sum) as f32;
        }
    }
    let set = hone_learn::LabelledProbabilities {
        probabilities: &probabilities,
        label_count: 3,
        labels: &labels,
    };
    let numbers = |name: &str| expected[name].as_array().unwrap().clone();
    for (ours, theirs) in set.thresholds().iter().zip(numbers("thresholds")) {
        assert_close(*ours, theirs.as_f64().unwrap(), 1e-6, "threshold");
    }
    let joint = |name: &str| -> Vec<Vec<usize>> { serde_json::from_value(expected[name].clone()).unwrap() };
    assert_eq!(set.confident_joint(), joint("confident_joint_uncalibrated"));
    assert_eq!(set.calibrated_joint(), joint("confident_joint_calibrated"));
    let errors = set.label_errors();
    let mut positions: Vec<usize> = errors.iter().map(|error| error.position).collect();
    assert!(errors.is_sorted_by(|a, b| a.self_confidence <= b.self_confidence));
    positions.sort_unstable();
    let theirs: Vec<usize> = serde_json::from_value(expected["issues_prune_by_noise_rate"].clone()).unwrap();
    assert_eq!(positions, theirs);
}

/// Margins and labels of the case `temperature01`.
fn temperature_case() -> (Vec<f32>, Vec<u32>) {
    let margins: Vec<f32> = (0..80u16)
        .flat_map(|i| (0..3u16).map(move |k| f32::from((i * (7 + 3 * k)) % 17) / 4.0))
        .collect();
    let labels = margins.chunks_exact(3).zip(0u32..).map(|(row, i)| {
        if i % 4 == 0 {
            (i / 4) % 3
        } else {
            hone_learn::metrics::argmax(row) as u32
        }
    });
    let labels = labels.collect();
    (margins, labels)
}
