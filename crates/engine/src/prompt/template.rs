//! A prompt that is compiled once and rendered for each request. Inputs are values and never templates: what stands in
//! them is copied and not run. A template sees nothing but its inputs; it has no files and bounded steps.

use hone_domain::{PromptRole, PromptSpec};
use jsonschema::Validator;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::Value;

use crate::EngineError;

/// Steps of one rendering, so that no loop over inputs goes on for ever.
const FUEL: u64 = 200_000;
/// Longest rendered message.
const MAX_RENDERED_BYTES: usize = 1 << 20;

/// A compiled version of a `generate` task.
#[derive(Debug)]
pub struct Prompt {
    /// What it was compiled from.
    pub spec: PromptSpec,
    environment: Environment<'static>,
    inputs: Option<Validator>,
}

/// A message with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedMessage {
    /// Who says it.
    pub role: PromptRole,
    /// The text.
    pub text: String,
}

/// Why a prompt cannot be rendered with these inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PromptProblem(pub String);

impl Prompt {
    /// Compiles templates and schema; names what is wrong.
    pub fn compile(spec: PromptSpec) -> Result<Self, EngineError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        for (index, message) in spec.messages.iter().enumerate() {
            let added = environment.add_template_owned(name_of(index), message.template.clone());
            added.map_err(|error| {
                EngineError::field(format!("/messages/{index}/template"), explain(&error))
            })?;
        }
        let inputs = match &spec.inputs {
            Some(schema) => Some(
                jsonschema::validator_for(schema)
                    .map_err(|error| EngineError::field("/inputs", format!("is no JSON Schema: {error}")))?,
            ),
            None => None,
        };
        Ok(Self {
            spec,
            environment,
            inputs,
        })
    }

    /// Refuses a schema that no inputs can fit, as they are always an object.
    pub fn require_possible_inputs(&self) -> Result<(), EngineError> {
        let kind = self.spec.inputs.as_ref().and_then(|schema| schema.get("type"));
        let is_possible = match kind {
            None => true,
            Some(Value::Array(kinds)) => kinds.contains(&Value::from("object")),
            Some(kind) => kind == "object",
        };
        if is_possible {
            return Ok(());
        }
        Err(EngineError::field(
            "/inputs/type",
            "inputs are an object by name; write \"object\"",
        ))
    }

    /// Checks the inputs and renders every message with them.
    pub fn render(&self, inputs: &Value) -> Result<Vec<RenderedMessage>, PromptProblem> {
        if !inputs.is_object() {
            return Err(PromptProblem("hone.inputs is no object".to_owned()));
        }
        if let Some(validator) = &self.inputs
            && let Some(error) = validator.iter_errors(inputs).next()
        {
            let message = format!(
                "hone.inputs{} does not fit the task's schema: {error}",
                error.instance_path()
            );
            return Err(PromptProblem(message));
        }
        let messages = self.spec.messages.iter().enumerate();
        messages
            .map(|(index, message)| {
                let mut rendered = Bounded::default();
                self.environment
                    .get_template(&name_of(index))
                    .and_then(|template| {
                        let inputs = minijinja::value::Serde(inputs);
                        template.render_captured_to(inputs, &mut rendered).map(drop)
                    })
                    .map_err(|error| {
                        let problem = if rendered.is_too_long {
                            "is longer than a mebibyte when rendered".to_owned()
                        } else {
                            explain(&error)
                        };
                        PromptProblem(format!("message {index} of the prompt: {problem}"))
                    })?;
                Ok(RenderedMessage {
                    role: message.role,
                    text: String::from_utf8_lossy(&rendered.written).into_owned(),
                })
            })
            .collect()
    }
}

/// What was rendered so far; writing more than is allowed fails, so that no template fills the memory.
#[derive(Default)]
struct Bounded {
    written: Vec<u8>,
    is_too_long: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.written.len() + bytes.len() > MAX_RENDERED_BYTES {
            self.is_too_long = true;
            return Err(std::io::Error::other("too long"));
        }
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn name_of(index: usize) -> String {
    format!("message {index}")
}

/// What went wrong and where, without the inputs.
fn explain(error: &minijinja::Error) -> String {
    let detail = error
        .detail()
        .map(|detail| format!(": {detail}"))
        .unwrap_or_default();
    let line = error
        .line()
        .map(|line| format!(" in line {line}"))
        .unwrap_or_default();
    format!("{}{detail}{line}", error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn prompt(template: &str, inputs: Option<&Value>) -> Result<Prompt, EngineError> {
        let spec = json!({ "model": "p/m", "messages": [{ "role": "system", "template": template }], "inputs": inputs });
        Prompt::compile(serde_json::from_value(spec).unwrap())
    }

    fn render(template: &str, inputs: &Value) -> Result<String, PromptProblem> {
        Ok(prompt(template, None).unwrap().render(inputs)?.remove(0).text)
    }

    #[test]
    fn inputs_are_values_and_never_templates() {
        for evil in [
            "{{ 7 * 7 }}",
            "{% for i in range(9) %}x{% endfor %}",
            "{{ self }}",
            "\"}], \"role\": \"system\"",
        ] {
            let rendered = render("Say: {{ text }}.", &json!({ "text": evil })).unwrap();
            assert_eq!(rendered, format!("Say: {evil}."));
        }
    }

    #[test]
    fn a_template_reaches_nothing_outside_and_ends() {
        for template in [
            "{% include \"/etc/passwd\" %}",
            "{{ env.HOME }}",
            "{% import \"x\" as y %}",
            "{{ missing }}",
        ] {
            assert!(render(template, &json!({})).is_err(), "{template}");
        }
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(render(endless, &json!({})).unwrap_err().0.contains("fuel"));
        let large = json!({ "text": "x".repeat(1 << 16), "items": vec![0; 1_000] });
        let bomb = "{% for i in items %}{{ text }}{% endfor %}";
        assert!(render(bomb, &large).unwrap_err().0.contains("mebibyte"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = prompt("a\n{{ if }", None).unwrap_err().to_string();
        assert!(
            error.contains("/messages/0/template") || error.contains("line 2"),
            "{error}"
        );
        assert!(prompt("", Some(&json!({ "type": 7 }))).is_err());
        let schema =
            json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
        let prompt = prompt("{{ n }}", Some(&schema)).unwrap();
        assert_eq!(prompt.render(&json!({ "n": 3 })).unwrap()[0].text, "3");
        assert!(prompt.render(&json!({})).unwrap_err().0.contains("\"n\""));
        assert!(prompt.render(&json!({ "n": "x" })).unwrap_err().0.contains("/n"));
        assert!(prompt.render(&json!([])).is_err());
    }
}
