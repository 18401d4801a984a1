//! The job that looks at a deployment: when outcomes have come, when a step has lasted long enough, when its time is over.

use std::collections::BTreeMap;

use hone_domain::{
    DAY_US, DeploymentId, DeploymentState, MINUTE_US, Metric, ModelVersionId, ProjectId, SECOND_US, Stage,
    Strategy, TaskId,
};
use hone_jobs::{Handler, HandlerFuture, JobContext, JobError, NewJobSpec, enqueue};
use hone_storage::deployments::{self, Deployment};
use hone_storage::experiments;
use hone_storage::{Conn, Json, StorageError, tasks, versions};

use super::arms::ArmTable;
use super::compare::FEWEST;
use super::judge::{Look, Recommendation, Seen, UnitOrder};
use crate::deploy::{arms_of, take_winner};
use crate::{Engine, EngineError};

pub(crate) const WATCH_DEPLOYMENT: &str = "WatchDeployment";

/// Outcomes are looked at so long after they came, so that a burst makes one look.
const LOOK_DELAY_US: i64 = SECOND_US / 4;
/// Units that the exact test reads at most.
const MOST_UNITS: i64 = 5_000;

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Payload {
    deployment_id: DeploymentId,
}

/// The job that looks at a deployment soon; only one of them waits at a time.
pub(crate) fn look_spec(project: ProjectId, task: TaskId, deployment: DeploymentId) -> NewJobSpec {
    NewJobSpec {
        id: None,
        project,
        task: Some(task),
        kind: WATCH_DEPLOYMENT,
        payload: serde_json::json!({ "deployment_id": deployment }),
        unique_key: Some(format!("look:{deployment}")),
        delay_us: LOOK_DELAY_US,
    }
}

impl Engine {
    /// Enqueues the looks that time asks for: now, at the end of the present step, and when the deployment's time is over.
    pub(crate) async fn enqueue_looks(
        &self,
        conn: &mut Conn,
        deployment: &Deployment,
    ) -> Result<(), StorageError> {
        let Some(plan) = &deployment.plan else {
            return Ok(());
        };
        let soon = look_spec(
            ProjectId(deployment.project_id),
            TaskId(deployment.task_id),
            DeploymentId(deployment.id),
        );
        enqueue(conn, &self.ids, soon.clone()).await?;
        let now_us = self.ids.now_us();
        let step = usize::try_from(deployment.step).unwrap_or_default();
        let step = plan.steps.get(step).filter(|_| plan.strategy == Strategy::Canary);
        let ends = [
            step.map(|step| deployment.step_at_us + step.min_minutes * MINUTE_US),
            (plan.max_days > 0).then(|| deployment.created_at_us + plan.max_days * DAY_US),
        ];
        for (name, end_us) in ["step", "end"].into_iter().zip(ends) {
            if let Some(end_us) = end_us.filter(|&end_us| end_us > now_us) {
                let spec = NewJobSpec {
                    unique_key: Some(format!("look-{name}:{}:{}", deployment.id, deployment.step)),
                    delay_us: end_us - now_us,
                    ..soon.clone()
                };
                enqueue(conn, &self.ids, spec).await?;
            }
        }
        Ok(())
    }

