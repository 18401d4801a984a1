//! Deployment: which versions serve a task and how they share its traffic. Every decision is a row, every change of it an
//! event; all of a task's changes are made under its lock, so that several servers agree.

mod change;
mod history;
mod view;

use hone_domain::{
    ArmShare, DeploymentEvent, DeploymentId, DeploymentKind, DeploymentPlan, DeploymentState, Metric,
    ModelVersionId, ProjectId, Severity, Sharing, Stage, Strategy, TaskId, TaskKind,
};
use hone_storage::deployments::{self, Deployment, EventRow, Serving};
use hone_storage::tasks::Task;
use hone_storage::versions::{self, ModelVersion};
use hone_storage::{Conn, Json, tasks};

use crate::alert::Happening;
use crate::{Engine, EngineError};
use history::previous_version;

pub use change::DeploymentChange;
pub(crate) use change::{arms_of, take_winner};
pub use view::DeploymentView;

/// Most new versions that share a task's traffic.
const MAX_ARMS: usize = 8;

/// What to make serve.
#[derive(Debug, Clone, PartialEq)]
pub enum DeployRequest {
    /// This version, all at once.
    Version(String),
    /// The version that served before the one that serves now, or this earlier one. Where a deployment shares the traffic and no
    /// version is named, that deployment is taken off.
    Rollback(Option<String>),
    /// These versions, beside the one that serves, as the plan says.
    Plan {
        /// One version; several for an A/B test or a bandit.
        versions: Vec<String>,
        /// How they come to serve.
        plan: Box<DeploymentPlan>,
    },
}

/// A decision that is ready to be written.
struct Order<'a> {
    id: DeploymentId,
    kind: DeploymentKind,
    reason: &'a str,
    plan: Option<&'a DeploymentPlan>,
}

impl Engine {
    /// Makes versions serve by hand, or goes back to an earlier one. Artifacts are loaded first: one that is damaged never serves.
    /// A decision with the id that is asked for is not made twice.
    pub async fn deploy(
        &self,
        project: ProjectId,
        task_name: &str,
        request: &DeployRequest,
        reason: &str,
        id: Option<DeploymentId>,
    ) -> Result<Deployment, EngineError> {
        let mut conn = self.db.read().await?;
        if let Some(id) = id
            && let Some(earlier) = deployments::find(&mut conn, project, id).await?
        {
            return repeated(&mut conn, earlier, task_name, request).await;
        }
        let found = tasks::find_by_name(&mut conn, project, task_name).await?;
        let task = found.ok_or_else(|| EngineError::NotFound {
            noun: "task",
            id: task_name.to_owned(),
        })?;
        if *request == DeployRequest::Rollback(None)
            && let Some(sharing) = deployments::find_sharing(&mut conn, task.task_id()).await?
        {
            drop(conn);
            let change = DeploymentChange::RollBack;
            return self
                .change_deployment(project, DeploymentId(sharing.id), &change, reason)
                .await;
        }
        let wanted = wanted_versions(&mut conn, &task, request).await?;
        drop(conn);
        for version in &wanted {
            self.load_model(version).await?;
        }
        let mut conn = self.db.begin().await?;
        tasks::lock(&mut conn, task.task_id()).await?;
        // Another request may have been faster, perhaps this one sent twice.
        if let Some(id) = id
            && let Some(earlier) = deployments::find(&mut conn, project, id).await?
        {
            return repeated(&mut conn, earlier, task_name, request).await;
        }
        let ids = |versions: &[ModelVersion]| versions.iter().map(|version| version.id).collect::<Vec<_>>();
        if ids(&wanted_versions(&mut conn, &task, request).await?) != ids(&wanted) {
            return Err(EngineError::Conflict(format!(
                "another deployment of task \"{task_name}\" came between; look at what serves and try again"
            )));
        }
        let order = Order {
            id: id.unwrap_or_else(|| self.ids.next()),
            kind: match request {
                DeployRequest::Version(_) | DeployRequest::Plan { .. } => DeploymentKind::Manual,
                DeployRequest::Rollback(_) => DeploymentKind::Rollback,
            },
            reason,
            plan: match request {
                DeployRequest::Plan { plan, .. } => Some(plan.as_ref()),
                DeployRequest::Version(_) | DeployRequest::Rollback(_) => None,
            },
        };
        let deployment = self.place_order(&mut conn, &task, &wanted, order).await?;
        conn.commit().await?;
        if let Err(error) = self.refresh_router().await {
            tracing::warn!(%error, "deployed, but not loaded here yet");
        }
        Ok(deployment)
    }

