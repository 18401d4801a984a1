//! The binary `hone`: commands, configuration, wiring. The only crate that reads the environment and prints.

mod app;
mod args;
mod commands;
mod config;
mod demo;
mod failure;
mod output;
mod server;
mod telemetry;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    let output = output::Output::new(args.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(output, &error.into()),
    };
    let code = match runtime.block_on(commands::run(args, output)) {
        Ok(code) => code,
        Err(error) => failure::report(output, &error),
    };
    // What still computes on a blocking thread is not waited for: its job is taken up again.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}
