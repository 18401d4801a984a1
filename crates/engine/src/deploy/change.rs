//! Changes of a deployment: pause, resume, promote, roll back, its next step. The legal ones are in `domain`; here is what each
//! means for the versions and for who serves.

use hone_domain::{
    DeploymentEvent, DeploymentId, DeploymentKind, DeploymentState, ModelVersionId, ProjectId, Stage,
    Strategy, TaskId,
};
use hone_storage::deployments::{self, Deployment};
use hone_storage::tasks::Task;
use hone_storage::{Conn, tasks, versions};
use uuid::Uuid;

use super::{Order, deprecate_old, previous_version, version_named};
use crate::{Engine, EngineError};

/// What is done to a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeploymentChange {
    /// Its shares stay as they are, and nothing is decided by itself.
    Pause,
    /// It goes on.
    Resume,
    /// Its version, or of several this one, serves everything.
    Promote(Option<String>),
    /// Its versions are taken off the task.
    RollBack,
}

impl DeploymentChange {
    /// Where it leaves a deployment; `None` for a rollback, which depends on where that stands.
    pub const fn target(&self) -> Option<DeploymentState> {
        match self {
            Self::Pause => Some(DeploymentState::Paused),
            Self::Resume => Some(DeploymentState::Running),
            Self::Promote(_) => Some(DeploymentState::Live),
            Self::RollBack => None,
        }
    }
}

impl Engine {
    /// Changes a deployment by hand. Rolling back one that is live makes the version before it serve, as a deployment of its own,
    /// which is given back.
    pub async fn change_deployment(
        &self,
        project: ProjectId,
        id: DeploymentId,
        change: &DeploymentChange,
        reason: &str,
    ) -> Result<Deployment, EngineError> {
        let mut conn = self.db.begin().await?;
        let missing = || EngineError::NotFound {
            noun: "deployment",
            id: id.to_string(),
        };
        let task_id = deployments::find(&mut conn, project, id)
            .await?
            .ok_or_else(missing)?
            .task_id;
        tasks::lock(&mut conn, TaskId(task_id)).await?;
        let task = tasks::get(&mut conn, TaskId(task_id)).await?;
        let mut deployment = deployments::find(&mut conn, project, id)
            .await?
            .ok_or_else(missing)?;
        let deployment = match change {
            DeploymentChange::Pause => {
                self.set_state(&mut conn, &mut deployment, DeploymentEvent::Pause, reason)
                    .await?;
                deployment
            }
            DeploymentChange::Resume => {
                self.set_state(&mut conn, &mut deployment, DeploymentEvent::Resume, reason)
                    .await?;
                self.enqueue_looks(&mut conn, &deployment).await?;
                deployment
            }
            DeploymentChange::Promote(winner) => {
                if let Some(name) = winner {
                    let version = version_named(&mut conn, &task, name).await?;
                    take_winner(&mut deployment, version.id, &version.version)?;
                }
                self.make_live(&mut conn, &task, &mut deployment, reason).await?;
                deployment
            }
            DeploymentChange::RollBack if deployment.state == DeploymentState::Live => {
                self.leave_live(&mut conn, &task, &mut deployment, reason).await?
            }
            DeploymentChange::RollBack => {
                self.take_off(&mut conn, &mut deployment, Stage::Candidate, reason)
                    .await?;
                deployment
            }
        };
        conn.commit().await?;
        if let Err(error) = self.refresh_router().await {
            tracing::warn!(%error, "changed, but not loaded here yet");
        }
        Ok(deployment)
    }

    /// Makes a deployment's version serve everything, in place of what serves now.
    pub(crate) async fn make_live(
        &self,
        conn: &mut Conn,
        task: &Task,
        deployment: &mut Deployment,
        reason: &str,
    ) -> Result<(), EngineError> {
        let serving = deployments::find_serving(conn, task.task_id()).await?;
        if let Some(serving) = &serving {
            versions::set_stage(conn, ModelVersionId(serving.model_version_id), Stage::Retired).await?;
            let before = DeploymentId(serving.deployment_id);
            let before = deployments::find(conn, task.project(), before).await?;
            if let Some(mut before) = before.filter(|before| before.state == DeploymentState::Live) {
                self.set_state(conn, &mut before, DeploymentEvent::Supersede, reason)
                    .await?;
            }
        }
        versions::set_stage(conn, ModelVersionId(deployment.model_version_id), Stage::Live).await?;
        deployment.previous_version_id = serving.as_ref().map(|serving| serving.model_version_id);
        deployment.live_epoch = Some(serving.map_or(0, |serving| serving.epoch) + 1);
        deployment.live_at_us = Some(self.ids.now_us());
        self.set_state(conn, deployment, DeploymentEvent::Promote, reason)
            .await?;
        let version = deployment.model_version_id;
        deployments::serve(conn, task.project(), task.task_id(), version, deployment.id, None).await?;
        deprecate_old(conn, task, &[version]).await
    }

