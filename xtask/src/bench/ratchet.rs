//! What sharing a task's traffic costs, and how soon a version that harms is gone: routing, recording with outcomes, looks, rollback.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hone_domain::{
    DeploymentId, DeploymentPlan, DeploymentState, FeedbackKind, Ids, InteractionId, NewFeedback,
    NewInteraction, ProjectId, PromptSpec, Strategy, SystemClock, SystemEntropy, TaskKind, TaskPolicy,
    TrafficKey,
};
use hone_engine::{AnsweredBy, DeployRequest, DeploymentChange, Engine, EngineSettings, RecordBatch};
use hone_storage::Db;
use hone_storage::artifacts::ArtifactStore;
use hone_storage::tasks::Task;

use super::curation::Draws;
use super::report::{Repeats, append};

const REPEATS: usize = 5;
const ROUTED: u32 = 200_000;
const BATCH: usize = 1_000;
/// Interactions that an experiment has when its growth is measured.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Deployments of a version that is ten points worse.
const HARMFUL: u64 = 101;
/// Outcomes between two looks, as they come within a quarter of a second at 100 a second.
const BETWEEN_LOOKS: usize = 25;
const WAIT: Duration = Duration::from_millis(1);

struct Site {
    engine: Engine,
    project: ProjectId,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut table = String::from("| what | |\n|---|---|\n");
    runtime.block_on(async {
        let db = Db::open(&folder.path().join("hone.sqlite").display().to_string()).await?;
        let artifacts = ArtifactStore::in_folder(&folder.path().join("artifacts"))?;
        let ids = Ids::new(Arc::new(SystemClock), Arc::new(SystemEntropy));
        let engine = Engine::start(db, artifacts, ids, &EngineSettings::default());
        let project = ProjectId(engine.ensure_project("bench").await?.id);
        let site = Site { engine, project };
        site.costs(&mut table).await?;
        site.harm(&mut table).await?;
        site.outright(&mut table).await?;
        site.engine.stop().await;
        site.engine.db.close().await;
        anyhow::Ok(())
    })?;
    append("ratchet", &table)
}

impl Site {
    /// A task with a live version and another one.
    async fn task(&self, name: &str) -> anyhow::Result<Task> {
        let mut policy = TaskPolicy::default();
        policy.curation.automatic = false;
        let made = self
            .engine
            .create_task(self.project, name, TaskKind::Generate, policy, None);
        let task = made.await?;
        for text in ["Answer.", "Answer well."] {
            let spec =
                serde_json::json!({ "model": "p/m", "messages": [{ "role": "system", "template": text }] });
            let spec: PromptSpec = serde_json::from_value(spec)?;
            self.engine
                .register_prompt(self.project, name, spec, None)
                .await?;
        }
        Ok(task)
    }

    async fn share(&self, task: &Task) -> anyhow::Result<DeploymentId> {
        let plan = DeploymentPlan {
            max_days: 0,
            steps: vec![hone_domain::CanaryStep {
                percent: 50.0,
                min_minutes: 0,
                min_outcomes: 1_000_000,
                goal: None,
            }],
            ..DeploymentPlan::of(Strategy::Canary)
        };
        let request = DeployRequest::Plan {
            versions: vec!["1.1.0".to_owned()],
            plan: Box::new(plan),
        };
        let made = self
            .engine
            .deploy(self.project, &task.name, &request, "bench", None);
        Ok(DeploymentId(made.await?.id))
    }

    fn route_ns(&self, task: &Task, key: &TrafficKey<'_>) -> anyhow::Result<Repeats> {
        let mut times = Vec::new();
        for _ in 0..REPEATS {
            let start = Instant::now();
            for _ in 0..ROUTED {
                black_box(self.engine.route(task, key)?);
            }
            times.push(start.elapsed().as_nanos() as f64 / f64::from(ROUTED));
        }
        Ok(Repeats::new(times))
    }

    /// Records so many interactions in conversations of their own, then a thumb on each; gives microseconds for one of either.
    async fn record(
        &self,
        task: &Task,
        count: usize,
        rates: [f64; 2],
        draws: &mut Draws,
    ) -> anyhow::Result<[f64; 2]> {
        let privacy = self.engine.privacy(self.project).await?;
        let recorder = self.engine.recorder();
        let (mut batch, mut said) = (RecordBatch::default(), RecordBatch::default());
        for _ in 0..count {
            let name = format!("conversation {:x}", draws.below(1 << 60));
            let key = TrafficKey {
                conversation: Some(&name),
                subject: None,
            };
            let routed = self.engine.route(task, &key)?;
            let answered = AnsweredBy {
                version: Some(routed.served.version.id),
                exposed: routed.exposed(None),
            };
            let new = NewInteraction {
                task: task.name.clone(),
                input: format!("what is {:x}?", draws.below(1 << 40)),
                output: Some("It is what it is.".to_owned()),
                latency_ms: Some(20.0 + draws.below(10) as f64),
                ..NewInteraction::default()
            };
            let id: InteractionId =
                recorder.add_interaction(&mut batch, task, &privacy, new, false, answered)?;
            let rate = rates[usize::from(routed.served.version.version == "1.1.0")];
            let thumb = NewFeedback {
                interaction_id: Some(id),
                up: Some((draws.below(1 << 20) as f64) < rate * f64::from(1 << 20)),
                ..NewFeedback::new(FeedbackKind::Thumb)
            };
            recorder.add_feedback(&mut said, self.project, &privacy, thumb)?;
        }
        let mut times = [0.0; 2];
        for (time, batch) in times.iter_mut().zip([batch, said]) {
            let start = Instant::now();
            recorder.write(batch).await?;
            *time = start.elapsed().as_secs_f64() * 1e6 / count as f64;
        }
        Ok(times)
    }

