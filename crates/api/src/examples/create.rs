//! `POST /v1/examples`: adds ready examples.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hone_domain::{ExampleOrigin, Scope, Split};
use hone_engine::{ExampleImport, ImportOutcome};

use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

const MAX_EXAMPLES: usize = 1_000;

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateExamplesRequest {
    /// Name of the task.
    task: String,
    /// Up to 1,000 examples; all are stored, or none.
    examples: Vec<NewExample>,
}

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewExample {
    /// What is asked.
    input: String,
    /// The right label, for a `classify` task.
    label: Option<String>,
    /// The right answer, for a `generate` task.
    target: Option<String>,
    /// How much it counts; 1 when absent.
    weight: Option<f64>,
    /// The conversation it belongs to; never divided between the parts of a dataset.
    conversation: Option<String>,
    /// The part of datasets it must belong to.
    split: Option<Split>,
}

/// What became of an example.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct CreatedExample {
    id: uuid::Uuid,
    /// `approved` or `rejected`.
    status: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Add ready examples; each is checked like a curated one
#[utoipa::path(post, path = "/v1/examples", tag = "examples", security(("key" = [])), request_body = CreateExamplesRequest,
    responses((status = 201, body = Vec<CreatedExample>), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    JsonBody(request): JsonBody<CreateExamplesRequest>,
) -> Result<(StatusCode, Json<Vec<CreatedExample>>), Problem> {
    caller.require(Scope::Operate)?;
    let count = request.examples.len();
    if count == 0 || count > MAX_EXAMPLES {
        return Err(Problem::field(
            "/examples",
            format!("has {count} examples; give 1 to {MAX_EXAMPLES}"),
        ));
    }
    let task = state.engine.get_task(caller.project, &request.task).await?;
    let imports = request.examples.into_iter().map(|new| {
        let NewExample {
            input,
            label,
            target,
            weight,
            conversation,
            split,
        } = new;
        ExampleImport {
            input,
            label,
            target,
            weight,
            conversation,
            split,
        }
    });
    let outcomes = state
        .engine
        .import_examples(&task, imports.collect(), ExampleOrigin::Imported)
        .await?;
    if state.engine.train_if_due(&task).await?.is_some() {
        state.worker.wake();
    }
    let created = outcomes.into_iter().map(|outcome| match outcome {
        ImportOutcome::Approved(id) => CreatedExample {
            id,
            status: "approved",
            reason: None,
        },
        ImportOutcome::Rejected(id, reason) => CreatedExample {
            id,
            status: "rejected",
            reason: Some(reason),
        },
    });
    Ok((StatusCode::CREATED, Json(created.collect())))
}
