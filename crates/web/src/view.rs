//! What the first page shows of a task, read once per rendering.

use std::collections::HashMap;

use hone_domain::{DeploymentId, Dimension, FeedbackKind, InteractionId, Period, ProjectId, Sums};
use hone_engine::{
    CurvePoint, DeploymentView, Engine, EngineError, MetricsRequest, TaskHealth, TaskMetrics, learning_curve,
};
use hone_storage::feedback::Feedback;
use hone_storage::interactions::{self, Filter, Interaction};
use hone_storage::progress::{self, Progress};
use hone_storage::rollups::{self, Stretch};
use hone_storage::tasks::{self, Task};
use hone_storage::versions::{self, ModelVersion};
use hone_storage::{deployments, feedback};
use uuid::Uuid;

const VERSIONS: i64 = 8;
const INTERACTIONS: i64 = 12;

/// One task with everything the page shows of it.
pub(crate) struct TaskView {
    pub task: Task,
    pub serving: Option<String>,
    /// The deployment that shares the traffic, or the last one that did.
    pub rollout: Option<DeploymentView>,
    pub counters: Progress,
    pub totals: Sums,
    pub health: Option<TaskHealth>,
    /// The last seven days by the hour, and by version.
    pub week: TaskMetrics,
    pub curve: Vec<CurvePoint>,
    pub versions: Vec<ModelVersion>,
    pub interactions: Vec<(Interaction, Option<String>, Vec<Feedback>)>,
}

/// All tasks of a project.
pub(crate) async fn load(engine: &Engine, project: ProjectId) -> Result<Vec<TaskView>, EngineError> {
    let mut views = Vec::new();
    let all = tasks::list(&mut engine.db.read().await?, project).await?;
    let mut healths = engine.health(project).await?.tasks;
    for task in all {
        let place = healths.iter().position(|health| health.task == task.name);
        let health = place.map(|place| healths.swap_remove(place));
        views.push(load_task(engine, task, health).await?);
    }
    Ok(views)
}

async fn load_task(engine: &Engine, task: Task, health: Option<TaskHealth>) -> Result<TaskView, EngineError> {
    let (project, id) = (task.project(), task.task_id());
    let curve = learning_curve(&engine.db, id).await?;
    let mut conn = engine.db.read().await?;
    let counters = progress::get(&mut conn, id).await?;
    let ever = rollups::list_totals(&mut conn, &Stretch::ever(id), 1).await?;
    let totals = ever.first().map(|ever| ever.sums).unwrap_or_default();
    let versions = versions::list(&mut conn, project, Some(id), None, VERSIONS).await?;
    let names: HashMap<Uuid, String> = versions.iter().map(|row| (row.id, row.version.clone())).collect();
    let filter = Filter {
        task: Some(task.id),
        ..Filter::default()
    };
    let mut shown = Vec::new();
    for row in interactions::list(&mut conn, project, &filter, None, INTERACTIONS).await? {
        let said = feedback::list_of_interaction(&mut conn, project, InteractionId(row.id)).await?;
        let version = row
            .model_version_id
            .and_then(|version| names.get(&version).cloned());
        shown.push((row, version, said));
    }
    let rollout = match deployments::find_sharing(&mut conn, id).await? {
        Some(sharing) => Some(sharing),
        None => deployments::list(&mut conn, project, Some(id), None, 1)
            .await?
            .into_iter()
            .find(|latest| latest.plan.is_some()),
    };
    drop(conn);
    let rollout = match rollout {
        Some(found) => Some(engine.show_deployment(project, DeploymentId(found.id)).await?),
        None => None,
    };
    let week = MetricsRequest {
        period: Some(Period::Week),
        by: Some(Dimension::Version),
        ..MetricsRequest::default()
    };
    let week = engine.metrics(&task, &week).await?;
    let serving = engine
        .served(&task)
        .ok()
        .map(|served| served.version.version.clone());
    Ok(TaskView {
        task,
        serving,
        rollout,
        counters,
        totals,
        health,
        week,
        curve,
        versions,
        interactions: shown,
    })
}

/// What was said, in a few words, and whether it says that the answer was right.
pub(crate) fn summary(said: &Feedback) -> (String, Option<bool>) {
    let flag = said.value.map(|value| value > 0.5);
    match said.kind {
        FeedbackKind::Correction => match &said.label {
            Some(label) if said.is_mismatch == Some(false) => (format!("confirmed {label}"), Some(true)),
            Some(label) => (format!("corrected to {label}"), Some(false)),
            None => ("text corrected".to_owned(), Some(false)),
        },
        FeedbackKind::Thumb => (
            (if flag == Some(true) {
                "thumb up"
            } else {
                "thumb down"
            })
            .to_owned(),
            flag,
        ),
        FeedbackKind::Rating => (format!("rated {} of 5", said.value.unwrap_or_default()), None),
        FeedbackKind::Score => (
            format!(
                "{} {}",
                said.name.as_deref().unwrap_or("score"),
                said.value.unwrap_or_default()
            ),
            None,
        ),
        FeedbackKind::Comment => ("comment".to_owned(), None),
        FeedbackKind::Preference => ("preference".to_owned(), None),
        FeedbackKind::Used => (
            (if flag == Some(true) { "used" } else { "not used" }).to_owned(),
            None,
        ),
        FeedbackKind::Helpful => (
            (if flag == Some(true) {
                "helpful"
            } else {
                "not helpful"
            })
            .to_owned(),
            None,
        ),
    }
}