    /// Makes a version that the gate accepted serve in the caller's transaction: as the task's plan says, the first one at once.
    /// `None` while another deployment shares the traffic: the version stays a candidate.
    pub(crate) async fn deploy_accepted(
        &self,
        conn: &mut Conn,
        task: &Task,
        version: &ModelVersion,
        reason: &str,
    ) -> Result<Option<Deployment>, EngineError> {
        tasks::lock(conn, task.task_id()).await?;
        if deployments::find_sharing(conn, task.task_id()).await?.is_some() {
            return Ok(None);
        }
        let is_first = deployments::find_serving(conn, task.task_id()).await?.is_none();
        let order = Order {
            id: self.ids.next(),
            kind: if is_first {
                DeploymentKind::First
            } else {
                DeploymentKind::Gate
            },
            reason,
            plan: (!is_first).then_some(&task.policy.deployment.plan),
        };
        let deployment = self
            .place_order(conn, task, std::slice::from_ref(version), order)
            .await?;
        Ok(Some(deployment))
    }

    /// Starts the newest version of a classify task that the gate accepted while another deployment shared the traffic, where it is
    /// newer than what was decided on and the plan lets it prove itself against what serves now.
    pub(crate) async fn start_waiting(
        &self,
        conn: &mut Conn,
        task: &Task,
        decided: i64,
    ) -> Result<(), EngineError> {
        let policy = &task.policy.deployment;
        let proves = policy.automatic && policy.plan.strategy != Strategy::AllAtOnce;
        if task.kind != TaskKind::Classify || !proves {
            return Ok(());
        }
        let newest = versions::find_latest(conn, task.task_id()).await?;
        let waits = |version: &ModelVersion| version.stage == Stage::Candidate && version.number > decided;
        if let Some(version) = newest.filter(waits) {
            let reason = "the gate accepted it while another deployment shared the traffic";
            self.deploy_accepted(conn, task, &version, reason).await?;
        }
        Ok(())
    }

    async fn place_order(
        &self,
        conn: &mut Conn,
        task: &Task,
        wanted: &[ModelVersion],
        order: Order<'_>,
    ) -> Result<Deployment, EngineError> {
        let serving = deployments::find_serving(conn, task.task_id()).await?;
        for version in wanted {
            if Some(version.id) == serving.as_ref().map(|serving| serving.model_version_id) {
                return Err(EngineError::Conflict(format!(
                    "version {} serves task \"{}\" already",
                    version.version, task.name
                )));
            }
        }
        let now_us = self.ids.now_us();
        // Without anything to compare with, there is nothing to share.
        let gradual = order
            .plan
            .filter(|plan| plan.strategy != Strategy::AllAtOnce)
            .zip(serving.as_ref());
        let mut deployment = Deployment {
            id: order.id.0,
            project_id: task.project_id,
            task_id: task.id,
            model_version_id: wanted[0].id,
            previous_version_id: serving.as_ref().map(|serving| serving.model_version_id),
            kind: order.kind,
            reason: order.reason.to_owned(),
            created_at_us: now_us,
            state: DeploymentState::Running,
            plan: gradual.map(|(plan, _)| Json(plan.clone())),
            arms: None,
            step: 0,
            step_at_us: now_us,
            turn: 0,
            look: None,
            live_at_us: None,
            live_epoch: None,
        };
        if let Some((plan, serving)) = gradual {
            self.start_sharing(conn, task, &mut deployment, wanted, plan, serving)
                .await?;
            return Ok(deployment);
        }
        if let Some(mut sharing) = deployments::find_sharing(conn, task.task_id()).await? {
            self.supersede(conn, &mut sharing, order.reason).await?;
        }
        deployments::insert(conn, &deployment).await?;
        self.tell_event(conn, &deployment, DeploymentEvent::Start, order.reason)
            .await?;
        self.make_live(conn, task, &mut deployment, order.reason).await?;
        Ok(deployment)
    }

