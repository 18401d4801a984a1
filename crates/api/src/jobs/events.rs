//! `GET /v1/jobs/{id}/events`: the steps of a job as server-sent events, until it ends.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::Stream;
use hone_domain::{JobId, ProjectId, Scope};
use hone_engine::get_job;
use hone_storage::jobs;

use super::JobBody;
use crate::auth::Caller;
use crate::page::path_id;
use crate::problem::ProblemBody;
use crate::{AppState, Problem};

/// How often the database is asked for new steps.
const POLL: Duration = Duration::from_millis(300);

/// Watch a job as server-sent events: `progress` while it runs, `end` when it has ended
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs", security(("key" = [])),
    params(("id" = uuid::Uuid, Path, description = "the job")),
    responses((status = 200, description = "a stream of events", content_type = "text/event-stream"),
        (status = 404, body = ProblemBody)))]
pub(crate) async fn handle(
    caller: Caller,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    caller.require(Scope::Read)?;
    let id: JobId = path_id(&id)?;
    get_job(&mut state.engine.db.read().await?, caller.project, id).await?;
    let watch = Watch {
        state,
        project: caller.project,
        id,
        last_event: 0,
        last_progress: None,
        has_ended: false,
    };
    let events = futures::stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok(event), watch))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

struct Watch {
    state: AppState,
    project: ProjectId,
    id: JobId,
    last_event: i64,
    last_progress: Option<(f64, String)>,
    has_ended: bool,
}

impl Watch {
    /// The next event; `None` after the last one, when the server stops or the database is out of reach.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.has_ended {
                return None;
            }
            let mut conn = self.state.engine.db.read().await.ok()?;
            let noted = jobs::list_events(&mut conn, self.id, self.last_event)
                .await
                .ok()?;
            let job = get_job(&mut conn, self.project, self.id).await.ok()?;
            drop(conn);
            if let Some(event) = noted.into_iter().next() {
                self.last_event = event.id;
                if let Some(told) = self.news(event.progress, event.message) {
                    return Some(told);
                }
                continue;
            }
            if job.finished_at_us.is_some() {
                self.has_ended = true;
                let body = serde_json::to_string(&JobBody::from(job)).unwrap_or_default();
                return Some(Event::default().event("end").data(body));
            }
            let message = if job.message.is_empty() {
                job.state
            } else {
                job.message
            };
            if let Some(told) = self.news(job.progress, message) {
                return Some(told);
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = self.state.stop.cancelled() => return None,
            }
        }
    }

    /// A step as an event, unless it was the last one that was sent.
    fn news(&mut self, progress: f64, message: String) -> Option<Event> {
        let body = serde_json::json!({ "progress": progress, "message": message }).to_string();
        let step = Some((progress, message));
        if self.last_progress == step {
            return None;
        }
        self.last_progress = step;
        Some(Event::default().event("progress").data(body))
    }
}
