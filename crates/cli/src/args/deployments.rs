//! What `hone deploy`, `hone rollback` and `hone deployment` take.

use clap::{Subcommand, ValueEnum};
use hone_domain::Strategy;

const BY_HAND: &str = "asked for by hand";

#[derive(Debug, clap::Args)]
pub(crate) struct DeployArgs {
    /// Name of the task.
    pub task: String,
    /// The version, such as 1.2.0; several for an A/B test or a bandit.
    #[arg(required = true)]
    pub versions: Vec<String>,
    /// How it comes to serve.
    #[arg(long, value_enum, default_value = "all-at-once")]
    pub strategy: StrategyArg,
    /// The plan as JSON, as in a task's policy at deployment.plan: a file, or the text itself.
    #[arg(long, value_name = "JSON")]
    pub plan: Option<String>,
    /// Only say how long it is likely to take and what it can find.
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the record.
    #[arg(long, default_value = BY_HAND)]
    pub reason: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StrategyArg {
    /// It serves everything from the start.
    AllAtOnce,
    /// Its share grows step by step.
    Canary,
    /// It answers too, and nobody sees its answers.
    Shadow,
    /// It has a fixed share.
    Ab,
    /// Shares follow the better version.
    Bandit,
}

impl From<StrategyArg> for Strategy {
    fn from(strategy: StrategyArg) -> Self {
        match strategy {
            StrategyArg::AllAtOnce => Self::AllAtOnce,
            StrategyArg::Canary => Self::Canary,
            StrategyArg::Shadow => Self::Shadow,
            StrategyArg::Ab => Self::Ab,
            StrategyArg::Bandit => Self::Bandit,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// Name of the task.
    pub task: String,
    /// The version to go back to; when absent, the deployment that shares the traffic is taken off, or else the version that
    /// served before serves again.
    pub version: Option<String>,
    /// Why, for the record.
    #[arg(long, default_value = BY_HAND)]
    pub reason: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeploymentCommand {
    /// List a task's deployments, latest first.
    List {
        /// Name of the task.
        task: String,
    },
    /// Show how the versions of a task compare on live traffic, and what happened.
    Show(DeploymentArgs),
    /// Halt it: the shares stay as they are, and nothing is decided by itself.
    Pause(DeploymentArgs),
    /// Let it go on.
    Resume(DeploymentArgs),
    /// Let its version serve everything now.
    Promote {
        #[command(flatten)]
        which: DeploymentArgs,
        /// The version, where there are several.
        #[arg(long)]
        version: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeploymentArgs {
    /// Name of the task: the deployment that shares its traffic, or else its latest.
    pub task: String,
    /// Another deployment of the task.
    #[arg(long)]
    pub id: Option<uuid::Uuid>,
    /// Why, for the record.
    #[arg(long, default_value = BY_HAND)]
    pub reason: String,
}
