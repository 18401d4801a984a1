//! Indicators: what the counts of a stretch of time say, as one number each.

use super::{Measure, Sums};
use crate::{Direction, spelled_enum};

spelled_enum! {
    /// A number that is derived from counts and sums.
    Indicator ("indicator") {
        /// Interactions.
        Interactions = "interactions",
        /// Interactions by minute.
        Throughput = "throughput_per_minute",
        /// Share of the judged answers (thumbs, corrections of labels and texts) that were right.
        Correctness = "correctness",
        /// Share of thumbs that are up.
        ApprovalRate = "approval_rate",
        /// Mean rating, 1 to 5.
        Rating = "rating",
        /// Share of interactions whose answer somebody corrected.
        CorrectionRate = "correction_rate",
        /// Share of interactions that were handed to a person.
        EscalationRate = "escalation_rate",
        /// Share of interactions in which the model did not answer because it was not sure.
        AbstentionRate = "abstention_rate",
        /// Share of interactions that did not fail.
        SuccessRate = "success_rate",
        /// Share of interactions that failed.
        ErrorRate = "error_rate",
        /// Mean confidence.
        Confidence = "confidence",
        /// Mean time to answer, in milliseconds.
        Latency = "latency_ms",
        /// Median time to answer, in milliseconds.
        LatencyP50 = "latency_p50_ms",
        /// Time that 95 % of the answers do not exceed, in milliseconds.
        LatencyP95 = "latency_p95_ms",
        /// Tokens, in and out.
        Tokens = "tokens",
        /// Mean tokens of an interaction, in and out.
        TokensPerInteraction = "tokens_per_interaction",
        /// Cost, in USD.
        Cost = "cost_usd",
        /// Mean cost of an interaction that has one, in USD.
        CostPerInteraction = "cost_per_interaction_usd",
        /// Pieces of feedback by interaction.
        FeedbackRate = "feedback_rate",
        /// Share of the answers of which somebody said whether they were used that were.
        UsageRate = "usage_rate",
        /// Share of the answers of which somebody said whether they helped that did.
        HelpfulRate = "helpful_rate",
        /// Interactions in a conversation.
        TurnsPerConversation = "turns_per_conversation",
    }
}

impl Indicator {
    /// Its value; absent where nothing was counted that it is of. `minutes` is the length of the stretch of time.
    pub fn of(self, sums: &Sums, minutes: f64) -> Option<f64> {
        let (part, whole) = match self {
            Self::Interactions => return Some(sums.get(Measure::Interactions) as f64),
            Self::Tokens => return Some(tokens(sums)),
            Self::Cost => return Some(sums.get(Measure::CostMicroUsd) as f64 / 1e6),
            Self::Throughput => {
                return (minutes > 0.0).then(|| sums.get(Measure::Interactions) as f64 / minutes);
            }
            Self::LatencyP50 => return sums.latency_quantile_us(0.50).map(|us| us / 1e3),
            Self::LatencyP95 => return sums.latency_quantile_us(0.95).map(|us| us / 1e3),
            Self::TokensPerInteraction => (tokens(sums), sums.get(Measure::Interactions)),
            Self::SuccessRate => {
                let whole = sums.get(Measure::Interactions);
                ((whole - sums.get(Measure::Errors)) as f64, whole)
            }
            Self::Latency => (
                sums.get(Measure::LatencyUs) as f64 / 1e3,
                sums.get(Measure::Timed),
            ),
            Self::Confidence => (
                sums.get(Measure::ConfidenceMicro) as f64 / 1e6,
                sums.get(Measure::Confident),
            ),
            Self::Rating => (
                sums.get(Measure::RatingMicro) as f64 / 1e6,
                sums.get(Measure::Ratings),
            ),
            Self::CostPerInteraction => (
                sums.get(Measure::CostMicroUsd) as f64 / 1e6,
                sums.get(Measure::Priced),
            ),
            Self::Correctness => share(sums, Measure::Correct, Measure::Judged),
            Self::ApprovalRate => share(sums, Measure::ThumbsUp, Measure::Thumbs),
            Self::CorrectionRate => share(sums, Measure::Corrected, Measure::Interactions),
            Self::EscalationRate => share(sums, Measure::Escalated, Measure::Interactions),
            Self::AbstentionRate => share(sums, Measure::Abstained, Measure::Interactions),
            Self::ErrorRate => share(sums, Measure::Errors, Measure::Interactions),
            Self::FeedbackRate => share(sums, Measure::Feedback, Measure::Interactions),
            Self::UsageRate => share(sums, Measure::Used, Measure::UsedSaid),
            Self::HelpfulRate => share(sums, Measure::Helpful, Measure::HelpfulSaid),
            Self::TurnsPerConversation => share(sums, Measure::Turns, Measure::Conversations),
        };
        (whole > 0).then(|| part / whole as f64)
    }

