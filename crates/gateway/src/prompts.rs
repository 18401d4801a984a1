//! Prompt generation: from a person's input, a target tool, a language and a use case to a structured prompt and what the
//! task's model makes of it, with the person's profile applied.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hone_domain::{Identity, Profile, PromptSpec, TaskKind, TrafficKey};
use hone_engine::Prompt;
use http::{HeaderMap, Response};
use serde_json::json;
use tokio::time::Instant;

use crate::Gateway;
use crate::body::Fields;
use crate::context::{Prepared, RequestContext};
use crate::endpoint::Endpoint;
use crate::gateway::GatewayCaller;
use crate::prompting::Rendered;
use crate::proxy::{AskedRequest, unavailable};
use crate::refusal::{Refusal, RefusalKind};
use crate::shadow::Question;
use crate::stream::ReplyBody;

/// What a person wants a prompt for.
#[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct PromptRequest {
    /// Name of the generate task.
    pub task: String,
    /// What the person wants, in their words.
    pub input: String,
    /// The tool that the prompt is for.
    #[serde(default)]
    pub target_tool: Option<String>,
    /// Language of the answer (BCP 47).
    #[serde(default)]
    pub language: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub use_case: Option<String>,
    /// The person, whose profile is applied.
    #[serde(default, deserialize_with = "hone_domain::optional_object")]
    pub subject: Option<Identity>,
    /// The client's name for the session.
    #[serde(default)]
    pub conversation: Option<String>,
    /// Whether the person has opted out of being recorded.
    #[serde(default)]
    pub opted_out: bool,
}

/// What a prompt was made of, and the answer to it.
#[derive(Debug)]
pub struct GeneratedPrompt {
    /// The prompt that was sent.
    pub structured_prompt: String,
    /// The profile that was applied.
    pub profile: Profile,
    /// The model's reply, good or bad.
    pub response: Response<ReplyBody>,
}

/// The prompt of tasks that have no version of their own.
static DEFAULT: LazyLock<Option<Arc<Prompt>>> = LazyLock::new(|| {
    let spec: PromptSpec = serde_json::from_str(include_str!("prompt.json")).ok()?;
    Prompt::compile(spec).ok().map(Arc::new)
});

impl Gateway {
    /// Makes a structured prompt, asks the task's model with it, and records both.
    pub async fn generate_prompt(
        &self,
        caller: &GatewayCaller,
        request: PromptRequest,
    ) -> Result<GeneratedPrompt, Refusal> {
        let started = Instant::now();
        check(&request)?;
        let project = caller.project();
        let task = self.named_task(project, &request.task).await?;
        if task.kind != TaskKind::Generate {
            let message = format!(
                "task \"{}\" labels texts; prompts take a task of kind generate",
                task.name
            );
            return Err(Refusal::new(RefusalKind::Invalid, message));
        }
        let profile = match &request.subject {
            Some(subject) => {
                let subject = caller.privacy.subject(project, &subject.user_id);
                let known = self.engine().profile(project, subject).await;
                known.map_err(|error| unavailable(&error))?.profile
            }
            None => Profile::default(),
        };
        let key = TrafficKey::new(request.conversation.as_deref(), request.subject.as_ref());
        let routed = self.engine().route(&task, &key).ok();
        let own = routed
            .as_ref()
            .and_then(|routed| routed.served.model.prompt().cloned());
        let routed = routed.filter(|_| own.is_some());
        let model = own.as_ref().map(|prompt| prompt.spec.model.clone());
        let Some(prompt) = own.or_else(|| DEFAULT.clone()) else {
            return Err(Refusal::new(
                RefusalKind::Internal,
                "the built-in prompt cannot be read",
            ));
        };
        let inputs = json!({
            "input": request.input, "target_tool": request.target_tool, "language": request.language,
            "use_case": request.use_case,
            "profile": { "style": profile.style, "length": profile.length, "detail": profile.detail },
        });
        let rendered = Rendered::new(&prompt, Some(inputs.clone()))?;
        let near = self.examples_for(&task, &prompt, &request.input).await;
        let bare = Bytes::from(json!({ "model": format!("task:{}", task.name) }).to_string());
        let fields = Fields::read(&bare)?;
        let body = fields.write(&rendered.changes(Endpoint::ChatCompletions, &fields, &prompt, &near)?);
        let structured_prompt = rendered.as_text();
        let shadow = match &routed {
            Some(routed) => {
                let asked = Question {
                    endpoint: Endpoint::ChatCompletions,
                    fields: &fields,
                    original: &bare,
                    inputs: Some(inputs),
                    text: &request.input,
                };
                self.shadow_request(&task, routed, asked).await
            }
            None => None,
        };
        let context = RequestContext {
            conversation: request.conversation,
            subject: request.subject,
            target_tool: request.target_tool,
            language: request.language,
            tags: request
                .use_case
                .map(|use_case| format!("use_case:{use_case}"))
                .into_iter()
                .collect(),
            is_opted_out: request.opted_out,
            prepared: Some(Prepared {
                question: request.input,
                prompt: structured_prompt.clone(),
                routed,
                shadow,
                model,
            }),
            ..RequestContext::default()
        };
        let asked = AskedRequest {
            endpoint: Endpoint::ChatCompletions,
            headers: &HeaderMap::new(),
            body: &body,
            fields: &Fields::read(&body)?,
            started,
        };
        let response = self.answer_in(caller, &asked, context).await?;
        Ok(GeneratedPrompt {
            structured_prompt,
            profile,
            response,
        })
    }
}

/// Checks what goes into records.
fn check(request: &PromptRequest) -> Result<(), Refusal> {
    let invalid = |error: hone_domain::InvalidInput| Refusal::new(RefusalKind::Invalid, error.to_string());
    let new = hone_domain::NewInteraction {
        task: request.task.clone(),
        input: request.input.clone(),
        target_tool: request.target_tool.clone(),
        language: request.language.clone(),
        conversation: request.conversation.clone(),
        subject: request.subject.clone(),
        tags: request.use_case.clone().into_iter().collect(),
        ..hone_domain::NewInteraction::default()
    };
    new.validate(i64::MAX / 2).map_err(invalid)
}
