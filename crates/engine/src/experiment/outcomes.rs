//! What interactions and feedback say of the versions that share a task's traffic: gathered for a group of records and written in
//! its transaction.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hone_domain::{
    DeploymentId, FeedbackKind, Ids, InteractionId, InteractionStatus, Metric, ProjectId, Sharing, TaskId,
};
use hone_jobs::enqueue;
use hone_storage::experiments::{self, ArmKey, DISAGREEMENT, EXPOSURE, Exposure, Gain};
use hone_storage::feedback::Feedback;
use hone_storage::interactions::Interaction;
use hone_storage::tasks::Task;
use hone_storage::{Conn, OptionalText, StorageError, deployments};
use uuid::Uuid;

use super::watch::look_spec;
use crate::effects::judgement;
use crate::{Engine, EngineError};

/// What a shadow said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShadowAnswer {
    /// The version.
    pub version: Uuid,
    /// Its label.
    pub label: Option<String>,
    /// Its text.
    pub output: Option<String>,
    /// Whether it could answer.
    pub is_ok: bool,
    /// Its time to answer, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Its cost, in millionths of a USD.
    pub cost_micro_usd: Option<i64>,
}

/// Which version a request got while several share the traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposed {
    /// How the traffic was shared.
    pub sharing: Arc<Sharing>,
    /// The version that answered.
    pub version: Uuid,
    /// The unit of traffic.
    pub unit: Uuid,
    /// What the shadow said, where one was asked and has answered by now.
    pub shadow: Option<ShadowAnswer>,
}

/// The answer that a shadow is compared with, once both are there.
#[derive(Debug, Clone)]
pub struct LiveAnswer {
    /// The interaction.
    pub interaction: InteractionId,
    /// Its task.
    pub task: Arc<Task>,
    /// How it ended.
    pub status: InteractionStatus,
    /// What was answered.
    pub output: Option<String>,
    /// Whether texts are recorded.
    pub keeps_texts: bool,
}

impl Engine {
    /// Keeps what a shadow said after the live version had answered.
    pub async fn record_shadow(
        &self,
        live: &LiveAnswer,
        exposed: &Exposed,
        shadow: ShadowAnswer,
    ) -> Result<(), EngineError> {
        let mut outcomes = Outcomes::default();
        let privacy = self.privacy(live.task.project()).await?;
        let agrees = agreement(live.status, (None, live.output.as_deref()), &shadow);
        let output = shadow.output.as_deref().filter(|_| live.keeps_texts);
        let shadow = ShadowAnswer {
            output: output.map(|output| privacy.as_recorded(output)),
            ..shadow
        };
        let place = Place {
            project_id: live.task.project_id,
            task_id: live.task.id,
            interaction_id: live.interaction.0,
            at_us: self.ids.now_us(),
        };
        let exposure = outcomes.expose(&place, exposed, Some(&shadow), agrees);
        outcomes.of_shadow(&exposure, &exposed.sharing, &shadow);
        let mut conn = self.db.begin().await?;
        outcomes.write(&mut conn, &self.ids).await?;
        conn.commit().await?;
        Ok(())
    }
}

/// Where an outcome belongs.
struct Place {
    project_id: Uuid,
    task_id: Uuid,
    interaction_id: Uuid,
    at_us: i64,
}

/// What a group of records says, summed up.
#[derive(Default)]
pub(crate) struct Outcomes {
    exposures: Vec<Exposure>,
    gains: BTreeMap<(ArmKey, Uuid), Gain>,
    feedback: Vec<(Feedback, TaskId, Option<bool>)>,
    /// Deployments to look at, with their project and task.
    touched: BTreeSet<(Uuid, Uuid, Uuid)>,
}

impl Outcomes {
    /// Notes what an interaction says of the version that answered it.
    pub fn of_interaction(&mut self, row: &Interaction, exposed: &Exposed) {
        let shadow = exposed.shadow.as_ref();
        let said = (row.label.as_deref(), row.output.0.as_deref());
        let agrees = shadow.and_then(|shadow| agreement(row.status, said, shadow));
        let place = Place {
            project_id: row.project_id,
            task_id: row.task_id,
            interaction_id: row.id,
            at_us: row.created_at_us,
        };
        let exposure = self.expose(&place, exposed, shadow, agrees);
        self.add(&exposure, exposed.version, EXPOSURE, (1, 1.0), place.at_us);
        for metric in &exposed.sharing.metrics {
            if let Some(gain) = gain_of_interaction(metric, row) {
                self.add(&exposure, exposed.version, &metric.name(), gain, place.at_us);
            }
        }
        if let Some(shadow) = shadow {
            self.of_shadow(&exposure, &exposed.sharing, shadow);
        }
    }

