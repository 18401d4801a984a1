//! What an API key may do.

use std::collections::BTreeSet;

use crate::{UnknownVariant, spelled_enum};

spelled_enum! {
    /// One permission of an API key.
    Scope ("scope") {
        /// Record interactions, feedback and references.
        Record = "record",
        /// Ask for predictions.
        Predict = "predict",
        /// Read everything of the project.
        Read = "read",
        /// Look at what waits in the review queue and answer it: the role of a reviewer.
        Review = "review",
        /// Decide over reviewers and on examples, and put things into the queue: the role of an editor.
        Edit = "edit",
        /// Start jobs, manage examples, datasets and deployments.
        Operate = "operate",
        /// Manage tasks and keys.
        Admin = "admin",
    }
}

/// The permissions of a key, stored as a comma-separated list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScopeSet(BTreeSet<Scope>);

impl ScopeSet {
    /// Every permission.
    pub fn all() -> Self {
        Self(Scope::ALL.iter().copied().collect())
    }

    /// Whether the permission is held. `admin` holds every other, `operate` what editors may, and these what reviewers may.
    pub fn allows(&self, scope: Scope) -> bool {
        let held_by: &[Scope] = match scope {
            Scope::Review => &[Scope::Review, Scope::Edit, Scope::Operate],
            Scope::Edit => &[Scope::Edit, Scope::Operate],
            _ => std::slice::from_ref(&scope),
        };
        self.0.contains(&Scope::Admin) || held_by.iter().any(|scope| self.0.contains(scope))
    }

    /// The permissions in order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl std::fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|scope| scope.as_str()).collect();
        f.write_str(&names.join(","))
    }
}

impl std::str::FromStr for ScopeSet {
    type Err = UnknownVariant;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::parse)
            .collect()
    }
}

impl TryFrom<String> for ScopeSet {
    type Error = UnknownVariant;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}
