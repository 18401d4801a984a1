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
    /// Train on a file as benchmarks do, in a process of its own whose memory can be told; print one JSON object.
    Fit {
        /// JSONL with text and label.
        file: std::path::PathBuf,
        /// Settings of the trainer as JSON.
        settings: String,
        /// How often.
        repeats: usize,
    },
    /// Find near-duplicates as benchmarks do, in a process of its own; print one JSON object.
    Near {
        /// JSONL with text.
        file: std::path::PathBuf,
    },
    /// Answer as a provider does, for benchmarks; print the address.
    Standin,
    /// Run a benchmark suite beside its peer and append the result to docs/benchmarks.md.
    Bench {
        /// Which one.
        #[arg(value_enum)]
        suite: bench::Suite,
    },
}

/// The folder of this crate, where cargo runs it from: clones that share a target folder share the binary too.
fn folder() -> std::path::PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), Into::into)
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Arrows => arrows::check(),
        Command::Golden => golden::write(),
        Command::Fit {
            file,
            settings,
            repeats,
        } => bench::fit(&file, &settings, repeats),
        Command::Near { file } => bench::near(&file),
        Command::Standin => bench::standin(),
        Command::Bench { suite } => bench::run(suite),
    }
}
