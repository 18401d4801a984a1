//! The counts and sums that are kept of a stretch of time. All are whole numbers, so that adding them up in any order gives the
//! same; fractions are kept in millionths.

use std::ops::AddAssign;

/// Upper ends of the buckets that latencies are counted in, in microseconds; the last bucket has none.
pub const LATENCY_BUCKETS_US: [i64; 15] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
    10_000_000, 20_000_000, 60_000_000,
];

macro_rules! measures {
    ($($(#[$meta:meta])* $name:ident = $column:literal),+ $(,)?) => {
        /// One of the counts and sums.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Measure { $($(#[$meta])* $name),+ }

        impl Measure {
            /// How many there are.
            pub const COUNT: usize = Self::COLUMNS.len();
            /// Their names in the database, in order.
            pub const COLUMNS: &'static [&'static str] = &[$($column),+];
        }
    };
}

measures! {
    /// Interactions.
    Interactions = "interactions",
    /// Interactions that failed.
    Errors = "errors",
    /// Interactions that were handed to a person.
    Escalated = "escalated",
    /// Interactions in which the model did not answer because it was not sure.
    Abstained = "abstained",
    /// Interactions whose client went away.
    Cancelled = "cancelled",
    /// Interactions with a confidence.
    Confident = "confident",
    /// Sum of confidences, in millionths.
    ConfidenceMicro = "confidence_micro",
    /// Interactions with a latency that did not fail.
    Timed = "timed",
    /// Sum of their latencies, in microseconds.
    LatencyUs = "latency_us",
    /// Tokens that went in.
    TokensInput = "tokens_input",
    /// Tokens that came out.
    TokensOutput = "tokens_output",
    /// Interactions with a cost.
    Priced = "priced",
    /// Sum of costs, in millionths of a USD.
    CostMicroUsd = "cost_micro_usd",
    /// Conversations that began.
    Conversations = "conversations",
    /// Interactions that belong to a conversation.
    Turns = "turns",
    /// Pieces of feedback.
    Feedback = "feedback",
    /// Feedback that says whether an answer was right.
    Judged = "judged",
    /// Of that, feedback that says it was.
    Correct = "correct",
    /// Corrections that say that the answer was wrong.
    Corrected = "corrected",
    /// Thumbs.
    Thumbs = "thumbs",
    /// Of those, up.
    ThumbsUp = "thumbs_up",
    /// Ratings.
    Ratings = "ratings",
    /// Sum of ratings, in millionths.
    RatingMicro = "rating_micro",
    /// Feedback that says whether an answer was used.
    UsedSaid = "used_said",
    /// Of that, feedback that says it was.
    Used = "used",
    /// Feedback that says whether an answer helped.
    HelpfulSaid = "helpful_said",
    /// Of that, feedback that says it did.
    Helpful = "helpful",
    /// Latencies in the first bucket; those of the other buckets follow.
    Latency0 = "latency_0",
    /// Second bucket.
    Latency1 = "latency_1",
    /// Third bucket.
    Latency2 = "latency_2",
    /// Fourth bucket.
    Latency3 = "latency_3",
    /// Fifth bucket.
    Latency4 = "latency_4",
    /// Sixth bucket.
    Latency5 = "latency_5",
    /// Seventh bucket.
    Latency6 = "latency_6",
    /// Eighth bucket.
    Latency7 = "latency_7",
    /// Ninth bucket.
    Latency8 = "latency_8",
    /// Tenth bucket.
    Latency9 = "latency_9",
    /// Eleventh bucket.
    Latency10 = "latency_10",
    /// Twelfth bucket.
    Latency11 = "latency_11",
    /// Thirteenth bucket.
    Latency12 = "latency_12",
    /// Fourteenth bucket.
    Latency13 = "latency_13",
    /// Fifteenth bucket.
    Latency14 = "latency_14",
    /// Last bucket.
    Latency15 = "latency_15",
}

/// All counts and sums of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums(pub [i64; Measure::COUNT]);

impl Default for Sums {
    fn default() -> Self {
        Self([0; Measure::COUNT])
    }
}

impl Sums {
    /// One of them.
    pub const fn get(&self, measure: Measure) -> i64 {
        self.0[measure as usize]
    }

    /// Adds to one of them.
    pub const fn add(&mut self, measure: Measure, amount: i64) {
        let place = &mut self.0[measure as usize];
        *place = place.saturating_add(amount);
    }

    /// Adds a latency, in microseconds.
    pub fn add_latency(&mut self, latency_us: i64) {
        self.add(Measure::Timed, 1);
        self.add(Measure::LatencyUs, latency_us);
        let bucket = LATENCY_BUCKETS_US.partition_point(|&end_us| end_us < latency_us);
        let place = &mut self.0[Measure::Latency0 as usize + bucket];
        *place = place.saturating_add(1);
    }

    /// The latency, in microseconds, that this share of the latencies does not exceed; absent without latencies. Within a bucket it
    /// is interpolated, so that it is off by less than the bucket is wide.
    pub fn latency_quantile_us(&self, share: f64) -> Option<f64> {
        let counts = &self.0[Measure::Latency0 as usize..];
        let total: i64 = counts.iter().sum();
        if total == 0 {
            return None;
        }
        let wanted = share * total as f64;
        let mut below = 0.0;
        for (bucket, &count) in counts.iter().enumerate() {
            let count = count as f64;
            if count > 0.0 && below + count >= wanted {
                let start_us = if bucket == 0 {
                    0
                } else {
                    LATENCY_BUCKETS_US[bucket - 1]
                };
                // Of the open last bucket only its start is known.
                let end_us = LATENCY_BUCKETS_US.get(bucket).copied().unwrap_or(start_us);
                let within = (wanted - below) / count;
                return Some(start_us as f64 + within * (end_us - start_us) as f64);
            }
            below += count;
        }
        None
    }
}

impl AddAssign<&Self> for Sums {
    fn add_assign(&mut self, other: &Self) {
        for (place, amount) in self.0.iter_mut().zip(other.0) {
            *place = place.saturating_add(amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_column_for_each_bucket() {
        assert_eq!(
            Measure::COUNT - Measure::Latency0 as usize,
            LATENCY_BUCKETS_US.len() + 1
        );
    }

    #[test]
    fn quantiles_lie_in_the_bucket_of_the_latency() {
        let mut sums = Sums::default();
        assert_eq!(sums.latency_quantile_us(0.5), None);
        for _ in 0..95 {
            sums.add_latency(3_000);
        }
        for _ in 0..5 {
            sums.add_latency(90_000_000);
        }
        let median_us = sums.latency_quantile_us(0.5).unwrap();
        assert!((2_000.0..=5_000.0).contains(&median_us), "{median_us}");
        assert_eq!(sums.latency_quantile_us(0.95), Some(5_000.0));
        assert_eq!(sums.latency_quantile_us(0.99), Some(60_000_000.0));
        assert_eq!(sums.get(Measure::Timed), 100);
    }
}
