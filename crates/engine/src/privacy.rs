//! What a project does for the privacy of those whose words it records: pseudonyms of its subjects, and what becomes of
//! personal data. Recording applies it before anything is stored; curation applies a task's own rule to what is learned.

use std::sync::Arc;

use hone_domain::{
    InvalidInput, JsonText, NewFeedback, PersonalHandling, PersonalRule, Preference, ProjectId,
    ProjectPrivacy, SubjectId,
};
use hone_storage::conversations;
use hone_storage::projects::{self, Project};
use hone_text::{PersonalKind, Pseudonyms, find_personal, pseudonymise, redact};
use serde_json::Value;

use crate::{Engine, EngineError};

/// A project's pseudonyms and its rule for personal data.
#[derive(Debug, Clone)]
pub struct Privacy {
    pseudonym_key: [u8; 32],
    cleaner: PersonalCleaner,
}

impl Privacy {
    /// Of a project as it is stored.
    pub fn of(project: &Project) -> Self {
        let key = project.pseudonym_key();
        let rule = project.privacy.clone().unwrap_or_default().personal_data;
        Self {
            pseudonym_key: key,
            cleaner: PersonalCleaner::new(&rule, key),
        }
    }

    /// The pseudonym of a person.
    pub fn subject(&self, project: ProjectId, user_id: &str) -> SubjectId {
        SubjectId::derive(project, &self.pseudonym_key, user_id)
    }

    /// A text as it is stored.
    pub fn as_recorded(&self, text: &str) -> String {
        let mut recorded = text.to_owned();
        self.cleaner.clean(&mut recorded);
        recorded
    }

    /// What becomes of personal data before anything is stored.
    pub(crate) fn cleaner(&self) -> &PersonalCleaner {
        &self.cleaner
    }

    /// The rule of a task's curation, with this project's pseudonyms.
    pub(crate) fn cleaner_of(&self, rule: &PersonalRule) -> PersonalCleaner {
        PersonalCleaner::new(rule, self.pseudonym_key)
    }
}

/// Replaces personal data by a rule.
#[derive(Debug, Clone)]
pub(crate) struct PersonalCleaner {
    handling: PersonalHandling,
    kinds: Vec<PersonalKind>,
    pseudonyms: Pseudonyms,
}

impl PersonalCleaner {
    fn new(rule: &PersonalRule, key: [u8; 32]) -> Self {
        let is_kept = |kind: &PersonalKind| rule.kept_kinds.iter().any(|kept| kept == kind.name());
        Self {
            handling: rule.handling,
            kinds: PersonalKind::ALL
                .into_iter()
                .filter(|kind| !is_kept(kind))
                .collect(),
            pseudonyms: Pseudonyms::new(key),
        }
    }

    pub fn handling(&self) -> PersonalHandling {
        self.handling
    }

    /// The kinds of personal data in a text that do not stay, each once.
    pub fn kinds_in(&self, text: &str) -> Vec<PersonalKind> {
        let mut kinds: Vec<PersonalKind> = find_personal(text)
            .into_iter()
            .map(|finding| finding.kind)
            .filter(|kind| self.kinds.contains(kind))
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Whether texts are changed at all.
    pub fn changes(&self) -> bool {
        matches!(
            self.handling,
            PersonalHandling::Redact | PersonalHandling::Pseudonymise
        )
    }

    /// Replaces what is personal in a text; whether there was anything.
    pub fn clean(&self, text: &mut String) -> bool {
        let cleaned = match self.handling {
            PersonalHandling::Keep | PersonalHandling::Reject => None,
            PersonalHandling::Redact => redact(text, &self.kinds),
            PersonalHandling::Pseudonymise => pseudonymise(text, &self.kinds, &self.pseudonyms),
        };
        let Some(cleaned) = cleaned else { return false };
        *text = cleaned;
        true
    }

    pub fn clean_option(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.clean(text);
        }
    }

    /// Replaces what is personal in the texts of a JSON document, the names of its fields and its numbers; one without any
    /// stays as it came.
    pub fn clean_json(&self, document: &mut Option<JsonText>) {
        if !self.changes() {
            return;
        }
        if let Some(text) = document
            && let Ok(mut value) = serde_json::from_str::<Value>(text.as_str())
            && self.clean_value(&mut value)
        {
            *document = JsonText::parse(value.to_string());
        }
    }

