//! Checks and chores of the house: `cargo xtask arrows`.

mod arrows;

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
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Arrows => arrows::check(),
    }
}
