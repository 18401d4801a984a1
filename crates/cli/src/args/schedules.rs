//! What `hone schedule` and `hone report` take.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use hone_domain::{MissedRuns, ScheduledAction};

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// List what runs by the clock, with the time it is due next.
    List,
    /// Make a schedule, or change one: what is left out stays as it is.
    Set {
        /// Its name.
        name: String,
        /// When: five fields, such as "*/30 * * * *".
        #[arg(long)]
        cron: Option<String>,
        /// Time zone of the expression, such as Europe/Berlin.
        #[arg(long)]
        time_zone: Option<String>,
        /// Which step of the loop.
        #[arg(long, value_enum)]
        action: Option<ActionArg>,
        /// What becomes of missed runs.
        #[arg(long, value_enum)]
        missed: Option<MissedArg>,
        /// Only of this task.
        #[arg(long)]
        task: Option<String>,
    },
    /// Let it rest.
    Pause {
        /// Its name.
        name: String,
    },
    /// Let it go on.
    Resume {
        /// Its name.
        name: String,
    },
    /// Start its step now; its next time stays.
    Run {
        /// Its name.
        name: String,
    },
    /// Remove it.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ActionArg {
    /// Look at the triggers of training.
    CheckTriggers,
    /// Curate what is new.
    Curate,
    /// Train where something is new, whatever the triggers say.
    Train,
    /// Write a report that compares versions.
    Report,
    /// Freeze the metrics of what has ended.
    Snapshot,
    /// Look at the rules that alert people.
    CheckAlerts,
    /// Compare requests since the last training with those before it.
    CheckDrift,
    /// Look for what goes wrong again and again.
    Discover,
    /// Curation, triggers and looks at deployments.
    Cycle,
}

impl From<ActionArg> for ScheduledAction {
    fn from(action: ActionArg) -> Self {
        match action {
            ActionArg::CheckTriggers => Self::CheckTriggers,
            ActionArg::Curate => Self::Curate,
            ActionArg::Train => Self::Train,
            ActionArg::Report => Self::Report,
            ActionArg::Snapshot => Self::Snapshot,
            ActionArg::CheckAlerts => Self::CheckAlerts,
            ActionArg::CheckDrift => Self::CheckDrift,
            ActionArg::Discover => Self::Discover,
            ActionArg::Cycle => Self::Cycle,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum MissedArg {
    /// However many were missed, one is made up for.
    RunOnce,
    /// They are left out.
    Skip,
}

impl From<MissedArg> for MissedRuns {
    fn from(missed: MissedArg) -> Self {
        match missed {
            MissedArg::RunOnce => Self::RunOnce,
            MissedArg::Skip => Self::Skip,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// Print the latest report that was written, in place of a new one.
    #[arg(long)]
    pub latest: bool,
    /// Write the report as a page to this file, beside printing it.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}
