//! What runs by the clock: which step of the loop, and what becomes of runs that were missed.

use crate::spelled_enum;

spelled_enum! {
    /// A step of the loop that runs by the clock.
    ScheduledAction ("scheduled action") {
        /// Looks at the triggers of training, joins early feedback, fills the review queue.
        CheckTriggers = "check_triggers",
        /// Curates what is new.
        Curate = "curate",
        /// Trains tasks for which something is new, whatever their triggers say.
        Train = "train",
        /// Measures what serves and what served before, and writes a report that compares them.
        Report = "report",
        /// Freezes the metrics of hours, days, weeks and months that have ended, and forgets counts that are too old.
        Snapshot = "snapshot",
        /// Looks at the rules that alert people, of all tasks.
        CheckAlerts = "check_alerts",
        /// Compares requests since the last training with those before it.
        CheckDrift = "check_drift",
        /// Looks for what goes wrong again and again, and for what people ask about.
        Discover = "discover",
        /// Curation, triggers and looks at deployments, one after the other.
        Cycle = "cycle",
    }
}

spelled_enum! {
    /// What becomes of runs that nobody was there to start.
    MissedRuns ("rule for missed runs") {
        /// However many were missed, one is made up for.
        RunOnce = "run_once",
        /// They are left out; the next one is at its time.
        Skip = "skip",
    }
}
