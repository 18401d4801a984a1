//! The states that examples, runs, model versions and deployments pass through, and which passage is legal.

use crate::spelled_enum;

/// A change of state that the noun does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{noun} cannot go from {from} to {to}")]
pub struct IllegalTransition {
    /// The noun, such as `example`.
    pub noun: &'static str,
    /// The present state.
    pub from: &'static str,
    /// The state asked for.
    pub to: &'static str,
}

spelled_enum! {
    /// Where an example stands.
    ExampleStatus ("example status") {
        /// Made, not looked at.
        Pending = "pending",
        /// Seen by a person, not decided.
        Reviewed = "reviewed",
        /// Allowed into datasets.
        Approved = "approved",
        /// Kept out of datasets, with a reason.
        Rejected = "rejected",
        /// Part of at least one frozen dataset.
        Used = "used",
    }
}

impl ExampleStatus {
    /// Moves to `to`, or says why not: what was used for training stays used or is rejected, never back to pending.
    pub fn transition(self, to: Self) -> Result<Self, IllegalTransition> {
        use ExampleStatus::{Approved, Pending, Rejected, Reviewed, Used};
        let legal = match (self, to) {
            (from, to) if from == to => true,
            (_, Pending) | (Used, Reviewed | Approved) | (Pending | Reviewed | Rejected, Used) => false,
            (_, Reviewed | Approved | Rejected | Used) => true,
        };
        if legal {
            Ok(to)
        } else {
            Err(IllegalTransition {
                noun: "example",
                from: self.as_str(),
                to: to.as_str(),
            })
        }
    }
}

spelled_enum! {
    /// Who decided on an example last.
    DecidedBy ("decider") {
        /// The rules of curation.
        Curation = "curation",
        /// A person, whom curation does not overrule.
        Person = "person",
    }
}

spelled_enum! {
    /// What a person decides on an example.
    ExampleVerdict ("verdict") {
        /// It is right: it goes into datasets, whatever curation said.
        Approve = "approve",
        /// It is kept out of datasets.
        Reject = "reject",
        /// A rejection is undone: it is taken as it is, without anybody saying that its target is right.
        Restore = "restore",
    }
}

spelled_enum! {
    /// Where an example came from.
    ExampleOrigin ("example origin") {
        /// A recorded interaction with its feedback.
        Live = "live",
        /// A file or an API call with ready examples.
        Imported = "imported",
        /// A gold-standard interaction.
        Reference = "reference",
        /// Made by a program.
        Synthetic = "synthetic",
    }
}

spelled_enum! {
    /// A part of a dataset.
    Split ("split") {
        /// Fitted on.
        Train = "train",
        /// For choosing settings; fitted on once they are chosen.
        Validation = "validation",
        /// Held out: the gate compares on it.
        Test = "test",
    }
}

spelled_enum! {
    /// Where a training run stands.
    RunStatus ("run status") {
        /// Waiting for a worker.
        Queued = "queued",
        /// Freezing, training or evaluating.
        Running = "running",
        /// Finished; the decision says whether its version went live.
        Completed = "completed",
        /// Ended with an error; what served before still serves.
        Failed = "failed",
        /// Stopped by hand.
        Cancelled = "cancelled",
    }
}

impl RunStatus {
    /// Moves to `to`, or says why not: what is completed stays so; what failed or was stopped can only be tried again.
    pub fn transition(self, to: Self) -> Result<Self, IllegalTransition> {
        let legal = match (self, to) {
            (Self::Queued | Self::Running, _) | (Self::Failed | Self::Cancelled, Self::Queued) => true,
            (from, to) => from == to,
        };
        if legal {
            Ok(to)
        } else {
            Err(IllegalTransition {
                noun: "run",
                from: self.as_str(),
                to: to.as_str(),
            })
        }
    }