    /// Whether anything was replaced.
    fn clean_value(&self, value: &mut Value) -> bool {
        match value {
            Value::Null | Value::Bool(_) => false,
            Value::Number(number) => {
                let mut text = number.to_string();
                let changed = self.clean(&mut text);
                if changed {
                    *value = Value::String(text);
                }
                changed
            }
            Value::String(text) => self.clean(text),
            Value::Array(items) => items
                .iter_mut()
                .fold(false, |changed, item| self.clean_value(item) | changed),
            Value::Object(fields) => {
                let mut changed = false;
                let cleaned = std::mem::take(fields).into_iter().map(|(mut name, mut value)| {
                    changed |= self.clean(&mut name) | self.clean_value(&mut value);
                    (name, value)
                });
                *fields = cleaned.collect();
                changed
            }
        }
    }

    /// Replaces what is personal in the words of feedback.
    pub fn clean_feedback(&self, feedback: &mut NewFeedback) {
        if !self.changes() {
            return;
        }
        for text in [&mut feedback.text, &mut feedback.label, &mut feedback.name] {
            self.clean_option(text);
        }
        if let Some(Preference { chosen, rejected }) = &mut feedback.preference {
            self.clean(chosen);
            self.clean(rejected);
        }
    }
}

/// Refuses kinds that are none.
pub(crate) fn check_rule(pointer: &str, rule: &PersonalRule) -> Result<(), InvalidInput> {
    let is_known = |name: &String| PersonalKind::ALL.iter().any(|kind| kind.name() == name);
    match rule.kept_kinds.iter().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => {
            let known = PersonalKind::ALL.map(PersonalKind::name).join(", ");
            let detail = format!("\"{name}\" is no kind of personal data; there are {known}");
            Err(InvalidInput::field(format!("{pointer}/kept_kinds"), detail))
        }
    }
}

impl Engine {
    /// What a project does for privacy; remembered for half a second.
    pub async fn privacy(&self, project: ProjectId) -> Result<Arc<Privacy>, EngineError> {
        if let Some(privacy) = self.privacies().get(&project) {
            return Ok(privacy);
        }
        let stored = projects::get(&mut self.db.read().await?, project).await?;
        let privacy = Arc::new(Privacy::of(&stored));
        self.privacies().insert(project, privacy.clone());
        Ok(privacy)
    }

    /// Notes that nothing of a person may be learned from any more, or that it may again. What is frozen stays frozen.
    pub async fn set_opted_out(
        &self,
        project: ProjectId,
        user_id: &str,
        opted_out: bool,
    ) -> Result<(), EngineError> {
        let subject = self.privacy(project).await?.subject(project, user_id);
        let mut conn = self.db.begin().await?;
        conversations::set_opted_out(&mut conn, project, subject, opted_out, self.ids.now_us()).await?;
        conn.commit().await?;
        Ok(())
    }

    /// Replaces what a project does for privacy; every server follows within a second. What is stored stays as it is.
    pub async fn set_privacy(&self, project: ProjectId, privacy: &ProjectPrivacy) -> Result<(), EngineError> {
        privacy.validate()?;
        check_rule("/personal_data", &privacy.personal_data)?;
        let mut conn = self.db.begin().await?;
        projects::set_privacy(&mut conn, project, privacy).await?;
        conn.commit().await?;
        self.privacies().invalidate(&project);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaner(handling: PersonalHandling, kept: &[&str]) -> PersonalCleaner {
        let rule = PersonalRule {
            handling,
            kept_kinds: kept.iter().map(|&kind| kind.to_owned()).collect(),
        };
        PersonalCleaner::new(&rule, [7; 32])
    }

    #[test]
    fn json_is_cleaned_in_texts_names_and_numbers_and_else_left_as_it_came() {
        let redacting = cleaner(PersonalHandling::Redact, &["url"]);
        let cleaned = |text: &str| {
            let mut document = JsonText::parse(text.to_owned());
            redacting.clean_json(&mut document);
            document.unwrap().into_string()
        };
        assert_eq!(
            cleaned(
                r#"{"messages":[{"content":"mail ann@example.com, see https://a.example/b"}],"bob@example.com":4111111111111111}"#
            ),
            r#"{"[EMAIL]":"[CARD]","messages":[{"content":"mail [EMAIL], see https://a.example/b"}]}"#
        );
        let harmless = r#"{ "z": 1.50, "a": "none" }"#;
        assert_eq!(cleaned(harmless), harmless);
    }

    #[test]
    fn unknown_kinds_are_refused_by_name() {
        let rule = PersonalRule {
            kept_kinds: vec!["e-mail".to_owned()],
            ..PersonalRule::default()
        };
        let error = check_rule("/personal_data", &rule).unwrap_err();
        assert_eq!(error.0[0].pointer, "/personal_data/kept_kinds");
        assert!(error.0[0].detail.contains("email"));
    }
}
