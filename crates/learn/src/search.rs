//! The trainer `search`: tries settings of the trainer `linear` and fits the best of them.
//!
//! A small documented space (features x C), compared by out-of-fold macro-F1 on the examples that are learned from, never on what
//! is held out. Successive halving (Jamieson and Talwalkar, AISTATS 2016): all settings on a ninth of the examples, the better third
//! of them on a third, the better third of those on all. The calibration is chosen last, on the winner's out-of-fold margins. Caps of
//! time and of cost end the search early; what is best so far is fitted then.

use std::time::{Duration, Instant};

use crate::calibration::Calibration;
use crate::linear::{CalibrationMethod, FeatureSet, LinearSettings, LinearTrainer, calibrate};
use crate::metrics::Evaluation;
use crate::order::SplitMix;
use crate::trainer::{FitContext, Fitted, TrainError, Trainer, TrainingSet};
use crate::{calibration::CalibrationSet, trainer::OutOfFold};

/// Of the settings that are compared on so many examples, one in so many goes on.
const KEPT_OF: usize = 3;
/// Parts of the examples that settings are compared on, one after the other.
const RUNGS: [f64; 3] = [1.0 / 9.0, 1.0 / 3.0, 1.0];
/// With fewer examples a comparison is noise: such a part is left out.
const FEWEST: usize = 500;
/// With fewer examples a label is not known well enough to compare by.
const FEWEST_OF_LABEL: usize = 4;

/// Settings of the trainer `search`; what is left out has the documented default.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSettings {
    /// Features to try.
    pub features: Vec<FeatureSet>,
    /// Inverse strengths of regularisation to try.
    pub c: Vec<f32>,
    /// Ways from margins to probabilities to choose from.
    pub calibration: Vec<CalibrationMethod>,
    /// What all of them share: settings of the trainer `linear`.
    pub base: LinearSettings,
    /// Seconds after which nothing new is tried.
    pub max_seconds: f64,
    /// Cost after which nothing new is tried, in trainings on all examples.
    pub max_cost: f64,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self {
            features: vec![FeatureSet::Words, FeatureSet::WordsAndCharacters],
            c: vec![0.1, 0.3, 1.0, 3.0, 10.0],
            calibration: vec![
                CalibrationMethod::Auto,
                CalibrationMethod::Temperature,
                CalibrationMethod::Sigmoid,
            ],
            base: LinearSettings::default(),
            max_seconds: 600.0,
            max_cost: 20.0,
        }
    }
}

impl SearchSettings {
    /// Reads settings from JSON; what is left out keeps its default.
    pub fn parse(settings: &serde_json::Value) -> Result<Self, TrainError> {
        let refuse = |name: &str, problem: String| TrainError::Settings {
            name: name.to_owned(),
            problem,
        };
        let parsed: Self = serde_json::from_value(settings.clone())
            .map_err(|error| refuse("settings", error.to_string()))?;
        for (name, is_empty) in [
            ("features", parsed.features.is_empty()),
            ("c", parsed.c.is_empty()),
            ("calibration", parsed.calibration.is_empty()),
        ] {
            if is_empty {
                return Err(refuse(name, "give one or more".to_owned()));
            }
        }
        for (name, cap) in [("max_seconds", parsed.max_seconds), ("max_cost", parsed.max_cost)] {
            if !(cap > 0.0 && cap.is_finite()) {
                return Err(refuse(name, "give a number above 0".to_owned()));
            }
        }
        for settings in parsed.space() {
            LinearSettings::parse(&serde_json::to_value(&settings).unwrap_or_default())?;
        }
        Ok(parsed)
    }

    /// Every setting that is tried.
    fn space(&self) -> Vec<LinearSettings> {
        let pairs = self
            .features
            .iter()
            .flat_map(|&features| self.c.iter().map(move |&c| (features, c)));
        pairs
            .map(|(features, c)| LinearSettings {
                features,
                c,
                ..self.base.clone()
            })
            .collect()
    }
}

/// One comparison of the search.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SearchEntry {
    /// Features.
    pub features: FeatureSet,
    /// Inverse strength of regularisation.
    pub c: f32,
    /// Examples it was tried on.
    pub examples: usize,
    /// Out-of-fold macro-F1.
    pub macro_f1: f64,
    /// Out-of-fold log-loss.
    pub log_loss: f64,
    /// Seconds it took.
    pub seconds: f64,
    /// Whether it went on to more examples, or won.
    pub is_kept: bool,
}