    fn expose(
        &mut self,
        place: &Place,
        exposed: &Exposed,
        shadow: Option<&ShadowAnswer>,
        agrees: Option<bool>,
    ) -> Exposure {
        let sharing = &exposed.sharing;
        let exposure = Exposure {
            project_id: place.project_id,
            interaction_id: place.interaction_id,
            deployment_id: sharing.deployment_id.0,
            version_id: exposed.version,
            unit: exposed.unit,
            step: sharing.step,
            shadow_version_id: shadow.map(|shadow| shadow.version),
            shadow_label: shadow.and_then(|shadow| shadow.label.clone()),
            shadow_output: OptionalText(shadow.and_then(|shadow| shadow.output.clone())),
            agrees,
            created_at_us: place.at_us,
        };
        self.touched
            .insert((sharing.deployment_id.0, place.project_id, place.task_id));
        self.exposures.push(exposure.clone());
        exposure
    }

    fn of_shadow(&mut self, exposure: &Exposure, sharing: &Sharing, shadow: &ShadowAnswer) {
        let at_us = exposure.created_at_us;
        for metric in &sharing.metrics {
            if let Some(gain) = gain_of_shadow(metric, shadow) {
                self.add(exposure, shadow.version, &metric.name(), gain, at_us);
            }
        }
        if let Some(agrees) = exposure.agrees {
            self.add(
                exposure,
                shadow.version,
                DISAGREEMENT,
                (1, f64::from(!agrees)),
                at_us,
            );
        }
    }

    /// Notes feedback that may be about such an interaction.
    pub fn of_feedback(&mut self, row: &Feedback, task: TaskId, is_mismatch: Option<bool>) {
        if row.interaction_id.is_some() {
            self.feedback.push((row.clone(), task, is_mismatch));
        }
    }

    /// Writes everything, and enqueues a look at each deployment that it is about.
    pub async fn write(mut self, conn: &mut Conn, ids: &Ids) -> Result<(), StorageError> {
        self.exposures
            .sort_unstable_by_key(|exposure| (exposure.project_id, exposure.interaction_id));
        experiments::expose(conn, &self.exposures).await?;
        self.take_feedback(conn).await?;
        experiments::add_outcomes(conn, &self.gains).await?;
        for &(deployment, project, task) in &self.touched {
            let spec = look_spec(ProjectId(project), TaskId(task), DeploymentId(deployment));
            enqueue(conn, ids, spec).await?;
        }
        Ok(())
    }

    /// Finds out which version feedback is about. What comes after the deployment was decided says nothing of it any more.
    async fn take_feedback(&mut self, conn: &mut Conn) -> Result<(), StorageError> {
        let mut sharing: BTreeMap<TaskId, Option<Sharing>> = BTreeMap::new();
        for (row, task, is_mismatch) in std::mem::take(&mut self.feedback) {
            let known = match sharing.entry(task) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let serving = deployments::find_serving(conn, task).await?;
                    let found = serving.and_then(|serving| serving.sharing);
                    place.insert(found.map(|sharing| sharing.0))
                }
            };
            let (Some(sharing), Some(interaction)) = (known.as_ref(), row.interaction_id) else {
                continue;
            };
            let (project, interaction) = (ProjectId(row.project_id), InteractionId(interaction));
            let exposure = experiments::find_exposure(conn, project, interaction).await?;
            if let Some(exposure) =
                exposure.filter(|exposure| exposure.deployment_id == sharing.deployment_id.0)
            {
                self.of_exposed_feedback(&row, task, is_mismatch, &exposure, sharing);
            }
        }
        Ok(())
    }

    fn of_exposed_feedback(
        &mut self,
        row: &Feedback,
        task: TaskId,
        is_mismatch: Option<bool>,
        exposure: &Exposure,
        sharing: &Sharing,
    ) {
        let at_us = row.created_at_us;
        for metric in &sharing.metrics {
            let name = metric.name();
            if *metric == Metric::Correctness && sharing.is_shadow {
                // Both are judged on the same requests: on those where somebody named the right label.
                if let Some((shadow, live, new)) = judged_beside(row, is_mismatch, exposure) {
                    self.add(exposure, exposure.version_id, &name, (1, f64::from(live)), at_us);
                    self.add(exposure, shadow, &name, (1, f64::from(new)), at_us);
                }
            } else if let Some(gain) = gain_of_feedback(metric, row, is_mismatch) {
                self.add(exposure, exposure.version_id, &name, gain, at_us);
            }
        }
        self.touched
            .insert((exposure.deployment_id, exposure.project_id, task.0));
    }

    fn add(&mut self, exposure: &Exposure, version: Uuid, metric: &str, gain: (i64, f64), at_us: i64) {
        let arm = ArmKey {
            deployment_id: exposure.deployment_id,
            metric: metric.to_owned(),
            step: exposure.step,
            version_id: version,
            project_id: exposure.project_id,
        };
        let sum = self.gains.entry((arm, exposure.unit)).or_insert(Gain {
            at_us,
            ..Gain::default()
        });
        sum.outcomes += gain.0;
        sum.total += gain.1;
    }
}

