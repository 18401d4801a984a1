//! Benchmark suites, each beside its peer in one run: medians of at least three repeats with min and max.

mod curation;
mod gateway;
mod learn;
mod load;
mod observe;
mod ratchet;
mod report;
mod server;
mod text;

use clap::ValueEnum;

pub(crate) use gateway::standin;
pub(crate) use learn::fit;
pub(crate) use text::near;

/// A benchmark suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Training and prediction beside scikit-learn.
    Learn,
    /// How training grows with the number of examples, beside scikit-learn.
    Growth,
    /// Recording, feedback and classification over HTTP.
    Server,
    /// Passing requests on to models, beside LiteLLM and Portkey.
    Gateway,
    /// The same without the peers.
    GatewayAlone,
    /// Passing on and recording beside another build of Hone, whose binary `HONE_BENCH_AGAINST` names.
    Against,
    /// What is said of each text when it arrives.
    Text,
    /// Label errors, active learning, growth of curation, exports.
    Curation,
    /// Sharing traffic between versions: routing, outcomes, looks, rollback.
    Ratchet,
    /// Counting as things are recorded, and metrics over a history of any size.
    Observe,
}

/// Runs a suite.
pub(crate) fn run(suite: Suite) -> anyhow::Result<()> {
    match suite {
        Suite::Learn => learn::run(),
        Suite::Growth => learn::growth(),
        Suite::Server => server::run(),
        Suite::Gateway => gateway::run(true),
        Suite::GatewayAlone => gateway::run(false),
        Suite::Against => gateway::against(),
        Suite::Text => text::run(),
        Suite::Curation => curation::run(),
        Suite::Ratchet => ratchet::run(),
        Suite::Observe => observe::run(),
    }
}