    /// Looks at a deployment, keeps what that says and does it, where the plan says so. Gives the look; nothing where the
    /// deployment does not share traffic any more.
    pub async fn look_at(&self, project: ProjectId, id: DeploymentId) -> Result<Option<Look>, EngineError> {
        let mut conn = self.db.begin().await?;
        let Some(found) = deployments::find(&mut conn, project, id).await? else {
            return Ok(None);
        };
        tasks::lock(&mut conn, TaskId(found.task_id)).await?;
        let task = tasks::get(&mut conn, TaskId(found.task_id)).await?;
        let found = deployments::find(&mut conn, project, id).await?;
        let Some(mut deployment) = found.filter(|deployment| deployment.state.is_sharing()) else {
            return Ok(None);
        };
        let Some(look) = self.look(&mut conn, &deployment).await? else {
            return Ok(None);
        };
        let value = serde_json::to_value(&look).map_err(|error| EngineError::Dataset(error.to_string()))?;
        deployment.look = Some(Json(value));
        let is_automatic = deployment.plan.as_ref().is_some_and(|plan| plan.automatic);
        let acts = is_automatic && deployment.state == DeploymentState::Running;
        match &look.recommendation {
            Recommendation::RollOut { version_id } if acts => {
                let version = versions::get(&mut conn, ModelVersionId(*version_id)).await?;
                take_winner(&mut deployment, version.id, &version.version)?;
                self.make_live(&mut conn, &task, &mut deployment, &look.reason)
                    .await?;
                self.start_waiting(&mut conn, &task, version.number).await?;
            }
            Recommendation::Advance { shares } if acts => {
                self.advance(&mut conn, &mut deployment, shares, &look.reason)
                    .await?;
            }
            Recommendation::Stop if acts => {
                self.take_off(&mut conn, &mut deployment, Stage::Refused, &look.reason)
                    .await?;
                tracing::warn!(task = task.name, deployment = %deployment.id, reason = look.reason, "rolled back");
                let version = versions::get(&mut conn, ModelVersionId(deployment.model_version_id)).await?;
                self.start_waiting(&mut conn, &task, version.number).await?;
            }
            _ => deployments::update(&mut conn, &deployment).await?,
        }
        conn.commit().await?;
        Ok(Some(look))
    }

    /// What a deployment's outcomes say now; nothing where it is compared with nothing.
    pub(crate) async fn look(
        &self,
        conn: &mut Conn,
        deployment: &Deployment,
    ) -> Result<Option<Look>, EngineError> {
        let (id, task) = (DeploymentId(deployment.id), TaskId(deployment.task_id));
        let (Some(plan), Some(serving)) = (&deployment.plan, deployments::find_serving(conn, task).await?)
        else {
            return Ok(None);
        };
        let table = ArmTable::new(experiments::list_arms(conn, id).await?);
        let mut orders: BTreeMap<Metric, UnitOrder> = BTreeMap::new();
        for metric in plan.metrics() {
            if metric.is_share() && needs_order(&table, &metric, deployment, serving.model_version_id) {
                let units = experiments::list_units(conn, id, &metric, MOST_UNITS).await?;
                orders.insert(metric, units);
            }
        }
        Ok(Some(Look::of(&Seen {
            deployment,
            plan: &plan.0,
            live: serving.model_version_id,
            table: &table,
            orders: &orders,
            now_us: self.ids.now_us(),
        })))
    }
}

/// Whether an arm is too small for the asymptotic comparisons.
fn needs_order(table: &ArmTable, metric: &Metric, deployment: &Deployment, live: uuid::Uuid) -> bool {
    arms_of(deployment).into_iter().any(|version| {
        let [live, new] = table.pair(&metric.name(), live, version);
        let is_small = live.count.min(new.count) < FEWEST;
        let differs = live.mean.total_cmp(&new.mean).is_ne();
        live.count > 0.0 && new.count > 0.0 && differs && is_small
    })
}

/// Looks at a deployment as a job.
pub struct WatchDeployment {
    engine: Engine,
}

impl WatchDeployment {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn watch(&self, context: &JobContext) -> Result<serde_json::Value, JobError> {
        let payload: Payload = serde_json::from_value(context.job.payload.clone())
            .map_err(|error| JobError::Permanent(format!("the payload cannot be read: {error}")))?;
        let look = self
            .engine
            .look_at(context.project(), payload.deployment_id)
            .await?;
        self.engine.refresh_router().await?;
        Ok(match look {
            Some(look) => {
                serde_json::json!({ "recommendation": look.recommendation, "reason": look.reason })
            }
            None => serde_json::json!({ "reason": "the deployment shares no traffic" }),
        })
    }
}

impl Handler for WatchDeployment {
    fn kind(&self) -> &'static str {
        WATCH_DEPLOYMENT
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(self.watch(context))
    }
}
