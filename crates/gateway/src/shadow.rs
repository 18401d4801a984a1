//! Asking a shadow: once the live answer is known, a new version is asked the same in the background. Its answer is compared and
//! kept, and nobody sees it.

use std::sync::Arc;

use bytes::Bytes;
use hone_domain::GatewayPolicy;
use hone_engine::{Exposed, LiveAnswer, Routed, ShadowAnswer};
use hone_storage::tasks::Task;
use http::HeaderMap;
use tokio::time::Instant;
use uuid::Uuid;

use crate::Gateway;
use crate::body::{FieldChange, Fields};
use crate::call::{Answered, Call, Reply};
use crate::context::RequestContext;
use crate::endpoint::Endpoint;
use crate::gateway::GatewayCaller;
use crate::limits::Admission;
use crate::prompting::{OURS, Rendered};
use crate::proxy::{AskedRequest, forwarded};
use crate::refusal::Refusal;
use crate::route::Candidate;
use crate::secret::Secret;

/// What a shadow is to be asked: the client's request as its version makes it.
#[derive(Debug, Clone)]
pub(crate) struct ShadowRequest {
    pub version: Uuid,
    /// The model of the version.
    pub model: String,
    pub original: Bytes,
    pub changes: Vec<FieldChange>,
}

/// A request to a shadow with all that it takes to ask.
pub(crate) struct ShadowCall {
    pub request: ShadowRequest,
    pub endpoint: Endpoint,
    pub asked_model: String,
    pub candidates: Vec<Candidate>,
    pub forwarded: HeaderMap,
    pub key: Option<Secret>,
    pub policy: GatewayPolicy,
    /// What its tokens and its cost count against.
    pub admission: Admission,
}

/// A question for which a version makes its own request.
pub(crate) struct Question<'a> {
    pub endpoint: Endpoint,
    pub fields: &'a Fields<'a>,
    pub original: &'a Bytes,
    /// Inputs of the prompt.
    pub inputs: Option<serde_json::Value>,
    /// What is asked, as text.
    pub text: &'a str,
}

impl Gateway {
    /// What a request's shadow is to be asked, where it has one that can be asked.
    pub(crate) async fn shadow_request(
        &self,
        task: &Task,
        routed: &Routed,
        asked: Question<'_>,
    ) -> Option<ShadowRequest> {
        let shadow = routed.shadow.as_ref()?;
        let prompt = shadow.model.prompt()?;
        let near = self.examples_for(task, prompt, asked.text).await;
        let made = Rendered::new(prompt, asked.inputs)
            .and_then(|rendered| rendered.changes(asked.endpoint, asked.fields, prompt, &near));
        let mut changes = made.inspect_err(|refusal| not_asked(task, refusal)).ok()?;
        if asked.fields.get(OURS).is_some() {
            changes.push((OURS.into(), None));
        }
        Some(ShadowRequest {
            version: shadow.version.id,
            model: prompt.spec.model.clone(),
            original: asked.original.clone(),
            changes,
        })
    }

    /// A shadow with all that it takes to ask it; none where its model is not known or limits do not allow it.
    pub(crate) async fn shadow_call(
        &self,
        caller: &GatewayCaller,
        task: &Arc<Task>,
        asked: &AskedRequest<'_>,
        asked_model: &str,
        context: &RequestContext,
        request: Option<ShadowRequest>,
    ) -> Option<ShadowCall> {
        let mut request = request?;
        let (project, endpoint) = (caller.project(), asked.endpoint);
        let model = Some(request.model.as_str());
        let candidates = self
            .candidates(project, endpoint, asked_model, task, model, context)
            .await
            .inspect_err(|refusal| not_asked(task, refusal))
            .ok()?;
        let admission = self.admit(caller, task).await.ok()?;
        request.changes.extend(context.changes.iter().cloned());
        Some(ShadowCall {
            request,
            endpoint,
            asked_model: asked_model.to_owned(),
            candidates,
            forwarded: forwarded(asked.headers),
            key: context.provider_key.clone(),
            policy: task.policy.gateway.clone(),
            admission,
        })
    }
}

fn not_asked(task: &Task, refusal: &Refusal) {
    tracing::warn!(task = task.name, refusal.message, "a shadow cannot be asked");
}

impl ShadowCall {
    /// Asks in the background, then keeps what was said beside the live answer.
    pub fn start(self, gateway: &Gateway, exposed: Exposed, live: LiveAnswer) {
        let owner = gateway.clone();
        gateway.tracker().spawn(async move {
            let answer = self.ask(&owner).await;
            if let Err(error) = owner.engine().record_shadow(&live, &exposed, answer).await {
                tracing::error!(%error, "the answer of a shadow is not recorded");
            }
        });
    }

    async fn ask(mut self, gateway: &Gateway) -> ShadowAnswer {
        let mut answer = ShadowAnswer {
            version: self.request.version,
            ..ShadowAnswer::default()
        };
        self.request.changes.push(("stream".into(), None));
        self.request.changes.push(("stream_options".into(), None));
        let Ok(fields) = Fields::read(&self.request.original) else {
            return answer;
        };
        let started = Instant::now();
        let call = Call {
            endpoint: self.endpoint,
            fields: &fields,
            original: &self.request.original,
            changes: self.request.changes,
            asked_model: &self.asked_model,
            is_streamed: false,
            may_count_tokens: false,
            forwarded: self.forwarded,
            candidates: &self.candidates,
            key: self.key,
            policy: &self.policy,
            max_reply_bytes: gateway.settings().max_reply_bytes,
            started,
        };
        let answered = call.answer(&gateway.engine().ids).await;
        answer.latency_ms = Some(started.elapsed().as_secs_f64() * 1e3);
        let Ok(Answered {
            candidate,
            reply: Reply::Whole { status, observed, .. },
            ..
        }) = answered
        else {
            return answer;
        };
        let model = observed.model.as_deref().unwrap_or(&candidate.model);
        let cost = gateway
            .prices()
            .cost_micro_usd_of(&candidate, model, &observed.usage);
        answer.cost_micro_usd = cost.map(|micro_usd| micro_usd.round() as i64);
        let tokens = observed.usage.input.unwrap_or(0) + observed.usage.output.unwrap_or(0);
        gateway.limits().settle(
            &self.admission,
            i64::from(tokens),
            answer.cost_micro_usd.unwrap_or_default(),
        );
        answer.is_ok = status.is_success();
        answer.output = observed.output;
        answer
    }
}
