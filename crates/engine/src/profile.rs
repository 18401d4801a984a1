//! How a person likes answers: what was set by hand, and what their edits and ratings show.

use hone_domain::{AnswerLength, DetailLevel, FeedbackKind, Profile, ProjectId, SubjectId};
use hone_storage::profiles::{self, Said};

use crate::{Engine, EngineError};

/// What a person said that is looked at, the latest.
const LATEST: i64 = 50;
/// Answers a person likes before anything is learned of them.
const MIN_LIKED: usize = 3;
/// Words up to which an answer is short, and from which it is long.
const SHORT_WORDS: usize = 60;
const LONG_WORDS: usize = 200;
/// Sentences up to which an answer is brief, and from which it is thorough.
const BRIEF_SENTENCES: usize = 3;
const THOROUGH_SENTENCES: usize = 10;

/// A person's profile with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonProfile {
    /// What counts: what was set by hand, and for the rest what was learned.
    pub profile: Profile,
    /// What was set by hand.
    pub edited: Profile,
    /// What was learned.
    pub learned: Profile,
    /// Answers that the person likes, from which it was learned.
    pub liked: usize,
}

impl Engine {
    /// The profile of a person.
    pub async fn profile(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<PersonProfile, EngineError> {
        let mut conn = self.db.read().await?;
        let edited = profiles::find(&mut conn, project, subject)
            .await?
            .unwrap_or_default();
        let said = profiles::list_said(&mut conn, project, subject, LATEST).await?;
        let (learned, liked) = learn(&said);
        Ok(PersonProfile {
            profile: edited.clone().or(learned.clone()),
            edited,
            learned,
            liked,
        })
    }

    /// Sets a person's profile by hand; fields that it leaves open are learned.
    pub async fn set_profile(
        &self,
        project: ProjectId,
        subject: SubjectId,
        profile: &Profile,
    ) -> Result<(), EngineError> {
        profile.validate()?;
        let mut conn = self.db.begin().await?;
        profiles::upsert(&mut conn, project, subject, profile, self.ids.now_us()).await?;
        conn.commit().await?;
        Ok(())
    }

    /// Forgets what was set by hand; what is learned stays as long as what it is learned from.
    pub async fn forget_profile(&self, project: ProjectId, subject: SubjectId) -> Result<(), EngineError> {
        let mut conn = self.db.begin().await?;
        profiles::delete(&mut conn, project, subject).await?;
        conn.commit().await?;
        Ok(())
    }
}

/// What the answers have in common that a person likes: their own edits, and answers rated 4 and up or with a thumb up.
fn learn(said: &[Said]) -> (Profile, usize) {
    let liked: Vec<&str> = said
        .iter()
        .filter_map(|said| match said.kind {
            FeedbackKind::Correction => said.text.0.as_deref(),
            FeedbackKind::Rating if said.value >= Some(4.0) => said.output.0.as_deref(),
            FeedbackKind::Thumb if said.value > Some(0.5) => said.output.0.as_deref(),
            _ => None,
        })
        .collect();
    if liked.len() < MIN_LIKED {
        return (Profile::default(), liked.len());
    }
    let words = median(&liked, |text| text.split_whitespace().count());
    let sentences = median(&liked, count_sentences);
    let lists = liked.iter().filter(|text| is_list(text)).count();
    let profile = Profile {
        style: Some(if lists * 2 > liked.len() { "lists" } else { "prose" }.to_owned()),
        length: Some(match words {
            ..=SHORT_WORDS => AnswerLength::Short,
            LONG_WORDS.. => AnswerLength::Long,
            _ => AnswerLength::Medium,
        }),
        detail: Some(match sentences {
            ..=BRIEF_SENTENCES => DetailLevel::Brief,
            THOROUGH_SENTENCES.. => DetailLevel::Thorough,
            _ => DetailLevel::Normal,
        }),
    };
    (profile, liked.len())
}

fn median(texts: &[&str], measure: impl Fn(&str) -> usize) -> usize {
    let mut measured: Vec<usize> = texts.iter().map(|text| measure(text)).collect();
    measured.sort_unstable();
    measured[measured.len() / 2]
}

/// Sentences and items of lists.
fn count_sentences(text: &str) -> usize {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let ends = |line: &str| line.matches(['.', '!', '?', '。', '！', '？']).count().max(1);
    lines.map(ends).sum()
}

/// Whether most of its lines are items.
fn is_list(text: &str) -> bool {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let is_item = |line: &&&str| {
        line.starts_with(['-', '*', '•'])
            || line.split_once(['.', ')']).is_some_and(|(number, _)| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            })
    };
    lines.len() > 1 && lines.iter().filter(is_item).count() * 2 > lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_storage::OptionalText;

    fn said(kind: FeedbackKind, value: Option<f64>, text: Option<&str>, output: &str) -> Said {
        Said {
            kind,
            value,
            text: OptionalText(text.map(str::to_owned)),
            output: OptionalText(Some(output.to_owned())),
        }
    }

    #[test]
    fn edits_and_ratings_show_what_a_person_likes() {
        let long = "word ".repeat(300);
        let edit = said(
            FeedbackKind::Correction,
            None,
            Some("- one\n- two\n- three"),
            &long,
        );
        let liked = said(FeedbackKind::Rating, Some(5.0), None, "1. a\n2. b");
        let disliked = said(FeedbackKind::Rating, Some(1.0), None, &long);
        let few = learn(&[edit.clone(), liked.clone(), disliked.clone()]);
        assert_eq!(few, (Profile::default(), 2), "too little to learn from");
        let (profile, count) = learn(&[edit.clone(), edit, liked, disliked]);
        assert_eq!(count, 3);
        assert_eq!(
            (profile.style.as_deref(), profile.length, profile.detail),
            (Some("lists"), Some(AnswerLength::Short), Some(DetailLevel::Brief))
        );
        let wordy = said(
            FeedbackKind::Thumb,
            Some(1.0),
            None,
            &"A sentence here. ".repeat(100),
        );
        let (profile, _) = learn(&[wordy.clone(), wordy.clone(), wordy]);
        assert_eq!(
            (profile.length, profile.detail),
            (Some(AnswerLength::Long), Some(DetailLevel::Thorough))
        );
    }
}