    async fn costs(&self, table: &mut String) -> anyhow::Result<()> {
        let task = self.task("costs").await?;
        let mut draws = Draws::new(1);
        let key = TrafficKey {
            conversation: Some("a conversation of 40 characters, or so."),
            subject: None,
        };
        let alone = self.route_ns(&task, &key)?;
        let plain = self.record_repeatedly(&task, &mut draws).await?;
        let id = self.share(&task).await?;
        let shared = self.route_ns(&task, &key)?;
        let drawn = self.route_ns(&task, &TrafficKey::default())?;
        writeln!(
            table,
            "| routing a request, one version, ns | {} |",
            alone.shown(0)
        )?;
        writeln!(
            table,
            "| the same, two versions, by conversation, ns | {} |",
            shared.shown(0)
        )?;
        writeln!(
            table,
            "| the same, each request by itself, ns | {} |",
            drawn.shown(0)
        )?;
        writeln!(
            table,
            "| writing an interaction, one version, us | {} |",
            plain[0].shown(1)
        )?;
        writeln!(
            table,
            "| writing feedback, one version, us | {} |",
            plain[1].shown(1)
        )?;
        let mut there = 0;
        for size in SIZES {
            while there < size {
                self.record(&task, BATCH, [0.8, 0.8], &mut draws).await?;
                there += BATCH;
            }
            let shared = self.record_repeatedly(&task, &mut draws).await?;
            there += REPEATS * BATCH;
            let mut looks = Vec::new();
            for _ in 0..REPEATS {
                let start = Instant::now();
                self.engine.look_at(self.project, id).await?;
                looks.push(start.elapsed().as_secs_f64() * 1e3);
            }
            writeln!(
                table,
                "| two versions, {size} outcomes there: interaction, feedback, us; a look, ms | {}; {}; {} |",
                shared[0].shown(1),
                shared[1].shown(1),
                Repeats::new(looks).shown(2)
            )?;
        }
        Ok(())
    }

    async fn record_repeatedly(&self, task: &Task, draws: &mut Draws) -> anyhow::Result<[Repeats; 2]> {
        let (mut interactions, mut feedback) = (Vec::new(), Vec::new());
        for _ in 0..REPEATS {
            let [interaction, thumb] = self.record(task, BATCH, [0.8, 0.8], draws).await?;
            interactions.push(interaction);
            feedback.push(thumb);
        }
        Ok([Repeats::new(interactions), Repeats::new(feedback)])
    }

    async fn harm(&self, table: &mut String) -> anyhow::Result<()> {
        let mut outcomes = Vec::new();
        for run in 0..HARMFUL {
            let task = self.task(&format!("harm-{run}")).await?;
            let id = self.share(&task).await?;
            let mut draws = Draws::new(100 + run);
            let mut count = 0;
            loop {
                self.record(&task, BETWEEN_LOOKS, [0.8, 0.7], &mut draws).await?;
                count += BETWEEN_LOOKS;
                self.engine.look_at(self.project, id).await?;
                let view = self.engine.show_deployment(self.project, id).await?;
                if view.deployment.state == DeploymentState::RolledBack {
                    break;
                }
                anyhow::ensure!(count < 20_000, "never rolled back");
            }
            outcomes.push(count as f64);
        }
        writeln!(
            table,
            "| outcomes until a version ten points worse (.70 against .80, half and half, margin .02) is rolled back, {HARMFUL} times | {} |",
            Repeats::new(outcomes).shown(0)
        )?;
        Ok(())
    }

    /// From the tenth failure to the first request that the earlier version gets.
    async fn outright(&self, table: &mut String) -> anyhow::Result<()> {
        let mut times = Vec::new();
        for run in 0..REPEATS {
            let task = self.task(&format!("fails-{run}")).await?;
            let id = self.share(&task).await?;
            let change = DeploymentChange::Promote(None);
            self.engine
                .change_deployment(self.project, id, &change, "bench")
                .await?;
            let failing = self.engine.served(&task)?.version.id;
            for _ in 0..10 {
                self.engine.note_call(&task, failing, false);
            }
            let start = Instant::now();
            while self.engine.served(&task)?.version.id == failing {
                anyhow::ensure!(start.elapsed() < Duration::from_secs(10), "never rolled back");
                tokio::time::sleep(WAIT).await;
            }
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        writeln!(
            table,
            "| from the tenth failure in a row to the earlier version serving, ms | {} |",
            Repeats::new(times).shown(1)
        )
        .context("the table")
    }
}
