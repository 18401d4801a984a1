//! What is recorded of a task's requests, and when relative to the reply.

use super::refuse;
use crate::{InvalidInput, spelled_enum};

spelled_enum! {
    /// What is recorded.
    RecordingContent ("recording content") {
        /// Texts and everything else.
        Everything = "everything",
        /// Everything but texts: models, tokens, latencies, cost, status.
        Metadata = "metadata",
        /// Nothing.
        Nothing = "nothing",
    }
}

spelled_enum! {
    /// When the gateway records relative to its reply.
    RecordingMoment ("recording moment") {
        /// At once after the reply, which does not wait. A crash loses at most what was replied within 20 ms.
        AfterReply = "after_reply",
        /// Before the reply ends: a crash loses nothing that was answered.
        BeforeReply = "before_reply",
    }
}

/// What is recorded of a task's requests, and when.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingPolicy {
    /// What is recorded of a request.
    pub content: RecordingContent,
    /// Share of requests that are recorded so, 0 to 1.
    pub share: f64,
    /// What is recorded of the rest.
    pub rest: RecordingContent,
    /// What is recorded when the subject has opted out.
    pub opted_out: RecordingContent,
    /// When the gateway records.
    pub moment: RecordingMoment,
}

impl Default for RecordingPolicy {
    fn default() -> Self {
        Self {
            content: RecordingContent::Everything,
            share: 1.0,
            rest: RecordingContent::Metadata,
            opted_out: RecordingContent::Nothing,
            moment: RecordingMoment::AfterReply,
        }
    }
}

impl RecordingPolicy {
    /// What to record of one request; `draw` is uniform in [0, 1).
    pub fn content_of(&self, is_opted_out: bool, draw: f64) -> RecordingContent {
        if is_opted_out {
            self.opted_out
        } else if draw < self.share {
            self.content
        } else {
            self.rest
        }
    }

    pub(super) fn validate(&self) -> Result<(), InvalidInput> {
        if !(0.0..=1.0).contains(&self.share) {
            return refuse("/policy/recording/share", "give a number from 0 to 1");
        }
        if self.opted_out == RecordingContent::Everything {
            return refuse(
                "/policy/recording/opted_out",
                "texts of subjects who opted out are not recorded; give nothing or metadata",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opting_out_beats_every_share() {
        let policy = RecordingPolicy::default();
        assert_eq!(policy.content_of(true, 0.0), RecordingContent::Nothing);
        assert_eq!(policy.content_of(false, 0.99), RecordingContent::Everything);
        let sampled = RecordingPolicy { share: 0.1, ..policy };
        assert_eq!(sampled.content_of(false, 0.5), RecordingContent::Metadata);
    }
}