    /// How many outcomes it is of: the number that a rule asks for before it looks at the value.
    pub const fn outcomes(self, sums: &Sums) -> i64 {
        let measure = match self {
            Self::Correctness => Measure::Judged,
            Self::ApprovalRate => Measure::Thumbs,
            Self::Rating => Measure::Ratings,
            Self::Confidence => Measure::Confident,
            Self::Latency | Self::LatencyP50 | Self::LatencyP95 => Measure::Timed,
            Self::CostPerInteraction => Measure::Priced,
            Self::UsageRate => Measure::UsedSaid,
            Self::HelpfulRate => Measure::HelpfulSaid,
            Self::TurnsPerConversation => Measure::Conversations,
            _ => Measure::Interactions,
        };
        sums.get(measure)
    }

    /// Which way is better; absent where neither is.
    pub const fn direction(self) -> Option<Direction> {
        match self {
            Self::Correctness
            | Self::ApprovalRate
            | Self::Rating
            | Self::SuccessRate
            | Self::Confidence
            | Self::UsageRate
            | Self::HelpfulRate => Some(Direction::Higher),
            Self::CorrectionRate
            | Self::EscalationRate
            | Self::AbstentionRate
            | Self::ErrorRate
            | Self::Latency
            | Self::LatencyP50
            | Self::LatencyP95
            | Self::Cost
            | Self::CostPerInteraction
            | Self::TokensPerInteraction => Some(Direction::Lower),
            Self::Interactions
            | Self::Throughput
            | Self::Tokens
            | Self::FeedbackRate
            | Self::TurnsPerConversation => None,
        }
    }
}

fn tokens(sums: &Sums) -> f64 {
    (sums.get(Measure::TokensInput) + sums.get(Measure::TokensOutput)) as f64
}

const fn share(sums: &Sums, part: Measure, whole: Measure) -> (f64, i64) {
    (sums.get(part) as f64, sums.get(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indicator_of_nothing_is_absent_and_counts_are_zero() {
        let sums = Sums::default();
        assert_eq!(Indicator::Correctness.of(&sums, 60.0), None);
        assert_eq!(Indicator::LatencyP95.of(&sums, 60.0), None);
        assert_eq!(Indicator::Interactions.of(&sums, 60.0), Some(0.0));
        assert_eq!(Indicator::Throughput.of(&sums, 60.0), Some(0.0));
    }

    #[test]
    fn rates_are_of_what_they_are_a_share_of() {
        let mut sums = Sums::default();
        for (measure, amount) in [
            (Measure::Interactions, 200),
            (Measure::Errors, 4),
            (Measure::Judged, 40),
            (Measure::Correct, 30),
            (Measure::Corrected, 10),
            (Measure::Ratings, 2),
            (Measure::RatingMicro, 9_000_000),
        ] {
            sums.add(measure, amount);
        }
        let of = |indicator: Indicator| indicator.of(&sums, 10.0).unwrap();
        assert_eq!(of(Indicator::Correctness), 0.75);
        assert_eq!(of(Indicator::CorrectionRate), 0.05);
        assert_eq!(of(Indicator::SuccessRate), 0.98);
        assert_eq!(of(Indicator::Rating), 4.5);
        assert_eq!(of(Indicator::Throughput), 20.0);
        assert_eq!(Indicator::Correctness.outcomes(&sums), 40);
    }
}
