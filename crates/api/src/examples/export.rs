//! `GET /v1/examples/export`: the examples of a task as they are now, or its preferences, as a file of any size.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use hone_domain::{FeedbackSource, Scope, Split};
use hone_engine::{Export, ExportFormat, ExportRequest};

use super::list::time;
use crate::auth::Caller;
use crate::page::Params;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportParams {
    /// `jsonl` when absent.
    format: Option<ExportFormatParam>,
    /// Rows of this part alone; what is in no dataset yet has none.
    split: Option<Split>,
    /// Rows with this label alone.
    label: Option<String>,
    /// Rows that rest on this one's word alone.
    source: Option<FeedbackSource>,
    /// Rows of this quality and better alone, 0 to 1.
    min_quality: Option<f64>,
    /// Rows that were judged then or later alone (RFC 3339).
    from: Option<String>,
    /// Rows that were judged before alone (RFC 3339).
    until: Option<String>,
    /// For preferences: pairs of which neither answer is more than so many times as long as the other.
    max_length_ratio: Option<f64>,
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
    /// Apache Parquet.
    Parquet,
    /// Chats of OpenAI's supervised fine-tuning.
    OpenaiChat,
    /// TRL's prompt and completion.
    Sft,
    /// OpenAI's preference rows, from edits, choices and answers that were asked for again.
    OpenaiPreference,
    /// The same for TRL.
    Preference,
    /// TRL's unpaired rows, from these and from thumbs and ratings.
    Kto,
}

impl ExportParams {
    /// What is asked for.
    pub fn request(self) -> Result<ExportRequest, Problem> {
        let format = match self.format {
            None | Some(ExportFormatParam::Jsonl) => ExportFormat::Jsonl,
            Some(ExportFormatParam::Json) => ExportFormat::Json,
            Some(ExportFormatParam::Csv) => ExportFormat::Csv,
            Some(ExportFormatParam::Parquet) => ExportFormat::Parquet,
            Some(ExportFormatParam::OpenaiChat) => ExportFormat::OpenAiChat,
            Some(ExportFormatParam::Sft) => ExportFormat::Sft,
            Some(ExportFormatParam::OpenaiPreference) => ExportFormat::OpenAiPreference,
            Some(ExportFormatParam::Preference) => ExportFormat::Preference,
            Some(ExportFormatParam::Kto) => ExportFormat::Kto,
        };
        let request = ExportRequest {
            split: self.split,
            label: self.label,
            source: self.source,
            min_quality: self.min_quality,
            from_us: time("/query/from", self.from.as_deref())?,
            until_us: time("/query/until", self.until.as_deref())?,
            max_length_ratio: self.max_length_ratio,
            ..ExportRequest::new(format)
        };
        request.check()?;
        Ok(request)
    }
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskParam {
    /// Name of the task.
    task: String,
}

/// Export the usable examples of a task as they are now, or the preferences of its feedback, whole or filtered
#[utoipa::path(get, path = "/v1/examples/export", tag = "examples", security(("key" = [])), params(TaskParam, ExportParams),
    responses((status = 200, description = "the rows"), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Params(task): Params<TaskParam>,
    Params(params): Params<ExportParams>,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let request = params.request()?;
    let task = state.engine.get_task(caller.project, &task.task).await?;
    let format = request.format;
    Ok(streamed(
        format,
        state.engine.export_task((*task).clone(), request),
    ))
}

/// The file as it is written. An error in the middle ends the reply without its end, so that nobody takes it for whole.
pub(crate) fn streamed(format: ExportFormat, export: Export) -> Response {
    let chunks = futures::stream::unfold(Some(export), |export| async {
        let mut export = export?;
        match export.next_chunk().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(export))),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, "an export broke off");
                Some((Err(error), None))
            }
        }
    });
    (
        [(header::CONTENT_TYPE, format.content_type())],
        Body::from_stream(chunks),
    )
        .into_response()
}
