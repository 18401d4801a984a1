//! Comparisons against established implementations: `../shared/numbers/ab_reference.json`, or the folder in
//! `HONE_TEST_NUMBERS`. Where the folder is absent, each test says so and passes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it skips"
)]

use std::path::PathBuf;

use hone_stats::{
    Adwin, Arm, BernoulliStreams, BetaBinomialMixture, BettingMean, Block, GammaExponentialMixture, McNemar,
    NormalMixture, PageHinkley, PageHinkleySettings, PairedSample, SampleRatio, Sequential, anytime_t_log_e,
    best_arm, chi_square, compare_beta, cuped, kolmogorov_smirnov, population_stability, two_proportions,
    welch,
};
use serde_json::Value;

/// Of the reference value, or of one where that is smaller.
const TOLERANCE: f64 = 1e-9;

/// A file of reference numbers, where there are any.
#[expect(
    clippy::disallowed_methods,
    reason = "a test finds its reference numbers through the environment"
)]
fn read(name: &str) -> Option<Value> {
    let folder = std::env::var("HONE_TEST_NUMBERS").map_or_else(
        |_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/numbers")),
        PathBuf::from,
    );
    let Ok(text) = std::fs::read(folder.join(name)) else {
        println!("skipped: no reference numbers in {}", folder.display());
        return None;
    };
    Some(serde_json::from_slice(&text).unwrap())
}

