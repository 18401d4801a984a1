//! Filling the queue with what teaches most: the requests whose two most probable labels are closest, a random share, few of
//! one group of near-duplicates; while there is no model, what is typical of many requests. Reads only what is new.

use std::collections::BTreeMap;

use hone_domain::{
    AnswerSource, InteractionStatus, ReviewKind, ReviewPolicy, ReviewReason, ReviewState, TaskKind,
};
use hone_jobs::{Handler, HandlerFuture, JobContext, JobError};
use hone_storage::interactions::Interaction;
use hone_storage::reviews::{self, Filter};
use hone_storage::tasks::Task;
use hone_storage::{Conn, examples, interactions, tasks};
use hone_text::BandGroups;
use uuid::Uuid;

use super::ReviewDraft;
use crate::record::{band_bytes, bands_of_bytes, signatures};
use crate::{Engine, EngineError, Served};

pub(crate) const FILL_REVIEWS: &str = "FillReviews";
/// Interactions read at a time, and looked at in one go at most.
const PAGE: i64 = 500;
const MAX_CONSIDERED: usize = 20_000;
/// Open items whose groups are known.
const MAX_OPEN: i64 = 2_000;
/// An open item of which the model has become so sure gives way.
const SURE_MARGIN: f64 = 0.95;

/// What filling did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FillReport {
    /// Interactions that were looked at.
    pub considered: usize,
    /// Items that were put into the queue.
    pub added: usize,
}

/// An interaction that could be asked about.
struct Candidate {
    interaction: Interaction,
    reason: ReviewReason,
    priority: f64,
    suggestion: Option<String>,
    details: Option<serde_json::Value>,
}

impl Engine {
    /// Puts what is new and instructive into the queue of a task; what teaches less gives way.
    pub async fn fill_reviews(&self, task: &Task) -> Result<FillReport, EngineError> {
        let policy = &task.policy.review;
        let mut report = FillReport::default();
        if policy.queue_size == 0 {
            return Ok(report);
        }
        let served = self.served(task).ok();
        let mut conn = self.db.read().await?;
        let mut after = reviews::get_progress(&mut conn, task.task_id())
            .await?
            .unwrap_or((0, Uuid::nil()));
        let mut asked = BandGroups::default();
        let (open, all) = (Some(ReviewState::Open), Filter::default());
        for review in reviews::list(&mut conn, task.task_id(), open, &all, None, MAX_OPEN).await? {
            asked.add(&bands_of_bytes(&band_bytes(&signatures(&review.input.0))));
        }
        let mut candidates = Vec::new();
        while report.considered < MAX_CONSIDERED {
            let page = interactions::list_after(&mut conn, task.task_id(), after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = (last.created_at_us, last.id);
            report.considered += page.len();
            for interaction in page {
                if can_be_asked(task, &interaction) && !is_known(&mut conn, task, &interaction).await? {
                    candidates.push(self.candidate(task, served.as_deref(), interaction)?);
                }
            }
            candidates = chosen(&task.policy.review, candidates, asked.clone());
        }
        drop(conn);
        let mut conn = self.db.begin().await?;
        tasks::lock(&mut conn, task.task_id()).await?;
        for candidate in candidates {
            let draft = draft_of(task, candidate);
            report.added += usize::from(self.enqueue_review(&mut conn, task, draft).await?.is_some());
        }
        reviews::set_progress(&mut conn, task.project(), task.task_id(), after).await?;
        self.trim_queue(&mut conn, task).await?;
        conn.commit().await?;
        Ok(report)
    }

    /// How much would be learned from an interaction.
    fn candidate(
        &self,
        task: &Task,
        served: Option<&Served>,
        interaction: Interaction,
    ) -> Result<Candidate, EngineError> {
        let (mut priority, mut suggestion, mut details) = (None, interaction.label.clone(), None);
        if let Some(served) = served.filter(|served| served.model.classifier().is_some()) {
            let answer = self.predict(task, served, &interaction.input.0)?;
            let best = |place: usize| answer.alternatives.get(place).map_or(0.0, |(_, p)| *p);
            priority = Some(1.0 - (best(0) - best(1)));
            suggestion = answer.alternatives.first().map(|(label, _)| label.clone());
            details = Some(serde_json::json!({ "alternatives": answer.alternatives }));
        } else if let Some(confidence) = interaction.confidence {
            priority = Some(1.0 - confidence);
        }
        let is_drawn = self.draw() < task.policy.review.random_share;
        let reason = match priority {
            _ if is_drawn => ReviewReason::Random,
            Some(_) => ReviewReason::Uncertain,
            None => ReviewReason::Typical,
        };
        Ok(Candidate {
            priority: if is_drawn {
                self.draw()
            } else {
                priority.unwrap_or(0.5)
            },
            interaction,
            reason,
            suggestion,
            details,
        })
    }

    /// Takes what teaches least off the queue when there is more in it than wanted.
    async fn trim_queue(&self, conn: &mut Conn, task: &Task) -> Result<(), EngineError> {
        let policy = &task.policy.review;
        let random = (policy.queue_size as f64 * policy.random_share).ceil() as i64;
        let all = policy.queue_size as i64;
        for (reason, count) in reviews::count_open(conn, task.task_id()).await? {
            let Ok(reason) = reason.parse::<ReviewReason>() else {
                continue;
            };
            let room = match reason {
                ReviewReason::ByHand => continue,
                ReviewReason::Random => random,
                ReviewReason::Uncertain | ReviewReason::Typical => all - random,
                ReviewReason::Suspect | ReviewReason::Mismatch | ReviewReason::LowRating => all,
            };
            if count > room {
                reviews::drop_least(conn, task.task_id(), reason, count - room).await?;
            }
        }
        Ok(())
    }

    /// Looks at the open items again with the model that serves now: what it has become sure of gives way.
    pub(crate) async fn reorder_reviews(&self, task: &Task) -> Result<(), EngineError> {
        let Ok(served) = self.served(task) else {
            return Ok(());
        };
        if served.model.classifier().is_none() {
            return Ok(());
        }
        for reason in [ReviewReason::Uncertain, ReviewReason::Typical] {
            let filter = Filter {
                reason: Some(reason),
                ..Filter::default()
            };
            let limit = 2 * task.policy.review.queue_size as i64;
            let mut conn = self.db.begin().await?;
            tasks::lock(&mut conn, task.task_id()).await?;
            let open = reviews::list(
                &mut conn,
                task.task_id(),
                Some(ReviewState::Open),
                &filter,
                None,
                limit,
            );
            let mut sure = 0;
            for review in open
                .await?
                .into_iter()
                .filter(|review| review.claimed + review.done == 0)
            {
                let answer = self.predict(task, &served, &review.input.0)?;
                let best = |place: usize| answer.alternatives.get(place).map_or(0.0, |(_, p)| *p);
                let margin = best(0) - best(1);
                let suggestion = answer.alternatives.first().map(|(label, _)| label.as_str());
                reviews::set_priority(&mut conn, review.id, 1.0 - margin, suggestion).await?;
                sure += i64::from(margin > SURE_MARGIN);
            }
            if sure > 0 {
                reviews::drop_least(&mut conn, task.task_id(), reason, sure).await?;
            }
            conn.commit().await?;
        }
        Ok(())
    }
}

/// Those that teach most: the highest priorities within each reason's share of the queue, few of each group of
/// near-duplicates, with those that are asked about already. Of what is typical, one of each of the largest groups.
fn chosen(policy: &ReviewPolicy, mut candidates: Vec<Candidate>, mut groups: BandGroups) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.priority.total_cmp(&a.priority));
    let mut kept: Vec<(Candidate, usize)> = Vec::new();
    let mut by_reason: BTreeMap<ReviewReason, usize> = BTreeMap::new();
    for candidate in candidates {
        let bands = bands_of_bytes(candidate.interaction.near_bands.as_deref().unwrap_or_default());
        let (group, size) = groups.add(&bands);
        let is_typical = candidate.reason == ReviewReason::Typical;
        let most_of_group = if is_typical { 1 } else { policy.per_group };
        if size > most_of_group {
            continue;
        }
        let room = match candidate.reason {
            ReviewReason::Random => (policy.queue_size as f64 * policy.random_share).ceil() as usize,
            // What is typical is known when all have been seen.
            ReviewReason::Typical => usize::MAX,
            _ => policy.queue_size,
        };
        let count = by_reason.entry(candidate.reason).or_default();
        if *count < room {
            *count += 1;
            kept.push((candidate, group));
        }
    }
    let largest = groups.sizes().iter().copied().max().unwrap_or(1).max(1) as f64;
    for (candidate, group) in &mut kept {
        if candidate.reason == ReviewReason::Typical {
            candidate.priority = candidate.priority.max(groups.sizes()[*group] as f64 / largest);
        }
    }
    kept.sort_by(|a, b| b.0.priority.total_cmp(&a.0.priority));
    kept.truncate(2 * policy.queue_size);
    kept.into_iter().map(|(candidate, _)| candidate).collect()
}