/// What a search tried and what it chose.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SearchTable {
    /// Every comparison, in order.
    pub entries: Vec<SearchEntry>,
    /// The settings that won.
    pub winner: LinearSettings,
    /// Cost of all, in trainings on all examples.
    pub cost: f64,
    /// The cap that ended the search early, if one did.
    pub stopped_by: Option<String>,
}

/// The trainer `search`.
#[derive(Debug, Clone, Copy)]
pub struct SearchTrainer;

impl Trainer for SearchTrainer {
    fn name(&self) -> &'static str {
        "search"
    }

    fn check(&self, settings: &serde_json::Value) -> Result<(), TrainError> {
        SearchSettings::parse(settings).map(|_| ())
    }

    fn fit(
        &self,
        set: &TrainingSet,
        settings: &serde_json::Value,
        context: &FitContext<'_>,
    ) -> Result<Fitted, TrainError> {
        let settings = SearchSettings::parse(settings)?;
        let mut search = Search {
            set,
            context,
            started: Instant::now(),
            table: SearchTable {
                entries: Vec::new(),
                winner: settings.base.clone(),
                cost: 0.0,
                stopped_by: None,
            },
            settings,
        };
        let (winner, fitted) = search.run()?;
        let mut fitted = match fitted {
            Some(fitted) => fitted,
            None => search.fit_one(&winner, set)?.0,
        };
        let method = search.best_calibration(&fitted);
        let winner = LinearSettings {
            calibration: method,
            ..winner
        };
        fitted.classifier.calibration = search.calibrated(&fitted.out_of_fold, method, None);
        fitted.classifier.settings = serde_json::to_value(&winner).unwrap_or_default();
        search.table.winner = winner;
        fitted.search = Some(search.table);
        Ok(fitted)
    }
}

struct Search<'a> {
    set: &'a TrainingSet,
    context: &'a FitContext<'a>,
    started: Instant,
    table: SearchTable,
    settings: SearchSettings,
}