/// The cases of these families, each with its inputs and what is expected; empty where there are no reference numbers.
fn cases(families: &[&str]) -> Vec<Case> {
    let Some(all) = read("ab_reference.json") else {
        return Vec::new();
    };
    let of_family = |case: &&Value| families.contains(&case["family"].as_str().unwrap());
    let found: Vec<Case> = all["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(of_family)
        .map(|case| Case(case.clone()))
        .collect();
    for family in families {
        let is_there = found.iter().any(|case| case.0["family"] == *family);
        assert!(is_there, "no case of {family}");
    }
    found
}

struct Case(Value);

impl Case {
    fn number(&self, name: &str) -> f64 {
        self.0["inputs"][name]
            .as_f64()
            .unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    fn count(&self, name: &str) -> u64 {
        self.0["inputs"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        let numbers = self.0["inputs"][name].as_array().unwrap().iter();
        numbers.map(|number| number.as_f64().unwrap()).collect()
    }

    fn successes(&self, arm: &str) -> (u64, u64) {
        (self.count(&format!("x_{arm}")), self.count(&format!("n_{arm}")))
    }

    /// An arm by its counts or by its sums.
    fn arm(&self, arm: &str) -> Arm {
        if self.0["inputs"].get(format!("x_{arm}")).is_some() {
            let (successes, trials) = self.successes(arm);
            return Arm::of_counts(successes, trials);
        }
        Arm::of_sums(
            self.count(&format!("n_{arm}")),
            self.number(&format!("sum_{arm}")),
            self.number(&format!("sumsq_{arm}")),
        )
    }

    fn sequential(&self) -> Sequential {
        Sequential::new(self.number("alpha"), self.number("n_star")).unwrap()
    }

    fn expect(&self, name: &str, ours: f64) {
        self.close(name, ours, &self.0["expected"][name]);
    }

    fn expect_pair(&self, name: &str, (low, high): (f64, f64)) {
        self.close(name, low, &self.0["expected"][name][0]);
        self.close(name, high, &self.0["expected"][name][1]);
    }

    fn close(&self, name: &str, ours: f64, expected: &Value) {
        let expected = expected
            .as_f64()
            .unwrap_or_else(|| panic!("no {name} in {}", self.0));
        let limit = TOLERANCE * expected.abs().max(1.0);
        let id = &self.0["id"];
        assert!(
            (ours - expected).abs() <= limit,
            "{id} {name}: {ours} in place of {expected}"
        );
    }
}

#[test]
fn mixtures() {
    for case in cases(&["normal_mixture_two_sided"]) {
        let mixture = NormalMixture::tuned(case.number("v_opt"), case.number("alpha_opt"));
        case.expect("rho", mixture.rho);
        case.expect(
            "log_mixture",
            mixture.log_mixture(case.number("s"), case.number("v")),
        );
        case.expect("bound", mixture.bound(case.number("v"), case.number("alpha")));
    }
    for case in cases(&["gamma_exponential_mixture"]) {
        let mixture =
            GammaExponentialMixture::tuned(case.number("v_opt"), case.number("alpha_opt"), case.number("c"));
        case.expect(
            "log_mixture",
            mixture.log_mixture(case.number("s"), case.number("v")),
        );
        case.expect("bound", mixture.bound(case.number("v"), case.number("alpha")));
    }
    for case in cases(&["beta_binomial_two_sided"]) {
        let mixture = BetaBinomialMixture::tuned(
            case.number("v_opt"),
            case.number("alpha"),
            case.number("g"),
            case.number("h"),
        );
        case.expect(
            "log_mixture",
            mixture.log_mixture(case.number("s"), case.number("v")),
        );
        case.expect("bound", mixture.bound(case.number("v"), case.number("alpha")));
    }
    for case in cases(&["anytime_t_test"]) {
        let log_e = anytime_t_log_e(
            case.number("t2"),
            case.number("nu"),
            case.number("phi"),
            case.number("z2"),
        );
        case.expect("log_e", log_e);
        case.expect("p", (-log_e).exp().min(1.0));
    }
}

#[test]
fn two_arms_at_any_time() {
    let families = [
        "anytime_two_proportion_absolute",
        "anytime_two_proportion_relative",
        "anytime_two_mean_absolute",
    ];
    for case in cases(&families) {
        let (sequential, a, b) = (case.sequential(), case.arm("a"), case.arm("b"));
        let is_lift = case.0["family"] == "anytime_two_proportion_relative";
        let evidence = if is_lift {
            sequential.lift(&a, &b)
        } else {
            sequential.difference(&a, &b)
        };
        let evidence = evidence.unwrap();
        case.expect("delta", evidence.delta);
        case.expect("se", evidence.standard_error);
        case.expect("rho", evidence.rho);
        case.expect("halfwidth", evidence.half_width);
        case.expect_pair("ci", (evidence.lower(), evidence.upper()));
        case.expect("log_e", evidence.log_e);
        case.expect("p", evidence.p());
    }
    for case in cases(&["anytime_one_sided_guardrail"]) {
        let bounds = case
            .sequential()
            .guardrail(&case.arm("a"), &case.arm("b"))
            .unwrap();
        case.expect("rho", bounds.rho);
        case.expect("delta", bounds.delta);
        case.expect("halfwidth", bounds.half_width);
        case.expect("lower", bounds.lower());
        case.expect("upper", bounds.upper());
    }
}

#[test]
fn sample_ratios() {
    let counts =
        |case: &Case| -> Vec<u64> { case.numbers("counts").iter().map(|&count| count as u64).collect() };
    for case in cases(&["srm_chi2"]) {
        let (statistic, p) = chi_square(&counts(&case), &case.numbers("weights")).unwrap();
        case.expect("chi2", statistic);
        case.expect("p", p);
    }
    for case in cases(&["srm_anytime_dirichlet"]) {
        let ratio = SampleRatio::of(&counts(&case), &case.numbers("weights")).unwrap();
        case.expect("log_e", ratio.log_e);
        case.expect("p", ratio.p());
    }
}

#[test]
fn exact_streams() {
    for case in cases(&["hedged_betting_cs"]) {
        let mut mean = BettingMean::new(case.number("alpha"), case.count("grid") as usize);
        for i in 1..=case.count("n") {
            mean.observe((i * 37 % 11) as f64 / 10.0);
        }
        let (lower, upper) = mean.interval().unwrap();
        case.expect("lower", lower);
        case.expect("upper", upper);
        case.expect("log_capital_m_0_4", mean.log_capital(400).unwrap());
    }
    for case in cases(&["exact_e_value_two_proportions"]) {
        let mut streams = BernoulliStreams::default();
        let blocks = case.count("blocks");
        for i in 1..=blocks {
            let outcome = |below: u64| (u64::from(7 * i % 10 < below), 1);
            streams.observe(&Block {
                first: outcome(3),
                second: outcome(5),
            });
            if i == 100 {
                case.expect("log_e_at_100", streams.log_e());
            }
        }
        case.expect("log_e", streams.log_e());
    }
}

#[test]
fn one_look() {
    for case in cases(&["fixed_welch_t"]) {
        let welch = welch(&case.arm("a"), &case.arm("b"), case.number("alpha")).unwrap();
        case.expect("t", welch.t);
        case.expect("df", welch.degrees);
        case.expect("p", welch.p);
        case.expect_pair("ci", welch.interval);
    }
    for case in cases(&["fixed_two_proportion"]) {
        let compared =
            two_proportions(case.successes("a"), case.successes("b"), case.number("alpha")).unwrap();
        case.expect("z", compared.z);
        case.expect("p", compared.p);
        case.expect_pair("newcombe", compared.interval);
        case.expect("fisher_p", compared.fisher_p);
    }
    for case in cases(&["mcnemar"]) {
        let test = McNemar::of(case.count("b"), case.count("c"));
        case.expect("p_exact", test.exact);
        case.expect("p_mid", test.mid);
        case.expect("chi2_cc", test.chi_square);
        case.expect("p_cc", test.corrected);
    }
    for case in cases(&["beta_binomial"]) {
        let compared = compare_beta(case.successes("a"), case.successes("b"));
        case.expect("p_b_beats_a", compared.second_is_better);
        case.expect("expected_loss_choose_b", compared.expected_loss);
    }
}

#[test]
fn adjusted_means() {
    for case in cases(&["cuped"]) {
        let arm = |count: u64, [step, modulus]: [u64; 2], more: f64| -> (Vec<f64>, Vec<f64>) {
            let of_unit = |i: u64| {
                let before = (step * i % modulus) as f64 / 4.0;
                (before, 0.8 * before + (5 * i % 7) as f64 / 3.0 + more)
            };
            (1..=count).map(of_unit).unzip()
        };
        let a = arm(case.count("n_a"), [13, 17], 0.0);
        let b = arm(case.count("n_b"), [11, 19], 0.3);
        let sample = |arm: &(Vec<f64>, Vec<f64>)| (arm.0.clone(), arm.1.clone());
        let ((before_a, now_a), (before_b, now_b)) = (sample(&a), sample(&b));
        let sample = |before, now| PairedSample { before, now };
        let adjusted = cuped(sample(&before_a, &now_a), sample(&before_b, &now_b)).unwrap();
        case.expect("theta", adjusted.theta);
        case.expect("delta", adjusted.delta);
        case.expect("se", adjusted.standard_error);
        let of = |values: &[f64]| {
            let squares = values.iter().map(|value| value * value).sum();
            Arm::of_sums(values.len() as u64, values.iter().sum(), squares)
        };
        let (a, b) = (of(&now_a), of(&now_b));
        case.expect("delta_unadjusted", b.mean - a.mean);
        case.expect(
            "se_unadjusted",
            (a.variance / a.count + b.variance / b.count).sqrt(),
        );
    }
}

#[test]
fn best_arms_and_shifts() {
    for case in cases(&["track_and_stop_stopping"]) {
        let (pulls, means, variances) = (
            case.numbers("pulls"),
            case.numbers("means"),
            case.numbers("variances"),
        );
        let arms: Vec<Arm> = (0..pulls.len())
            .map(|arm| Arm {
                count: pulls[arm],
                mean: means[arm],
                variance: variances[arm],
            })
            .collect();
        let best = best_arm(&arms, case.number("epsilon"), case.number("delta")).unwrap();
        case.expect("leader", best.leader as f64);
        case.expect("glr_min", best.likelihood_ratio);
        case.expect("threshold", best.threshold);
        assert_eq!(Some(best.is_found()), case.0["expected"]["stop"].as_bool());
    }
    for case in cases(&["psi"]) {
        let index = population_stability(&case.numbers("expected"), &case.numbers("actual")).unwrap();
        case.expect("psi", index);
    }
    for case in cases(&["ks_2samp"]) {
        let values = |count: u64, step: u64, modulus: u64, scale: f64| -> Vec<f64> {
            (0..count).map(|i| (step * i % modulus) as f64 / scale).collect()
        };
        let first = values(case.count("n1"), 7, 23, 23.0);
        let second = values(case.count("n2"), 5, 19, 17.0);
        let compared = kolmogorov_smirnov(&first, &second).unwrap();
        case.expect("d", compared.distance);
        case.expect("p_asymp", compared.p);
    }
}

#[test]
fn changes_of_a_stream() {
    let Some(all) = read("ml_reference.json") else {
        return;
    };
    let all = all["cases"].as_array().unwrap();
    let case = all.iter().find(|case| case["id"] == "driftstream01").unwrap();
    let value = |i: u64| 0.4 * (7_919 * i % 101) as f64 / 100.0 + if i < 1_000 { 0.2 } else { 0.55 };
    let (mut adwin, mut page_hinkley) = (
        Adwin::new(0.002),
        PageHinkley::new(PageHinkleySettings::default()),
    );
    let seen = |is_change: &mut dyn FnMut(f64) -> bool| -> Vec<u64> {
        (0..2_000).filter(|&i| is_change(value(i))).collect()
    };
    let expected = |name: &str| -> Vec<u64> {
        let places = case["expected"][name].as_array().unwrap().iter();
        places.map(|place| place.as_u64().unwrap()).collect()
    };
    assert_eq!(
        seen(&mut |value| adwin.observe(value)),
        expected("adwin_detections")
    );
    assert_eq!(
        seen(&mut |value| page_hinkley.observe(value)),
        expected("page_hinkley_detections")
    );
}