    /// Whether nothing more will happen to the run by itself.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

spelled_enum! {
    /// Where a model version stands.
    Stage ("stage") {
        /// Registered, not serving.
        Candidate = "candidate",
        /// Serving its task.
        Live = "live",
        /// Served before; can be rolled back to.
        Retired = "retired",
        /// Refused by the gate, or rolled back because of what it did on live traffic.
        Refused = "refused",
        /// Old, by the task's rule; rolling back passes over it.
        Deprecated = "deprecated",
    }
}

spelled_enum! {
    /// Why a version came to serve.
    DeploymentKind ("deployment kind") {
        /// The task had no version yet.
        First = "first",
        /// The gate accepted it.
        Gate = "gate",
        /// A person asked for it.
        Manual = "manual",
        /// A person or a rule went back to it.
        Rollback = "rollback",
    }
}

spelled_enum! {
    /// Where a deployment stands.
    DeploymentState ("deployment state") {
        /// Its versions share the task's traffic with the live one, as its plan says.
        Running = "running",
        /// The shares stay as they are, and nothing is decided by itself.
        Paused = "paused",
        /// Its version serves the task.
        Live = "live",
        /// Its version was taken off the task.
        RolledBack = "rolled_back",
        /// Another deployment took its place.
        Superseded = "superseded",
    }
}

spelled_enum! {
    /// What happens to a deployment.
    DeploymentEvent ("deployment event") {
        /// It was asked for.
        Start = "start",
        /// It goes on to its next step.
        Advance = "advance",
        /// A person halts it.
        Pause = "pause",
        /// A person lets it go on.
        Resume = "resume",
        /// Its version serves everything from now on.
        Promote = "promote",
        /// Its version is taken off the task.
        RollBack = "roll_back",
        /// Another deployment takes its place.
        Supersede = "supersede",
    }
}

impl DeploymentState {
    /// The state after an event, or why it cannot happen: what was rolled back or superseded stays so, and what is live can only
    /// be rolled back or superseded.
    pub fn after(self, event: DeploymentEvent) -> Result<Self, IllegalTransition> {
        use DeploymentEvent::{Advance, Pause, Promote, Resume, RollBack, Start, Supersede};
        let to = match event {
            Start | Advance | Resume => Self::Running,
            Pause => Self::Paused,
            Promote => Self::Live,
            RollBack => Self::RolledBack,
            Supersede => Self::Superseded,
        };
        let legal = match self {
            Self::Running => matches!(event, Advance | Pause | Promote | RollBack | Supersede),
            Self::Paused => matches!(event, Resume | Promote | RollBack | Supersede),
            Self::Live => matches!(event, RollBack | Supersede),
            Self::RolledBack | Self::Superseded => false,
        };
        if legal {
            Ok(to)
        } else {
            Err(IllegalTransition {
                noun: "deployment",
                from: self.as_str(),
                to: to.as_str(),
            })
        }
    }

    /// Whether its versions share the task's traffic with the live one.
    pub const fn is_sharing(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_examples_never_become_pending() {
        for &from in ExampleStatus::ALL {
            let back = from.transition(ExampleStatus::Pending);
            assert_eq!(back.is_ok(), from == ExampleStatus::Pending, "{from}");
        }
        assert!(ExampleStatus::Approved.transition(ExampleStatus::Used).is_ok());
        assert!(ExampleStatus::Pending.transition(ExampleStatus::Used).is_err());
    }

    #[test]
    fn a_deployment_ends_live_rolled_back_or_superseded_and_stays_there() {
        let allowed = |from: DeploymentState| {
            let events = DeploymentEvent::ALL.iter();
            let events: Vec<&str> = events
                .filter(|&&event| from.after(event).is_ok())
                .map(|event| event.as_str())
                .collect();
            events.join(" ")
        };
        assert_eq!(
            DeploymentState::ALL
                .iter()
                .map(|&from| allowed(from))
                .collect::<Vec<_>>(),
            [
                "advance pause promote roll_back supersede",
                "resume promote roll_back supersede",
                "roll_back supersede",
                "",
                ""
            ]
        );
        let refused = DeploymentState::RolledBack.after(DeploymentEvent::Promote);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "deployment cannot go from rolled_back to live"
        );
    }

    #[test]
    fn every_spelling_reads_back() {
        for &status in ExampleStatus::ALL {
            assert_eq!(status.as_str().parse::<ExampleStatus>().unwrap(), status);
        }
        let error = "done".parse::<RunStatus>().unwrap_err().to_string();
        assert!(error.contains("completed"), "{error}");
    }
}