impl Search<'_> {
    /// The best settings, with what was fitted on all examples if the search came so far.
    fn run(&mut self) -> Result<(LinearSettings, Option<Fitted>), TrainError> {
        let mut left = self.settings.space();
        let mut best = left.first().cloned().unwrap_or_default();
        let all = self.set.len();
        for share in RUNGS {
            let part = part_of(self.set, share, self.context.seed);
            let is_whole = share >= 1.0;
            if !is_whole && (part.len() < FEWEST || fewest_of_label(&part) < FEWEST_OF_LABEL) {
                continue;
            }
            let first_entry = self.table.entries.len();
            let mut tried: Vec<(f64, f64, LinearSettings, Option<Fitted>)> = Vec::new();
            for candidate in &left {
                if self.is_over(part.len() as f64 / all as f64) {
                    break;
                }
                let done = self.table.cost / self.settings.max_cost;
                (self.context.progress)(done.min(0.95), "trying settings");
                let (fitted, macro_f1, log_loss) = self.fit_one(candidate, &part)?;
                tried.push((macro_f1, log_loss, candidate.clone(), is_whole.then_some(fitted)));
            }
            let tried_count = tried.len();
            tried.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.total_cmp(&other.1)));
            let kept = if is_whole { 1 } else { left.len().div_ceil(KEPT_OF) };
            tried.truncate(kept.max(1));
            for entry in &mut self.table.entries[first_entry..] {
                let is_entry =
                    |settings: &LinearSettings| (settings.features, settings.c) == (entry.features, entry.c);
                entry.is_kept = tried.iter().any(|(_, _, settings, _)| is_entry(settings));
            }
            if let Some((_, _, settings, fitted)) = tried.first_mut() {
                best = settings.clone();
                if is_whole {
                    return Ok((best, fitted.take()));
                }
            }
            if tried_count < left.len() {
                return Ok((best, None));
            }
            left = tried.into_iter().map(|(_, _, settings, _)| settings).collect();
        }
        Ok((best, None))
    }

    /// Fits settings on some examples; gives out-of-fold macro-F1 and log-loss too.
    fn fit_one(
        &mut self,
        settings: &LinearSettings,
        part: &TrainingSet,
    ) -> Result<(Fitted, f64, f64), TrainError> {
        let started = Instant::now();
        let quiet = FitContext {
            seed: self.context.seed,
            is_cancelled: self.context.is_cancelled,
            progress: &|_, _| {},
        };
        let json = serde_json::to_value(settings).unwrap_or_default();
        let fitted = LinearTrainer.fit(part, &json, &quiet)?;
        let probabilities = fitted
            .out_of_fold
            .clone()
            .probabilities(&fitted.classifier.calibration);
        let truth: Vec<&str> = part.labels.iter().map(String::as_str).collect();
        let evaluation = Evaluation::new(&fitted.classifier.labels, &probabilities, &truth);
        self.table.cost += part.len() as f64 / self.set.len() as f64;
        self.table.entries.push(SearchEntry {
            features: settings.features,
            c: settings.c,
            examples: part.len(),
            macro_f1: evaluation.macro_f1,
            log_loss: evaluation.log_loss,
            seconds: started.elapsed().as_secs_f64(),
            is_kept: true,
        });
        Ok((fitted, evaluation.macro_f1, evaluation.log_loss))
    }

    /// Whether a cap forbids to try something of this cost; the last training on all examples is left room for.
    fn is_over(&mut self, cost: f64) -> bool {
        let by = if self.started.elapsed() >= Duration::from_secs_f64(self.settings.max_seconds) {
            "max_seconds"
        } else if self.table.cost + cost > self.settings.max_cost {
            "max_cost"
        } else {
            return false;
        };
        // Nothing was tried yet: the caps are too low for a search, and the first settings are taken.
        self.table.stopped_by = Some(by.to_owned());
        true
    }

    /// The way to probabilities whose log-loss is lowest on the half of the out-of-fold margins that it was not fitted on.
    fn best_calibration(&self, fitted: &Fitted) -> CalibrationMethod {
        let methods = self.settings.calibration.iter().copied();
        let losses = methods.map(|method| {
            let loss: f64 = [0, 1]
                .into_iter()
                .map(|half| {
                    let calibration = self.calibrated(&fitted.out_of_fold, method, Some(half));
                    self.log_loss_of_half(fitted, &calibration, 1 - half)
                })
                .sum();
            (method, loss)
        });
        let best = losses.min_by(|one, other| one.1.total_cmp(&other.1));
        best.map_or(CalibrationMethod::Auto, |(method, _)| method)
    }

    /// A calibration fitted on all out-of-fold margins, or on every other one.
    fn calibrated(
        &self,
        out_of_fold: &OutOfFold,
        method: CalibrationMethod,
        half: Option<usize>,
    ) -> Calibration {
        let labels = self.set.distinct_labels();
        let label_count = labels.len();
        let is_in = |place: &usize| half.is_none_or(|half| place % 2 == half);
        let places: Vec<usize> = (0..out_of_fold.order.len()).filter(is_in).collect();
        let mut margins = Vec::with_capacity(places.len() * label_count);
        let (mut numbers, mut weights) = (Vec::new(), Vec::new());
        for &place in &places {
            let row = out_of_fold.order[place] as usize;
            margins.extend_from_slice(&out_of_fold.margins[place * label_count..(place + 1) * label_count]);
            numbers.push(labels.partition_point(|known| *known < self.set.labels[row]) as u32);
            weights.push(self.set.weights[row]);
        }
        let set = CalibrationSet {
            margins: &margins,
            label_count,
            labels: &numbers,
            weights: &weights,
        };
        calibrate(method, &set)
    }

    fn log_loss_of_half(&self, fitted: &Fitted, calibration: &Calibration, half: usize) -> f64 {
        let labels = &fitted.classifier.labels;
        let out_of_fold = &fitted.out_of_fold;
        let mut loss = 0.0;
        let mut row = vec![0.0; labels.len()];
        for place in (half..out_of_fold.order.len()).step_by(2) {
            row.copy_from_slice(&out_of_fold.margins[place * labels.len()..(place + 1) * labels.len()]);
            calibration.apply(&mut row);
            let truth = &self.set.labels[out_of_fold.order[place] as usize];
            let number = labels.partition_point(|known| known < truth);
            loss -= f64::from(row[number]).max(1e-15).ln();
        }
        loss
    }
}