/// Whether anything is learned from what people say of an interaction.
fn can_be_asked(task: &Task, interaction: &Interaction) -> bool {
    let has_answer = task.kind == TaskKind::Classify || interaction.output.0.is_some();
    let ended = matches!(
        interaction.status,
        InteractionStatus::Ok | InteractionStatus::Abstained
    );
    let by_model = interaction.source != AnswerSource::Human && !interaction.is_reference;
    by_model && ended && has_answer && !interaction.input.0.is_empty()
}

/// Whether it is known what is right: it has become an example, or the same text has.
async fn is_known(conn: &mut Conn, task: &Task, interaction: &Interaction) -> Result<bool, EngineError> {
    let id = interaction.id.into();
    if examples::find_by_interaction(conn, task.task_id(), id)
        .await?
        .is_some()
    {
        return Ok(true);
    }
    let twin = examples::find_usable_by_hash(conn, task.task_id(), &interaction.input_hash).await?;
    Ok(twin.is_some())
}

fn draft_of(task: &Task, candidate: Candidate) -> ReviewDraft {
    let Interaction {
        id,
        input,
        output,
        label,
        ..
    } = candidate.interaction;
    ReviewDraft {
        interaction_id: Some(id),
        example_id: None,
        kind: ReviewKind::Answer,
        reason: candidate.reason,
        priority: candidate.priority,
        input: input.0,
        output: output.0,
        alternative: None,
        label,
        suggestion: candidate.suggestion,
        details: candidate.details,
        gold_label: None,
        wanted: task.policy.review.reviewers,
    }
}

/// Fills the queue of a task as a job.
pub struct FillReviews {
    engine: Engine,
}

impl FillReviews {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn fill(&self, context: &JobContext) -> Result<serde_json::Value, JobError> {
        let task = crate::curate::task_of(context)?;
        let task = tasks::get(&mut self.engine.db.read().await?, task).await?;
        self.engine.reorder_reviews(&task).await?;
        let report = self.engine.fill_reviews(&task).await?;
        Ok(serde_json::json!(report))
    }
}

impl Handler for FillReviews {
    fn kind(&self) -> &'static str {
        FILL_REVIEWS
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(self.fill(context))
    }
}
