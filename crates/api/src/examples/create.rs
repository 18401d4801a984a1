//! `POST /v1/examples`: adds ready examples.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hone_domain::{ExampleOrigin, NewExample, Scope};
use hone_engine::Placed;

use crate::auth::Caller;
use crate::body::JsonBody;
use crate::problem::ProblemBody;
use crate::repeat::IdempotencyKey;
use crate::{AppState, Problem};

const MAX_EXAMPLES: usize = 1_000;

#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateExamplesRequest {
    /// Name of the task.
    task: String,
    /// Up to 1,000 examples; all are stored, or none.
    #[serde(deserialize_with = "hone_domain::objects")]
    examples: Vec<NewExample>,
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
    key: IdempotencyKey,
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
    let mut examples = request.examples;
    for (index, example) in examples.iter_mut().enumerate() {
        example.id = example.id.or(key.id_at(caller.project, "example", index));
    }
    let placed = state
        .engine
        .import_examples(&task, examples, ExampleOrigin::Imported)
        .await?;
    if state.engine.train_if_due(&task).await?.is_some() {
        state.worker.wake();
    }
    let created = placed.into_iter().map(|imported| match imported.placed {
        Placed::Approved(id) => CreatedExample {
            id,
            status: "approved",
            reason: None,
        },
        Placed::Rejected(id, rejection) => CreatedExample {
            id,
            status: "rejected",
            reason: Some(rejection.reason),
        },
    });
    Ok((StatusCode::CREATED, Json(created.collect())))
}