/// So large a share of each label's examples, one at least, drawn at random.
fn part_of(set: &TrainingSet, share: f64, seed: u64) -> TrainingSet {
    if share >= 1.0 {
        return set.clone();
    }
    let labels = set.distinct_labels();
    let number = |label: &String| labels.partition_point(|known| known < label);
    let mut counts = vec![0usize; labels.len()];
    for label in &set.labels {
        counts[number(label)] += 1;
    }
    let mut wanted: Vec<usize> = counts
        .iter()
        .map(|&count| (count as f64 * share).ceil() as usize)
        .collect();
    let mut part = TrainingSet::default();
    for row in SplitMix::new(seed).permutation(set.len()) {
        let row = row as usize;
        let left = &mut wanted[number(&set.labels[row])];
        if *left > 0 {
            *left -= 1;
            part.push(
                set.texts[row].as_str(),
                set.labels[row].as_str(),
                set.weights[row],
            );
        }
    }
    part
}

fn fewest_of_label(set: &TrainingSet) -> usize {
    let labels = set.distinct_labels();
    let count = |label: &String| set.labels.iter().filter(|own| *own == label).count();
    labels.iter().map(count).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of four labels whose words stand in longer ones that are hardly ever the same: only their characters tell them apart.
    fn examples(count: usize) -> TrainingSet {
        let mut set = TrainingSet::default();
        let mut draws = SplitMix::new(5);
        let mut letter = || char::from(b'a' + (draws.uniform() * 26.0) as u8);
        for number in 0..count {
            let word = ["parcel", "refund", "password", "address"][number % 4];
            let (before, after) = ([letter(), letter(), letter()], [letter(), letter()]);
            let [before, after] = [before.iter().collect::<String>(), after.iter().collect()];
            let text = format!("please help with {before}{word}{after}");
            set.push(text, word, 1.0);
        }
        set
    }

    #[test]
    fn the_better_settings_go_on_and_the_best_are_fitted_on_all() {
        let set = examples(6_000);
        let fitted = SearchTrainer
            .fit(
                &set,
                &serde_json::json!({ "c": [0.1, 1.0] }),
                &FitContext::silent(1),
            )
            .unwrap();
        let table = fitted.search.unwrap();
        let sizes: Vec<usize> = table.entries.iter().map(|entry| entry.examples).collect();
        assert_eq!(sizes, [668, 668, 668, 668, 2_000, 2_000, 6_000]);
        assert!(table.stopped_by.is_none() && table.cost < 3.0, "{table:?}");
        assert!(table.entries.last().unwrap().is_kept);
        assert_eq!(table.winner.features, FeatureSet::WordsAndCharacters, "{table:?}");
        let settings = LinearSettings::parse(&fitted.classifier.settings).unwrap();
        assert_eq!(settings, table.winner);
        assert_ne!(settings.calibration, CalibrationMethod::Isotonic);
    }

    #[test]
    fn the_same_seed_gives_the_same_model_and_few_examples_are_compared_as_a_whole() {
        let set = examples(400);
        let fit = || {
            SearchTrainer
                .fit(&set, &serde_json::json!({}), &FitContext::silent(3))
                .unwrap()
        };
        let (one, other) = (fit(), fit());
        let table = one.search.unwrap();
        assert!(table.entries.iter().all(|entry| entry.examples == 400));
        assert_eq!(table.entries.iter().filter(|entry| entry.is_kept).count(), 1);
        assert_eq!(one.classifier.settings, other.classifier.settings);
        let texts = ["my pxrcel", "the refxnd"];
        assert_eq!(
            one.classifier.probabilities(&texts),
            other.classifier.probabilities(&texts)
        );
    }

    #[test]
    fn a_cap_ends_the_search_and_what_is_best_so_far_is_fitted() {
        let set = examples(6_000);
        let settings = serde_json::json!({ "max_cost": 0.4 });
        let fitted = SearchTrainer
            .fit(&set, &settings, &FitContext::silent(1))
            .unwrap();
        let table = fitted.search.unwrap();
        assert_eq!(table.stopped_by.as_deref(), Some("max_cost"));
        assert_eq!(table.entries.last().unwrap().examples, 6_000);
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        for (settings, name) in [
            (serde_json::json!({ "c": [] }), "c"),
            (serde_json::json!({ "c": [-1.0] }), "c"),
            (serde_json::json!({ "max_seconds": 0.0 }), "max_seconds"),
            (serde_json::json!({ "depth": 3 }), "settings"),
            (serde_json::json!({ "base": { "folds": 1 } }), "folds"),
        ] {
            let Err(TrainError::Settings { name: refused, .. }) = SearchTrainer.check(&settings) else {
                panic!("{settings} was taken");
            };
            assert_eq!(refused, name, "{settings}");
        }
    }
}
