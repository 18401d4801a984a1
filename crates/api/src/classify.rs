//! `POST /v1/classify`: label, probability, alternatives, abstention; one text or many.

use axum::Json;
use axum::extract::State;
use hone_domain::{
    Identity, InteractionId, InteractionStatus, NewInteraction, Scope, TrafficKey, require_text,
};
use hone_engine::{Answer, AnsweredBy, RecordBatch, RecordOutcome, Routed, ShadowAnswer};
use hone_storage::interactions;
use hone_storage::tasks::Task;

use crate::auth::Caller;
use crate::body::JsonBody;
use crate::interactions::record::id_is_taken;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

/// Texts of one request.
const MAX_TEXTS: usize = 1_000;

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClassifyRequest {
    /// Name of the task.
    task: String,
    /// One text; give this or `texts`.
    text: Option<String>,
    /// Up to 1,000 texts.
    texts: Option<Vec<String>>,
    /// Whether to record the predictions as interactions; the task's policy decides when absent.
    record: Option<bool>,
    /// The client's name for the conversation.
    conversation: Option<String>,
    /// The person the text is about.
    #[serde(default, deserialize_with = "hone_domain::optional_object")]
    subject: Option<Identity>,
}

#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct ClassifyResponse {
    /// The version that answered.
    model_version: String,
    /// One prediction a text, in order.
    predictions: Vec<PredictionBody>,
}

#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct PredictionBody {
    /// The most probable label; absent when the model abstains.
    label: Option<String>,
    /// Calibrated probability of the most probable label, 0 to 1.
    probability: f64,
    /// Whether the probability is below the task's threshold.
    abstained: bool,
    /// The most probable labels, most probable first.
    alternatives: Vec<AlternativeBody>,
    /// Give this with feedback; absent when the prediction was not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction_id: Option<uuid::Uuid>,
}

#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct AlternativeBody {
    label: String,
    probability: f64,
}

/// Classify one text, or up to 1,000
#[utoipa::path(post, path = "/v1/classify", tag = "predict", security(("key" = [])), request_body = ClassifyRequest,
    responses(
        (status = 200, body = ClassifyResponse),
        (status = 409, description = "the task has no model yet", body = ProblemBody),
        (status = 422, description = "a field cannot be taken", body = ProblemBody),
    ))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    key: IdempotencyKey,
    JsonBody(request): JsonBody<ClassifyRequest>,
) -> Result<Json<ClassifyResponse>, Problem> {
    caller.require(Scope::Predict)?;
    let task = state.engine.get_task(caller.project, &request.task).await?;
    let texts: Vec<&str> = match (&request.text, &request.texts) {
        (Some(text), None) => vec![text],
        (None, Some(texts)) => texts.iter().map(String::as_str).collect(),
        _ => return Err(Problem::field("/text", "give either text or texts")),
    };
    check_texts(&texts, request.text.is_some())?;
    let key_of_traffic = TrafficKey::new(request.conversation.as_deref(), request.subject.as_ref());
    let routed = state.engine.route(&task, &key_of_traffic)?;
    let answers = state.engine.predict_many(&task, &routed.served, &texts).await?;
    let shadows = state.engine.shadow_many(&task, &routed, &texts).await;
    let ids = if request.record.unwrap_or(task.policy.prediction.record) {
        record(
            &caller,
            &state,
            &task,
            &routed,
            &request,
            &key,
            texts.iter().zip(&answers).zip(shadows),
        )
        .await?
        .into_iter()
        .map(Some)
        .collect()
    } else {
        vec![None; answers.len()]
    };
    let predictions = answers
        .into_iter()
        .zip(ids)
        .map(|(answer, id)| prediction_body(answer, id))
        .collect();
    Ok(Json(ClassifyResponse {
        model_version: routed.served.version.version.clone(),
        predictions,
    }))
}

fn check_texts(texts: &[&str], is_single: bool) -> Result<(), Problem> {
    if texts.is_empty() || texts.len() > MAX_TEXTS {
        return Err(Problem::field(
            "/texts",
            format!("has {} texts; give 1 to {MAX_TEXTS}", texts.len()),
        ));
    }
    for (index, text) in texts.iter().enumerate() {
        let pointer = if is_single {
            "/text".to_owned()
        } else {
            format!("/texts/{index}")
        };
        require_text(&pointer, text)?;
        if text.trim().is_empty() {
            return Err(Problem::field(pointer, "is empty; give the text to classify"));
        }
    }
    Ok(())
}

async fn record<'a>(
    caller: &Caller,
    state: &AppState,
    task: &Task,
    routed: &Routed,
    request: &ClassifyRequest,
    key: &IdempotencyKey,
    answered: impl Iterator<Item = ((&'a &'a str, &'a Answer), Option<ShadowAnswer>)>,
) -> Result<Vec<uuid::Uuid>, Problem> {
    let privacy = state.engine.privacy(caller.project).await?;
    let mut batch = RecordBatch::default();
    let mut texts = Vec::new();
    for (index, ((text, answer), shadow)) in answered.enumerate() {
        texts.push(*text);
        let status = if answer.label.is_some() {
            InteractionStatus::Ok
        } else {
            InteractionStatus::Abstained
        };
        let new = NewInteraction {
            id: key.id_at(caller.project, "prediction", index),
            task: task.name.clone(),
            input: (*text).to_owned(),
            label: answer
                .alternatives
                .first()
                .map(|(label, _)| label.clone())
                .or_else(|| answer.label.clone()),
            confidence: Some(answer.probability.clamp(0.0, 1.0)),
            status: Some(status),
            conversation: request.conversation.clone(),
            subject: request.subject.clone(),
            ..NewInteraction::default()
        };
        let answered = AnsweredBy {
            version: Some(routed.served.version.id),
            exposed: routed.exposed(shadow),
        };
        state
            .engine
            .recorder()
            .add_interaction(&mut batch, task, &privacy, new, false, answered)?;
    }
    let written = state.engine.recorder().write(batch).await?;
    for (recorded, text) in written.iter().zip(&texts) {
        // The same text asked again under its key is the same interaction, even if another version answers by now.
        if recorded.outcome == RecordOutcome::Conflict
            && !is_recorded(caller, state, task, recorded.id, text).await?
        {
            return Err(id_is_taken(recorded.id));
        }
    }
    Ok(written.into_iter().map(|recorded| recorded.id).collect())
}

/// Whether the interaction with this id asked this text of this task.
async fn is_recorded(
    caller: &Caller,
    state: &AppState,
    task: &Task,
    id: uuid::Uuid,
    text: &str,
) -> Result<bool, Problem> {
    let recorded = state.engine.privacy(caller.project).await?.as_recorded(text);
    let mut conn = state.engine.db.read().await?;
    let found = interactions::find(&mut conn, caller.project, InteractionId(id)).await?;
    Ok(found.is_some_and(|interaction| interaction.input.0 == recorded && interaction.task_id == task.id))
}

fn prediction_body(answer: Answer, interaction_id: Option<uuid::Uuid>) -> PredictionBody {
    let alternatives = answer.alternatives.into_iter();
    PredictionBody {
        abstained: answer.label.is_none(),
        label: answer.label,
        probability: answer.probability,
        alternatives: alternatives
            .map(|(label, probability)| AlternativeBody { label, probability })
            .collect(),
        interaction_id,
    }
}