    /// Lets a deployment share the traffic with the version that serves.
    async fn start_sharing(
        &self,
        conn: &mut Conn,
        task: &Task,
        deployment: &mut Deployment,
        wanted: &[ModelVersion],
        plan: &DeploymentPlan,
        serving: &Serving,
    ) -> Result<(), EngineError> {
        if let Some(other) = deployments::find_sharing(conn, task.task_id()).await? {
            return Err(EngineError::Conflict(format!(
                "deployment {} shares the traffic of task \"{}\" already; promote it or roll it back first",
                other.id, task.name
            )));
        }
        if plan.strategy == Strategy::Shadow
            && task.kind == TaskKind::Generate
            && plan.goal.metric == Metric::Correctness
        {
            let detail = "nobody rates what nobody sees; judge a shadow of a generate task by success_rate, latency_ms or cost_usd";
            return Err(EngineError::field("/plan/goal/metric", detail));
        }
        deployment.turn = deployments::count_turns(conn, task.task_id()).await? + 1;
        let share = plan.share_of_step(0);
        let each = if plan.strategy == Strategy::Bandit {
            // A bandit begins with even shares, the live version's among them.
            1.0 / (wanted.len() + 1) as f64
        } else {
            share / wanted.len() as f64
        };
        let arms = wanted.iter().map(|version| ArmShare {
            version_id: version.id,
            share: each,
        });
        deployment.arms = Some(Json(arms.collect()));
        deployments::insert(conn, deployment).await?;
        let reason = deployment.reason.clone();
        self.tell_event(conn, deployment, DeploymentEvent::Start, &reason)
            .await?;
        self.share_traffic(conn, deployment, serving).await?;
        self.enqueue_looks(conn, deployment).await?;
        Ok(())
    }

    /// Tells the routers of all servers how a running deployment shares the traffic now.
    pub(crate) async fn share_traffic(
        &self,
        conn: &mut Conn,
        deployment: &Deployment,
        serving: &Serving,
    ) -> Result<(), EngineError> {
        let sharing = sharing_of(deployment);
        deployments::serve(
            conn,
            ProjectId(deployment.project_id),
            TaskId(deployment.task_id),
            serving.model_version_id,
            serving.deployment_id,
            sharing.as_ref(),
        )
        .await?;
        Ok(())
    }

    /// Keeps what happened to a deployment, and tells it.
    /// Lets people know that a version was taken off.
    async fn note_rollback(
        &self,
        conn: &mut Conn,
        deployment: &Deployment,
        reason: &str,
    ) -> Result<(), EngineError> {
        let task = tasks::get(conn, TaskId(deployment.task_id)).await?;
        let version = versions::get(conn, ModelVersionId(deployment.model_version_id)).await?;
        let happening = Happening {
            project: task.project(),
            task: Some(task.task_id()),
            name: "rollback",
            severity: Severity::Warning,
            message: format!(
                "version {} of task \"{}\" was rolled back: {reason}",
                version.version, task.name
            ),
            advice: "look at its comparison (hone deployment show) before it is deployed again",
        };
        Ok(self.note(conn, happening).await?)
    }

    async fn tell_event(
        &self,
        conn: &mut Conn,
        deployment: &Deployment,
        event: DeploymentEvent,
        reason: &str,
    ) -> Result<(), EngineError> {
        let row = EventRow {
            id: self.ids.next(),
            project_id: deployment.project_id,
            task_id: deployment.task_id,
            deployment_id: deployment.id,
            event,
            state: deployment.state,
            step: deployment.step,
            reason: reason.to_owned(),
            created_at_us: self.ids.now_us(),
        };
        deployments::insert_event(conn, &row).await?;
        if event == DeploymentEvent::RollBack {
            self.note_rollback(conn, deployment, reason).await?;
        }
        metrics::counter!("hone_deployment_events_total", "event" => event.as_str()).increment(1);
        tracing::info!(deployment = %deployment.id, event = event.as_str(), state = deployment.state.as_str(), step = deployment.step,
            "deployment changed");
        Ok(())
    }
}

/// How a deployment shares traffic; nothing where it does not.
pub(crate) fn sharing_of(deployment: &Deployment) -> Option<Sharing> {
    let plan = &deployment.plan.as_ref()?.0;
    deployment.state.is_sharing().then(|| Sharing {
        deployment_id: DeploymentId(deployment.id),
        step: deployment.step,
        is_shadow: plan.strategy == Strategy::Shadow,
        unit: plan.unit,
        metrics: plan.metrics(),
        arms: deployment.arms().to_vec(),
    })
}

