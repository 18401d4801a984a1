//! Comparisons of versions, on held-out rows and on live traffic.
//!
//! Offline, `engine::evaluate` compares two versions on the same rows ([`McNemar`], [`paired_bootstrap`]). Online, outcomes come
//! one after the other and are looked at as often as one likes: [`Sequential`] and [`BernoulliStreams`] hold their error rates
//! all the same, [`SampleRatio`] says whether the arms were filled as they should have been, [`ErrorBudget`] spreads one error
//! rate over deployment after deployment. Everything here is pure; each function is checked against reference numbers.

mod adwin;
mod arm;
mod bandit;
mod bayes;
mod bernoulli;
mod betting;
mod bootstrap;
mod budget;
mod cuped;
mod fixed;
mod mixture;
mod page_hinkley;
mod paired;
mod power;
mod ratio;
mod root;
mod sequential;
mod shift;

pub use adwin::Adwin;
pub use arm::Arm;
pub use bandit::{BestArm, best_arm, thompson_shares};
pub use bayes::{BetaComparison, compare_beta};
pub use bernoulli::{BernoulliStreams, Block};
pub use betting::BettingMean;
pub use bootstrap::{BootstrapInterval, LabelledPair, paired_bootstrap};
pub use budget::ErrorBudget;
pub use cuped::{Adjusted, PairedSample, cuped};
pub use fixed::{TwoProportions, Welch, two_proportions, welch};
pub use mixture::{BetaBinomialMixture, GammaExponentialMixture, NormalMixture, anytime_t_log_e};
pub use page_hinkley::{PageHinkley, PageHinkleySettings};
pub use paired::McNemar;
pub use power::{expected_count, minimum_detectable_effect};
pub use ratio::{SampleRatio, chi_square};
pub use sequential::{Bounds, Evidence, Running, Sequential};
pub use shift::{
    KolmogorovSmirnov, MixShift, false_discoveries, kolmogorov_smirnov, mix_shift, population_stability,
};