    /// Takes the versions of a deployment that shares the traffic off the task; what serves goes on serving.
    pub(crate) async fn take_off(
        &self,
        conn: &mut Conn,
        deployment: &mut Deployment,
        stage: Stage,
        reason: &str,
    ) -> Result<(), EngineError> {
        self.set_state(conn, deployment, DeploymentEvent::RollBack, reason)
            .await?;
        for version in arms_of(deployment) {
            versions::set_stage(conn, ModelVersionId(version), stage).await?;
        }
        self.stop_sharing(conn, deployment).await
    }

    /// Ends a deployment that shares the traffic because another one takes its place.
    pub(super) async fn supersede(
        &self,
        conn: &mut Conn,
        deployment: &mut Deployment,
        reason: &str,
    ) -> Result<(), EngineError> {
        self.set_state(conn, deployment, DeploymentEvent::Supersede, reason)
            .await?;
        self.stop_sharing(conn, deployment).await
    }

    /// Rolls a live deployment back: the version before it serves, as a deployment of its own.
    pub(crate) async fn leave_live(
        &self,
        conn: &mut Conn,
        task: &Task,
        deployment: &mut Deployment,
        reason: &str,
    ) -> Result<Deployment, EngineError> {
        let serving = deployments::find_serving(conn, task.task_id()).await?;
        if serving.is_none_or(|serving| serving.deployment_id != deployment.id) {
            return Err(EngineError::Conflict(format!(
                "deployment {} does not serve task \"{}\" any more",
                deployment.id, task.name
            )));
        }
        let version = previous_version(conn, task).await?;
        self.set_state(conn, deployment, DeploymentEvent::RollBack, reason)
            .await?;
        let order = Order {
            id: self.ids.next(),
            kind: DeploymentKind::Rollback,
            reason,
            plan: None,
        };
        self.place_order(conn, task, &[version], order).await
    }

    /// Goes on to the next step of a canary, or to other shares of a bandit.
    pub(crate) async fn advance(
        &self,
        conn: &mut Conn,
        deployment: &mut Deployment,
        shares: &[f64],
        reason: &str,
    ) -> Result<(), EngineError> {
        let is_bandit = deployment
            .plan
            .as_ref()
            .is_some_and(|plan| plan.strategy == Strategy::Bandit);
        if !is_bandit {
            deployment.step += 1;
            deployment.step_at_us = self.ids.now_us();
        }
        if let Some(arms) = &mut deployment.arms {
            for (arm, &share) in arms.0.iter_mut().zip(shares) {
                arm.share = share;
            }
        }
        if is_bandit {
            deployments::update(conn, deployment).await?;
        } else {
            self.set_state(conn, deployment, DeploymentEvent::Advance, reason)
                .await?;
            self.enqueue_looks(conn, deployment).await?;
        }
        let serving = deployments::find_serving(conn, TaskId(deployment.task_id)).await?;
        if let Some(serving) = serving {
            self.share_traffic(conn, deployment, &serving).await?;
        }
        Ok(())
    }

    async fn set_state(
        &self,
        conn: &mut Conn,
        deployment: &mut Deployment,
        event: DeploymentEvent,
        reason: &str,
    ) -> Result<(), EngineError> {
        deployment.state = deployment.state.after(event)?;
        deployments::update(conn, deployment).await?;
        self.tell_event(conn, deployment, event, reason).await
    }

    async fn stop_sharing(&self, conn: &mut Conn, deployment: &Deployment) -> Result<(), EngineError> {
        let serving = deployments::find_serving(conn, TaskId(deployment.task_id)).await?;
        if let Some(serving) = serving {
            self.share_traffic(conn, deployment, &serving).await?;
        }
        Ok(())
    }
}

/// Makes one of a deployment's versions the one that it is about.
pub(crate) fn take_winner(deployment: &mut Deployment, version: Uuid, name: &str) -> Result<(), EngineError> {
    if !arms_of(deployment).contains(&version) {
        let detail = format!("version {name} is not part of deployment {}", deployment.id);
        return Err(EngineError::field("/version", detail));
    }
    deployment.model_version_id = version;
    Ok(())
}

/// The new versions of a deployment.
pub(crate) fn arms_of(deployment: &Deployment) -> Vec<Uuid> {
    let arms: Vec<Uuid> = deployment.arms().iter().map(|arm| arm.version_id).collect();
    if arms.is_empty() {
        vec![deployment.model_version_id]
    } else {
        arms
    }
}
