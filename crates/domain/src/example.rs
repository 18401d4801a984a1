//! Examples as a client or a file brings them: ready to learn from.

use crate::interaction::{require_name, require_text};
use crate::{ExampleId, InvalidInput, Split, TaskKind};

/// One ready example.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewExample {
    /// Given by the client to make adding safe to repeat; made by Hone otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub id: Option<ExampleId>,
    /// What is asked.
    pub input: String,
    /// The right label, for a `classify` task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The right answer, for a `generate` task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How much it counts; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// The conversation it belongs to; never divided between the parts of a dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The part of datasets it must belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

impl NewExample {
    /// Checks every field against the kind of task that is to learn from it.
    pub fn validate(&self, kind: TaskKind) -> Result<(), InvalidInput> {
        require_text("/input", &self.input)?;
        if self.input.trim().is_empty() {
            return Err(InvalidInput::field(
                "/input",
                "is empty; give the text that is asked",
            ));
        }
        match kind {
            TaskKind::Classify if self.label.is_none() => {
                return Err(InvalidInput::field(
                    "/label",
                    "is missing; an example of a classify task needs a label",
                ));
            }
            TaskKind::Generate if self.target.is_none() => {
                return Err(InvalidInput::field(
                    "/target",
                    "is missing; an example of a generate task needs a target",
                ));
            }
            TaskKind::Classify | TaskKind::Generate => {}
        }
        if let Some(target) = &self.target {
            require_text("/target", target)?;
        }
        for (pointer, name) in [("/label", &self.label), ("/conversation", &self.conversation)] {
            if let Some(name) = name {
                require_name(pointer, name)?;
            }
        }
        if self
            .weight
            .is_some_and(|weight| !(weight > 0.0 && weight <= 1_000.0))
        {
            return Err(InvalidInput::field(
                "/weight",
                "give a number above 0 and up to 1000",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_field() {
        let good = NewExample {
            input: "where is my card".to_owned(),
            label: Some("card".to_owned()),
            ..NewExample::default()
        };
        good.validate(TaskKind::Classify).unwrap();
        let refused = |example: NewExample, kind| example.validate(kind).unwrap_err().0[0].pointer.clone();
        let changed = |change: fn(&mut NewExample)| {
            let mut example = good.clone();
            change(&mut example);
            example
        };
        assert_eq!(refused(good.clone(), TaskKind::Generate), "/target");
        for (example, pointer) in [
            (changed(|example| example.label = None), "/label"),
            (
                changed(|example| example.label = Some("a\0b".to_owned())),
                "/label",
            ),
            (changed(|example| example.input.push('\0')), "/input"),
            (changed(|example| " ".clone_into(&mut example.input)), "/input"),
            (changed(|example| example.weight = Some(-1.0)), "/weight"),
            (changed(|example| example.weight = Some(f64::NAN)), "/weight"),
            (
                changed(|example| example.conversation = Some(" ".to_owned())),
                "/conversation",
            ),
        ] {
            assert_eq!(refused(example, TaskKind::Classify), pointer);
        }
    }
}
