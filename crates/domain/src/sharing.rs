//! How the traffic of a task is divided between the live version and new ones: which version a unit of traffic gets.

use uuid::Uuid;

use crate::{DeploymentId, Identity, Metric, TrafficUnit};

/// A version's share of a task's traffic.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ArmShare {
    /// The version.
    pub version_id: Uuid,
    /// Its share, 0 to 1.
    pub share: f64,
}

/// How a deployment shares a task's traffic; what every server routes by.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sharing {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// Its present step.
    pub step: i64,
    /// Whether its versions only answer beside the live one.
    pub is_shadow: bool,
    /// What always gets the same version.
    pub unit: TrafficUnit,
    /// What is measured.
    pub metrics: Vec<Metric>,
    /// Its versions with their shares; what they leave is the live version's.
    pub arms: Vec<ArmShare>,
}

/// What a request says by which traffic can be divided.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrafficKey<'a> {
    /// The client's name for the conversation.
    pub conversation: Option<&'a str>,
    /// The client's id for the person.
    pub subject: Option<&'a str>,
}

impl<'a> TrafficKey<'a> {
    /// Of what a request says of its conversation and of the person.
    pub fn new(conversation: Option<&'a str>, subject: Option<&'a Identity>) -> Self {
        Self {
            conversation,
            subject: subject.map(|subject| subject.user_id.as_str()),
        }
    }

    /// The unit that the request belongs to, as a hash that only means something within the deployment; `None` where the request
    /// is a unit of its own.
    pub fn unit(&self, deployment: DeploymentId, kind: TrafficUnit) -> Option<Uuid> {
        let (mark, name) = match (kind, self.conversation, self.subject) {
            (TrafficUnit::Conversation, Some(conversation), _) => (b'c', conversation),
            (TrafficUnit::Conversation | TrafficUnit::Subject, _, Some(subject)) => (b's', subject),
            _ => return None,
        };
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(deployment.0.as_bytes())
            .update(&[mark])
            .update(name.as_bytes());
        let mut unit = [0; 16];
        hasher.finalize_xof().fill(&mut unit);
        Some(Uuid::from_bytes(unit))
    }
}

impl Sharing {
    /// The arm that a unit gets: its number, or `None` for the live version. An arm whose share grows keeps the units it has, and one
    /// that is dropped leaves its units to the live version and the others as they are. Only a bandit gives an arm so much that the
    /// others have to move.
    pub fn arm_of(&self, unit: Uuid) -> Option<usize> {
        let point = point(unit);
        let slot = 1.0 / self.arms.len().max(1) as f64;
        if self.arms.iter().all(|arm| arm.share <= slot) {
            let number = ((point / slot) as usize).min(self.arms.len().checked_sub(1)?);
            let is_taken = point - number as f64 * slot < self.arms[number].share;
            return is_taken.then_some(number);
        }
        let mut end = 0.0;
        self.arms.iter().position(|arm| {
            end += arm.share;
            point < end
        })
    }
}

/// Where a unit lies in [0, 1).
fn point(unit: Uuid) -> f64 {
    // The first bytes of an id that was made from the clock are alike; the last ones never are.
    let (_, last) = unit.as_u64_pair();
    (last.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sharing(shares: &[f64]) -> Sharing {
        Sharing {
            deployment_id: DeploymentId(Uuid::from_u128(7)),
            step: 0,
            is_shadow: false,
            unit: TrafficUnit::Conversation,
            metrics: Vec::new(),
            arms: shares
                .iter()
                .enumerate()
                .map(|(number, &share)| ArmShare {
                    version_id: Uuid::from_u128(number as u128),
                    share,
                })
                .collect(),
        }
    }

    fn unit(number: usize, deployment: u128) -> Uuid {
        let name = format!("conversation {number}");
        let key = TrafficKey {
            conversation: Some(&name),
            subject: Some("ann"),
        };
        let deployment = DeploymentId(Uuid::from_u128(deployment));
        key.unit(deployment, TrafficUnit::Conversation).unwrap()
    }

    #[test]
    fn arms_get_their_shares_and_keep_what_they_have_when_they_grow() {
        let (small, large) = (sharing(&[0.05]), sharing(&[0.25]));
        let mut counts = (0, 0);
        for number in 0..20_000 {
            let unit = unit(number, 7);
            let (before, after) = (small.arm_of(unit), large.arm_of(unit));
            assert!(before.is_none() || after == before, "a growing arm lost a unit");
            counts.0 += usize::from(before.is_some());
            counts.1 += usize::from(after.is_some());
        }
        assert!((900..1_100).contains(&counts.0), "{counts:?}");
        assert!((4_850..5_150).contains(&counts.1), "{counts:?}");
    }

    #[test]
    fn a_dropped_arm_leaves_the_others_as_they_are() {
        let (both, one) = (sharing(&[0.25, 0.25]), sharing(&[0.0, 0.25]));
        for number in 0..5_000 {
            let unit = unit(number, 7);
            let before = both.arm_of(unit).filter(|&arm| arm == 1);
            assert_eq!(one.arm_of(unit), before);
        }
    }

    #[test]
    fn each_deployment_divides_anew_and_ids_from_the_clock_divide_evenly() {
        let half = sharing(&[0.3, 0.2]);
        let both = (0..20_000).filter(|&number| {
            half.arm_of(unit(number, 7)).is_some() && half.arm_of(unit(number, 8)).is_some()
        });
        let both = both.count();
        assert!((4_750..5_250).contains(&both), "{both} of 20000");
        let ids = crate::Ids::new(
            std::sync::Arc::new(crate::ManualClock::at(0)),
            std::sync::Arc::new(crate::SeededEntropy::new(3)),
        );
        let mut counts = [0; 3];
        for _ in 0..20_000 {
            let request: crate::InteractionId = ids.next();
            counts[half.arm_of(request.0).unwrap_or(2)] += 1;
        }
        assert!(
            (5_800..6_200).contains(&counts[0]) && (3_800..4_200).contains(&counts[1]),
            "{counts:?}"
        );
    }

    #[test]
    fn what_a_request_does_not_say_makes_it_a_unit_of_its_own() {
        let key = TrafficKey {
            conversation: None,
            subject: Some("ann"),
        };
        let deployment = DeploymentId(Uuid::nil());
        assert_eq!(
            key.unit(deployment, TrafficUnit::Conversation),
            key.unit(deployment, TrafficUnit::Subject)
        );
        assert_eq!(key.unit(deployment, TrafficUnit::Request), None);
        assert_eq!(TrafficKey::default().unit(deployment, TrafficUnit::Subject), None);
    }
}
