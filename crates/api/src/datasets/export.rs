//! `GET /v1/datasets/{id}/export`: a dataset as a file.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use hone_domain::{Scope, Split};
use hone_engine::{ExportFormat, write_dataset};

use crate::auth::Caller;
use crate::page::{Params, path_id};
use crate::problem::ProblemBody;
use crate::{AppState, Problem, ProblemKind};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportParams {
    /// `jsonl` when absent.
    format: Option<ExportFormatParam>,
    /// Rows of this part alone.
    split: Option<Split>,
}

#[derive(Debug, Clone, Copy, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum ExportFormatParam {
    /// Everything about an example, one a line.
    Jsonl,
    /// The same as one list.
    Json,
    /// Comma-separated with a header line.
    Csv,
    /// Chats of OpenAI's supervised fine-tuning.
    OpenaiChat,
    /// TRL's prompt and completion.
    Sft,
}

/// Export a dataset as a file, for us or for other tools
#[utoipa::path(get, path = "/v1/datasets/{id}/export", tag = "examples", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the dataset"), ExportParams),
    responses((status = 200, description = "the rows"), (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Params(params): Params<ExportParams>,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let format = match params.format {
        None | Some(ExportFormatParam::Jsonl) => ExportFormat::Jsonl,
        Some(ExportFormatParam::Json) => ExportFormat::Json,
        Some(ExportFormatParam::Csv) => ExportFormat::Csv,
        Some(ExportFormatParam::OpenaiChat) => ExportFormat::OpenAiChat,
        Some(ExportFormatParam::Sft) => ExportFormat::Sft,
    };
    let dataset = state.engine.get_dataset(caller.project, path_id(&id)?).await?;
    let rows = state.engine.load_rows(&dataset).await?;
    let mut file = Vec::new();
    write_dataset(&rows, format, params.split, &mut file)
        .map_err(|error| Problem::new(ProblemKind::Internal, format!("the export failed: {error}")))?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], file).into_response())
}
