//! What `hone metrics`, `hone snapshot` and `hone alerts` take.

use clap::Subcommand;
use hone_domain::{AlertState, Dimension, Grain, Period, RouteKind, Severity, SnapshotPeriod};

#[derive(Debug, clap::Args)]
pub(crate) struct MetricsArgs {
    /// Only of this task.
    pub task: Option<String>,
    /// A period up to now: hour, day, week, month or all.
    #[arg(long, default_value = "day", value_name = "PERIOD")]
    pub period: Period,
    /// Length of the trend's points: minute, hour or day; what suits the period when absent.
    #[arg(long, value_name = "GRAIN")]
    pub grain: Option<Grain>,
    /// Break the whole down by version, `action_type`, label or source.
    #[arg(long, value_name = "DIMENSION")]
    pub by: Option<Dimension>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SnapshotArgs {
    /// The task.
    pub task: String,
    /// Which period: hourly, daily, weekly or monthly.
    #[arg(long, default_value = "daily", value_name = "PERIOD")]
    pub period: SnapshotPeriod,
    /// List the snapshots of such periods in place of taking one.
    #[arg(long)]
    pub list: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// List alerts, latest first.
    List {
        /// Only those that stand here: pending, firing, resolved or noted.
        #[arg(long, value_name = "STATE")]
        state: Option<AlertState>,
    },
    /// Look at the rules now.
    Check,
    /// List, set and remove rules.
    #[command(subcommand)]
    Rule(RuleCommand),
    /// List, set, try and remove the ways in which people are told.
    #[command(subcommand)]
    Route(RouteCommand),
    /// Let nobody be told of some alerts for a while.
    Silence {
        /// How long, in minutes.
        minutes: i64,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
        /// Only of this rule.
        #[arg(long)]
        rule: Option<String>,
        /// Only of this task.
        #[arg(long)]
        task: Option<String>,
    },
    /// List what people were told.
    Log,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// List the rules: the shipped ones and your own.
    List,
    /// Set a rule as JSON, such as `{"metric":"error_rate","above":0.1,"window_minutes":15}`.
    Set {
        /// Its name; one of a shipped rule replaces that.
        name: String,
        /// What it says.
        rule: String,
    },
    /// Remove a rule; a shipped one is as it was shipped again.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// List the routes.
    List,
    /// Make a route, or change one: what is left out stays as it is.
    Set {
        /// Its name.
        name: String,
        /// How: email, webhook or slack.
        #[arg(long, value_name = "KIND")]
        kind: Option<RouteKind>,
        /// The e-mail address or the URL.
        #[arg(long)]
        target: Option<String>,
        /// Only of alerts that are at least so bad: info, warning or critical.
        #[arg(long, value_name = "SEVERITY")]
        min_severity: Option<Severity>,
        /// Whether it is used.
        #[arg(long)]
        enabled: Option<bool>,
    },
    /// Send a message that tries it, and wait for what becomes of it.
    Test {
        /// Its name.
        name: String,
    },
    /// Show the key that a webhook's signatures are checked with.
    Key {
        /// Its name.
        name: String,
    },
    /// Remove it.
    Remove {
        /// Its name.
        name: String,
    },
}
