//! What people are told.

use uuid::Uuid;

/// What people are told.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Notice {
    /// The same for every attempt, so that who gets it twice can tell.
    pub id: Uuid,
    /// What it is about, such as `alert.firing`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it came about, in seconds since 1970.
    #[serde(skip)]
    pub at_s: i64,
    /// The same, as RFC 3339.
    pub timestamp: String,
    /// One line.
    #[serde(skip)]
    pub title: String,
    /// More lines; each is a name and what it says.
    #[serde(skip)]
    pub lines: Vec<(String, String)>,
    /// All of it, for programs.
    pub data: serde_json::Value,
}

impl Notice {
    /// All of it as text.
    pub fn text(&self) -> String {
        let lines = self.lines.iter().map(|(name, said)| format!("{name}: {said}\n"));
        format!("{}\n\n{}", self.title, lines.collect::<String>())
    }
}
