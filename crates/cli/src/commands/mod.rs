//! The commands, one file per group.

mod alerts;
mod check;
mod curate;
mod datasets;
mod deployments;
mod doctor;
mod evaluate;
mod examples;
mod history;
mod jobs;
mod keys;
mod limits;
mod models;
mod observe;
mod predict;
mod privacy;
mod review;
mod runs;
mod schedules;
mod serve;
mod tasks;
mod topics;
mod train;
mod transfer;

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::app::App;
use crate::args::{Args, Command, ConfigCommand};
use crate::config::Config;
use crate::demo;
use crate::output::Output;
use crate::telemetry;

/// Runs the command; gives the exit code.
pub(crate) async fn run(args: Args, output: Output) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Args::command(), "hone", &mut std::io::stdout());
            return Ok(ExitCode::SUCCESS);
        }
        Command::Config(ConfigCommand::Template) => {
            output.raw(&Config::template());
            return Ok(ExitCode::SUCCESS);
        }
        Command::Check(check_args) => return check::run(check_args, output).await,
        Command::Demo(demo_args) => {
            let config = Config::read(&args)?;
            return demo::run(demo_args, args.data.as_deref(), config, output).await;
        }
        _ => {}
    }
    let mut config = Config::read(&args)?;
    if matches!(args.command, Command::Config(_)) {
        config.gateway.check()?;
        config.alerts.resolve()?;
        let mut shown = serde_json::to_value(&config)?;
        shown["database"] = serde_json::json!(config.shown_database());
        output.raw(&serde_json::to_string_pretty(&shown)?);
        return Ok(ExitCode::SUCCESS);
    }
    // A command that prints its result logs only what is wrong; a server logs what it does.
    if !matches!(args.command, Command::Serve(_) | Command::Worker) && config.log.level == "info" {
        "error".clone_into(&mut config.log.level);
    }
    let _traces = telemetry::start(&config)?;
    if matches!(args.command, Command::Doctor) {
        return doctor::run(config, output).await;
    }
    let app = App::open(config).await?;
    let code = dispatch(&app, args.command, output).await;
    app.close().await;
    code
}

async fn dispatch(app: &App, command: Command, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init => keys::init(app, output).await,
        Command::Serve(args) => serve::serve(app, &args, output).await,
        Command::Worker => serve::worker(app, output).await,
        Command::Key(command) => keys::run(app, command, output).await,
        Command::Limits(args) => limits::run(app, &args, output).await,
        Command::Task(command) => tasks::run(app, command, output).await,
        Command::Import(args) => transfer::import(app, &args, output).await,
        Command::History(args) => history::run(app, &args, output).await,
        Command::Export(args) => transfer::export(app, &args, output).await,
        Command::Curate(args) => curate::run(app, &args, output).await,
        Command::Examples(command) => examples::run(app, command, output).await,
        Command::Review(args) => review::run(app, &args, output).await,
        Command::Privacy(args) => privacy::run(app, &args, output).await,
        Command::Subject(command) => privacy::subject(app, command, output).await,
        Command::Runs(command) => runs::run(app, command, output).await,
        Command::Train(args) => train::train(app, &args, output).await,
        Command::Evaluate(args) => evaluate::run(app, &args, output).await,
        Command::Predict(args) => predict::run(app, &args, output).await,
        Command::Models(args) => models::list(app, &args.task, output).await,
        Command::Register(args) => models::register(app, &args, output).await,
        Command::Deploy(args) => deployments::deploy(app, args, output).await,
        Command::Rollback(args) => deployments::rollback(app, args, output).await,
        Command::Deployment(command) => deployments::run(app, command, output).await,
        Command::Schedule(command) => schedules::run(app, command, output).await,
        Command::Cycle => schedules::cycle(app, output).await,
        Command::Report(args) => schedules::report(app, &args, output).await,
        Command::Metrics(args) => observe::metrics(app, &args, output).await,
        Command::Health => observe::health(app, output).await,
        Command::Drift(args) => observe::drift(app, &args.task, output).await,
        Command::Snapshot(args) => observe::snapshot(app, &args, output).await,
        Command::Alerts(command) => alerts::run(app, command, output).await,
        Command::Jobs(command) => jobs::run(app, command, output).await,
        Command::Topics(args) => topics::run(app, &args, output).await,
        Command::Datasets(command) => datasets::run(app, command, output).await,
        Command::Check(_)
        | Command::Demo(_)
        | Command::Doctor
        | Command::Config(_)
        | Command::Completions { .. } => Ok(ExitCode::SUCCESS),
    }
}