/// A decision that was made before, if it answers this request.
async fn repeated(
    conn: &mut Conn,
    earlier: Deployment,
    task_name: &str,
    request: &DeployRequest,
) -> Result<Deployment, EngineError> {
    let task = tasks::get(conn, TaskId(earlier.task_id)).await?;
    let version = versions::get(conn, ModelVersionId(earlier.model_version_id)).await?;
    let is_named = |name: &String| name.trim_start_matches('v') == version.version;
    let same_version = match request {
        DeployRequest::Version(name) | DeployRequest::Rollback(Some(name)) => is_named(name),
        DeployRequest::Rollback(None) => true,
        DeployRequest::Plan { versions, .. } => versions.iter().any(is_named),
    };
    let same_plan = match request {
        DeployRequest::Plan { plan, .. } => {
            plan.strategy == Strategy::AllAtOnce || earlier.plan.as_ref().is_some_and(|own| own.0 == **plan)
        }
        DeployRequest::Version(_) | DeployRequest::Rollback(_) => true,
    };
    let same_kind =
        (earlier.kind == DeploymentKind::Rollback) == matches!(request, DeployRequest::Rollback(_));
    if task.name == task_name && same_version && same_plan && same_kind {
        Ok(earlier)
    } else {
        Err(EngineError::id_is_taken("deployment", earlier.id))
    }
}

async fn wanted_versions(
    conn: &mut Conn,
    task: &Task,
    request: &DeployRequest,
) -> Result<Vec<ModelVersion>, EngineError> {
    let names = match request {
        DeployRequest::Version(name) | DeployRequest::Rollback(Some(name)) => std::slice::from_ref(name),
        DeployRequest::Rollback(None) => return Ok(vec![previous_version(conn, task).await?]),
        DeployRequest::Plan { versions, plan } => {
            plan.validate("/plan")?;
            check_arms(versions, plan)?;
            versions
        }
    };
    let mut wanted = Vec::new();
    for name in names {
        let version = version_named(conn, task, name).await?;
        if wanted.iter().any(|other: &ModelVersion| other.id == version.id) {
            let detail = format!("names version {} twice", version.version);
            return Err(EngineError::field("/versions", detail));
        }
        wanted.push(version);
    }
    Ok(wanted)
}

fn check_arms(versions: &[String], plan: &DeploymentPlan) -> Result<(), EngineError> {
    let takes_several = matches!(plan.strategy, Strategy::Ab | Strategy::Bandit);
    let most = if takes_several { MAX_ARMS } else { 1 };
    if versions.is_empty() || versions.len() > most {
        let detail = format!(
            "names {} versions; a deployment of strategy {} takes 1 to {most}",
            versions.len(),
            plan.strategy
        );
        return Err(EngineError::field("/versions", detail));
    }
    if plan.strategy == Strategy::Bandit && plan.floor * (versions.len() + 1) as f64 > 1.0 {
        let detail = format!(
            "{} is too much for each of {} versions",
            plan.floor,
            versions.len() + 1
        );
        return Err(EngineError::field("/plan/floor", detail));
    }
    Ok(())
}

async fn version_named(conn: &mut Conn, task: &Task, name: &str) -> Result<ModelVersion, EngineError> {
    let found = versions::find_by_version(conn, task.task_id(), name.trim_start_matches('v')).await?;
    found.ok_or_else(|| EngineError::NotFound {
        noun: "model version",
        id: format!("{}/{name}", task.name),
    })
}

/// Marks versions beyond the newest `keep` as deprecated, but never one that serves or shares the traffic.
async fn deprecate_old(conn: &mut Conn, task: &Task, serving: &[uuid::Uuid]) -> Result<(), EngineError> {
    let keep = task.policy.deployment.keep_versions;
    if keep > 0 {
        for version in versions::list_beyond(conn, task.task_id(), keep).await? {
            if !serving.contains(&version) {
                versions::set_stage(conn, ModelVersionId(version), Stage::Deprecated).await?;
            }
        }
    }
    Ok(())
}