/// Number and sum of the outcomes that an interaction is by itself.
fn gain_of_interaction(metric: &Metric, row: &Interaction) -> Option<(i64, f64)> {
    if row.status == InteractionStatus::Cancelled {
        return None;
    }
    let is_error = row.status == InteractionStatus::Error;
    let outcome = match metric {
        Metric::SuccessRate => Some(f64::from(!is_error)),
        Metric::EscalationRate => Some(f64::from(row.status == InteractionStatus::Escalated)),
        // Feedback adds what was corrected.
        Metric::CorrectionRate => (!is_error).then_some(0.0),
        Metric::Latency => row
            .latency_us
            .filter(|_| !is_error)
            .map(|latency_us| latency_us as f64 / 1e3),
        Metric::Cost => row
            .cost_micro_usd
            .filter(|_| !is_error)
            .map(|cost| cost as f64 / 1e6),
        Metric::Correctness | Metric::Thumb | Metric::Rating | Metric::Score(_) => None,
    };
    outcome.map(|outcome| (1, outcome))
}

fn gain_of_shadow(metric: &Metric, shadow: &ShadowAnswer) -> Option<(i64, f64)> {
    let outcome = match metric {
        Metric::SuccessRate => Some(f64::from(shadow.is_ok)),
        Metric::Latency => shadow.latency_ms.filter(|_| shadow.is_ok),
        Metric::Cost => shadow
            .cost_micro_usd
            .filter(|_| shadow.is_ok)
            .map(|cost| cost as f64 / 1e6),
        _ => None,
    };
    outcome.map(|outcome| (1, outcome))
}

/// Number and sum of the outcomes that feedback is.
fn gain_of_feedback(metric: &Metric, row: &Feedback, is_mismatch: Option<bool>) -> Option<(i64, f64)> {
    let value = |kind| row.value.filter(|_| row.kind == kind).map(|value| (1, value));
    match metric {
        Metric::Correctness => judgement(row, is_mismatch).map(|correct| (1, f64::from(correct))),
        Metric::Thumb => value(FeedbackKind::Thumb).map(|(count, value)| (count, f64::from(value > 0.5))),
        Metric::Rating => value(FeedbackKind::Rating),
        Metric::Score(name) => value(FeedbackKind::Score).filter(|_| row.name.as_ref() == Some(name)),
        Metric::CorrectionRate => {
            let corrects = row.kind == FeedbackKind::Correction && judgement(row, is_mismatch) == Some(false);
            corrects.then_some((0, 1.0))
        }
        Metric::EscalationRate | Metric::SuccessRate | Metric::Latency | Metric::Cost => None,
    }
}

/// Whether the shadow said the same, as label or as text; nothing where one of the two said nothing.
fn agreement(
    status: InteractionStatus,
    said: (Option<&str>, Option<&str>),
    shadow: &ShadowAnswer,
) -> Option<bool> {
    if !shadow.is_ok || status == InteractionStatus::Error {
        return None;
    }
    if let (Some(live), Some(new)) = (said.0, &shadow.label) {
        return Some(live == new);
    }
    let (live, new) = (said.1?, shadow.output.as_deref()?);
    Some(hone_text::normalised_hash(live) == hone_text::normalised_hash(new))
}

/// A shadow, whether the live version was right and whether the shadow was. Only who names the right label says so of both: a thumb
/// up is a thumb down for a shadow that said something else, but a thumb down is nothing, so thumbs would favour what they are on.
fn judged_beside(
    row: &Feedback,
    is_mismatch: Option<bool>,
    exposure: &Exposure,
) -> Option<(Uuid, bool, bool)> {
    let right = row
        .label
        .as_ref()
        .filter(|_| row.kind == FeedbackKind::Correction)?;
    let live = judgement(row, is_mismatch)?;
    let new = exposure.shadow_label.as_ref()? == right;
    Some((exposure.shadow_version_id?, live, new))
}
