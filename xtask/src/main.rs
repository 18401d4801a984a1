//! Checks and chores of the house: `cargo xtask arrows`, `cargo xtask golden`, `cargo xtask bench SUITE`.

mod arrows;
mod bench;
mod golden;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "checks and chores of the house")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare the dependencies between crates with xtask/arrows.toml.
    Arrows,
    /// Write the golden artifact of the present format.
    Golden,
    /// Run a benchmark suite beside its peer and append the result to docs/benchmarks.md.
    Bench {
        /// Which one.
        #[arg(value_enum)]
        suite: bench::Suite,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Arrows => arrows::check(),
        Command::Golden => golden::write(),
        Command::Bench { suite } => bench::run(suite),
    }
}
