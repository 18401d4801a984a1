//! Lists: paged by key, never by offset.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use uuid::Uuid;

use crate::auth::Caller;
use crate::{AppState, Problem};

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 500;

/// Query parameters as `T`, refused with a problem.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: serde::de::DeserializeOwned> FromRequestParts<AppState> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &AppState) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(params)| Self(params))
            .map_err(|rejection| Problem::field("/query", rejection.body_text()))
    }
}

/// Which part of a list of what belongs to a task is asked for.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskListParams {
    /// Only of this task.
    pub task: Option<String>,
    /// Items on a page, 1 to 500.
    pub limit: Option<i64>,
    /// `next` of the page before.
    pub after: Option<Uuid>,
}

impl TaskListParams {
    /// The id of the task that is named, if one is.
    pub async fn task_id(
        &self,
        caller: &Caller,
        state: &AppState,
    ) -> Result<Option<hone_domain::TaskId>, Problem> {
        match &self.task {
            Some(name) => Ok(Some(state.engine.get_task(caller.project, name).await?.task_id())),
            None => Ok(None),
        }
    }
}

/// One page of a list.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Send as `after` to get the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of `rows`, of which one more than `limit` were asked for.
    pub fn new<R>(mut rows: Vec<R>, limit: i64, key: impl Fn(&R) -> String, item: impl Fn(R) -> T) -> Self {
        let has_more = rows.len() as i64 > limit;
        rows.truncate(limit as usize);
        let next = if has_more { rows.last().map(key) } else { None };
        Self {
            items: rows.into_iter().map(item).collect(),
            next,
        }
    }
}

/// The numbers of an evaluation, without what is counted per label and row: that is long, and shown one by one.
pub fn headline(metrics: serde_json::Value) -> serde_json::Value {
    match metrics {
        serde_json::Value::Object(mut fields) => {
            fields.retain(|_, value| value.is_number());
            fields.into()
        }
        other => other,
    }
}

/// Words that are stored with blanks between, as a list.
pub fn words(text: Option<&str>) -> Vec<String> {
    let words = text.into_iter().flat_map(|text| text.split(' '));
    words.map(str::to_owned).collect()
}

/// How many items to give.
pub fn checked_limit(limit: Option<i64>) -> Result<i64, Problem> {
    match limit.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        limit => Err(Problem::field(
            "/query/limit",
            format!("is {limit}; give 1 to {MAX_LIMIT}"),
        )),
    }
}

/// An id in a path, refused with a problem that names it.
pub fn path_id<T: From<Uuid>>(text: &str) -> Result<T, Problem> {
    text.parse::<Uuid>()
        .map(T::from)
        .map_err(|_| Problem::field("/path/id", format!("\"{text}\" is no UUID")))
}
