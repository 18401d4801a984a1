//! Profiles of persons over HTTP.

pub(crate) mod forget;
pub(crate) mod set;
pub(crate) mod show;

use hone_domain::{Profile, SubjectId};
use hone_engine::PersonProfile;

use crate::auth::Caller;
use crate::{AppState, Problem};

/// How a person likes answers, and where that is known from.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ProfileBody {
    /// What counts.
    profile: Profile,
    /// What was set by hand.
    edited: Profile,
    /// What was learned from edits and ratings.
    learned: Profile,
    /// Answers that the person likes, from which it was learned; at least three are needed.
    liked: usize,
}

impl From<PersonProfile> for ProfileBody {
    fn from(person: PersonProfile) -> Self {
        let PersonProfile {
            profile,
            edited,
            learned,
            liked,
        } = person;
        Self {
            profile,
            edited,
            learned,
            liked,
        }
    }
}

/// The pseudonym of the person that the client calls so.
async fn subject_of(state: &AppState, caller: &Caller, user_id: &str) -> Result<SubjectId, Problem> {
    let privacy = state.engine.privacy(caller.project).await?;
    Ok(privacy.subject(caller.project, user_id))
}
