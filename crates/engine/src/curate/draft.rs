//! An example before it has a status: what an interaction, a file or a person says, and how two of them compare.

use hone_domain::{
    CurationStep, DecidedBy, ExampleId, ExampleOrigin, ExampleStatus, FeedbackSource, Split, TaskKind,
};
use hone_storage::examples::Example;
use hone_storage::interactions::Interaction;
use uuid::Uuid;

/// What became of an example: taken, or kept out of datasets for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// Taken.
    Approved(Uuid),
    /// Kept, but out of datasets, for this reason.
    Rejected(Uuid, Rejection),
}

/// Why an example is kept out of datasets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The step of curation that rejected it.
    pub step: CurationStep,
    /// Why, in words.
    pub reason: String,
}

impl Rejection {
    pub(crate) fn new(step: CurationStep, reason: impl Into<String>) -> Self {
        Self {
            step,
            reason: reason.into(),
        }
    }
}

impl Placed {
    /// What became of an example when it was placed earlier.
    pub(crate) fn of(example: &Example) -> Self {
        match example.status {
            ExampleStatus::Rejected => {
                let step = example.step.as_deref().and_then(|step| step.parse().ok());
                let step = step.unwrap_or(CurationStep::Selection);
                Self::Rejected(example.id, Rejection::new(step, example.reason.clone()))
            }
            _ => Self::Approved(example.id),
        }
    }
}

/// An example before it has a status.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub id: Option<ExampleId>,
    pub interaction_id: Option<Uuid>,
    pub conversation_id: Option<Uuid>,
    pub subject_id: Option<Uuid>,
    pub input: String,
    pub label: Option<String>,
    pub target: Option<String>,
    pub weight: f64,
    pub is_validated: bool,
    /// Whose word it rests on, where anybody's.
    pub source: Option<FeedbackSource>,
    /// How good what people said makes it, with the word for it.
    pub standing: (&'static str, f64),
    pub decided_by: DecidedBy,
    pub judged_at_us: i64,
    pub origin: ExampleOrigin,
    pub split: Option<Split>,
    pub language: Option<String>,
    pub near_group: Option<Uuid>,
    pub near_bands: Option<Vec<u8>>,
    pub reason: String,
}

impl Draft {
    /// What an interaction gives whatever is said of it.
    pub fn of(interaction: &Interaction) -> Self {
        Self {
            id: None,
            interaction_id: Some(interaction.id),
            conversation_id: interaction.conversation_id,
            subject_id: interaction.subject_id,
            input: interaction.input.0.clone(),
            label: None,
            target: None,
            weight: 1.0,
            is_validated: false,
            source: None,
            standing: ("unjudged", 0.5),
            decided_by: DecidedBy::Curation,
            judged_at_us: interaction.created_at_us,
            origin: if interaction.is_reference {
                ExampleOrigin::Reference
            } else {
                ExampleOrigin::Live
            },
            split: None,
            language: interaction.language.clone(),
            near_group: None,
            near_bands: None,
            reason: String::new(),
        }
    }

    /// An example that is there, to be placed again.
    pub fn again(example: &Example) -> Self {
        let source = example.source.as_deref().and_then(|source| source.parse().ok());
        Self {
            id: None,
            interaction_id: example.interaction_id,
            conversation_id: example.conversation_id,
            subject_id: example.subject_id,
            input: example.input.0.clone(),
            label: example.label.clone(),
            target: example.target.0.clone(),
            weight: example.weight,
            is_validated: example.is_validated,
            source,
            standing: standing_of(example.origin, example.is_validated),
            decided_by: example.decided_by,
            judged_at_us: example.judged_at_us,
            origin: example.origin,
            split: None,
            language: example.language.clone(),
            near_group: None,
            near_bands: None,
            reason: format!("{} example", example.origin),
        }
    }

    /// Whether another thing would be learned than from another example.
    pub fn differs(&self, kind: TaskKind, other: &Example) -> bool {
        match kind {
            TaskKind::Classify => self.label != other.label,
            TaskKind::Generate => self.target != other.target.0,
        }
    }

    /// Whether it takes the place of an example with the same text: a person's word goes before none, and between two
    /// words of the same standing that differ the later one.
    pub fn outranks(&self, kind: TaskKind, twin: &Example) -> bool {
        if self.is_validated != twin.is_validated {
            return self.is_validated;
        }
        if (self.decided_by == DecidedBy::Person) != (twin.decided_by == DecidedBy::Person) {
            return self.decided_by == DecidedBy::Person;
        }
        self.differs(kind, twin) && self.judged_at_us >= twin.judged_at_us
    }
}

/// How good an example is that no feedback judged.
pub(crate) fn standing_of(origin: ExampleOrigin, is_validated: bool) -> (&'static str, f64) {
    match (origin, is_validated) {
        (_, true) => ("validated", 1.0),
        (ExampleOrigin::Imported, false) => ("imported", 0.9),
        (_, false) => ("unjudged", 0.5),
    }
}
