//! Any sequence of what can happen to the deployments of a task, on two servers, with calls that are cut off in the middle, restarts
//! and a clock that jumps: afterwards exactly one version is live, everything agrees on it, and every deployment has gone a legal way.
use std::collections::BTreeMap;
use std::time::Duration;

use hone_domain::{
    DeploymentEvent, DeploymentId, DeploymentPlan, DeploymentState, Metric, MetricGoal, PromptSpec, Stage,
    Strategy, TaskKind, TaskPolicy, TrafficKey,
};
use hone_engine::{DeployRequest, DeploymentChange, Engine, EngineError, EngineSettings};
use hone_storage::artifacts::ArtifactStore;
use hone_storage::tasks::Task;
use hone_storage::{deployments, tasks, versions};
use hone_testkit::TestApp;
use proptest::prelude::{Just, ProptestConfig, Strategy as _, prop_oneof};

/// Versions of the task.
const VERSIONS: usize = 4;

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    /// A version is made to serve at once.
    Deploy(usize),
    /// A version is to share the traffic.
    Share(usize, usize),
    /// Something is done to one of the last deployments.
    Change(usize, usize),
    /// The task goes back.
    GoBack,
    /// The job looks at one of the last deployments.
    Look(usize),
    /// A version fails again and again.
    Fail(usize),
    /// Time passes, or is set back.
    Clock(i64),
    /// A server starts anew.
    Restart,
    /// The first is cut off after so many microseconds: its client goes away, or its process is killed.
    CutOff(Box<Step>, u64),
    /// Both servers do something at once.
    Race(Box<Step>, Box<Step>),
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        (0..VERSIONS).prop_map(Step::Deploy),
        (0..VERSIONS, 0..4_usize).prop_map(|(version, plan)| Step::Share(version, plan)),
        (0..VERSIONS, 0..4_usize).prop_map(|(version, plan)| Step::Share(version, plan)),
        (0..3_usize, 0..4_usize).prop_map(|(which, change)| Step::Change(which, change)),
        (0..3_usize, 0..4_usize).prop_map(|(which, change)| Step::Change(which, change)),
        Just(Step::GoBack),
        (0..3_usize).prop_map(Step::Look),
        (0..VERSIONS).prop_map(Step::Fail),
        (-3_600_i64..90_000).prop_map(Step::Clock),
        Just(Step::Restart),
    ];
    let several = one.prop_recursive(1, 4, 2, |one| {
        prop_oneof![
            (one.clone(), 0..4_000_u64).prop_map(|(step, us)| Step::CutOff(Box::new(step), us)),
            (one.clone(), one).prop_map(|(a, b)| Step::Race(Box::new(a), Box::new(b))),
        ]
    });
    proptest::collection::vec(several, 1..20)
}

/// Two servers over one database.
struct World {
    app: TestApp,
    other: Engine,
    task: Task,
}

impl World {
    async fn new(kind: &str, name: &str) -> Option<Self> {
        let app = TestApp::of_kind(kind).await?;
        let policy = TaskPolicy::default();
        let made = app
            .engine
            .create_task(app.project, name, TaskKind::Generate, policy, None);
        let task = made.await.unwrap();
        for number in 0..VERSIONS {
            let spec = serde_json::json!({ "model": "openai/gpt-4o-mini",
                "messages": [{ "role": "system", "template": format!("Version {number}.") }] });
            let spec: PromptSpec = serde_json::from_value(spec).unwrap();
            app.engine
                .register_prompt(app.project, name, spec, None)
                .await
                .unwrap();
        }
        let other = another(&app).await;
        Some(Self { app, other, task })
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Restart => {
                self.other.stop().await;
                self.other = another(&self.app).await;
            }
            Step::Clock(seconds) => self.app.clock.advance_us(seconds * 1_000_000),
            Step::CutOff(step, us) => {
                let cut = tokio::time::timeout(Duration::from_micros(*us), self.done(&self.app.engine, step));
                let _ = cut.await;
            }
            Step::Race(one, other) => {
                tokio::join!(self.done(&self.app.engine, one), self.done(&self.other, other));
            }
            step => self.done(&self.app.engine, step).await,
        }
    }

    /// Does one thing on one server. What is not legal is refused; nothing else goes wrong.
    async fn done(&self, engine: &Engine, step: &Step) {
        let project = self.app.project;
        let version = |number: usize| format!("1.{number}.0");
        let deploy = async |request: DeployRequest| {
            let made = engine.deploy(project, &self.task.name, &request, "walk", None);
            made.await.map(|_| ())
        };
        let outcome = match step {
            Step::Deploy(number) => deploy(DeployRequest::Version(version(*number))).await,
            Step::GoBack => deploy(DeployRequest::Rollback(None)).await,
            Step::Share(number, plan) => {
                let strategy = [Strategy::Canary, Strategy::Shadow, Strategy::Ab, Strategy::Bandit][*plan];
                let plan = DeploymentPlan {
                    max_days: 1,
                    goal: MetricGoal::new(Metric::SuccessRate, 0.1),
                    ..DeploymentPlan::of(strategy)
                };
                deploy(DeployRequest::Plan {
                    versions: vec![version(*number)],
                    plan: Box::new(plan),
                })
                .await
            }
            Step::Change(which, change) => match self.recent(engine, *which).await {
                Some(id) => {
                    let change = [
                        DeploymentChange::Pause,
                        DeploymentChange::Resume,
                        DeploymentChange::Promote(None),
                        DeploymentChange::RollBack,
                    ][*change]
                        .clone();
                    let changed = engine.change_deployment(project, id, &change, "walk").await;
                    changed.map(|_| ())
                }
                None => Ok(()),
            },
            Step::Look(which) => match self.recent(engine, *which).await {
                Some(id) => engine.look_at(project, id).await.map(|_| ()),
                None => Ok(()),
            },
            Step::Fail(number) => {
                let mut conn = engine.db.read().await.unwrap();
                let found =
                    versions::find_by_version(&mut conn, self.task.task_id(), &version(*number)).await;
                let found = found.unwrap().unwrap();
                drop(conn);
                engine.take_failing_off(&self.task, found.id, 10).await
            }
            Step::Clock(_) | Step::Restart | Step::CutOff(..) | Step::Race(..) => Ok(()),
        };
        if let Err(error) = outcome {
            assert!(
                matches!(error, EngineError::Conflict(_) | EngineError::Invalid(_)),
                "{step:?}: {error}"
            );
        }
    }

    async fn recent(&self, engine: &Engine, which: usize) -> Option<DeploymentId> {
        let mut conn = engine.db.read().await.unwrap();
        let task = Some(self.task.task_id());
        let found = deployments::list(&mut conn, self.app.project, task, None, 3)
            .await
            .unwrap();
        found.get(which).map(|deployment| DeploymentId(deployment.id))
    }

    async fn check(&self) {
        let (project, task) = (self.app.project, self.task.task_id());
        // What was cut off may be committing still.
        let mut conn = self.app.engine.db.begin().await.unwrap();
        tasks::lock(&mut conn, task).await.unwrap();
        let serving = deployments::find_serving(&mut conn, task).await.unwrap().unwrap();
        let all = versions::list(&mut conn, project, Some(task), None, 100)
            .await
            .unwrap();
        let live: Vec<_> = all
            .iter()
            .filter(|version| version.stage == Stage::Live)
            .collect();
        assert_eq!(live.len(), 1, "{live:?}");
        assert_eq!(live[0].id, serving.model_version_id);
        let history = deployments::list(&mut conn, project, Some(task), None, 500)
            .await
            .unwrap();
        let mut by_state: BTreeMap<DeploymentState, Vec<_>> = BTreeMap::new();
        for deployment in &history {
            by_state.entry(deployment.state).or_default().push(deployment);
            let events = deployments::list_events(&mut conn, DeploymentId(deployment.id))
                .await
                .unwrap();
            assert_eq!(events[0].event, DeploymentEvent::Start);
            let mut state = DeploymentState::Running;
            for event in &events[1..] {
                state = state.after(event.event).unwrap();
                assert_eq!(state, event.state);
            }
            assert_eq!(state, deployment.state, "{events:?}");
        }
        let live = &by_state[&DeploymentState::Live];
        assert_eq!(live.len(), 1, "{live:?}");
        assert_eq!(
            (live[0].id, live[0].model_version_id),
            (serving.deployment_id, serving.model_version_id)
        );
        let sharing: Vec<_> = history
            .iter()
            .filter(|deployment| deployment.state.is_sharing())
            .collect();
        let told = serving
            .sharing
            .as_ref()
            .map(|sharing| (sharing.deployment_id.0, sharing.step));
        assert!(sharing.len() <= 1, "{sharing:?}");
        assert_eq!(
            told,
            sharing.first().map(|deployment| (deployment.id, deployment.step))
        );
        conn.rollback().await.unwrap();
        for engine in [&self.app.engine, &self.other] {
            engine.refresh_router().await.unwrap();
            let served = engine.served(&self.task).unwrap();
            assert_eq!(served.version.id, serving.model_version_id);
            let routed = engine.route(&self.task, &TrafficKey::default()).unwrap();
            assert_eq!(routed.exposed(None).is_some(), serving.sharing.is_some());
        }
    }
}

async fn another(app: &TestApp) -> Engine {
    let artifacts = ArtifactStore::in_folder(&app.database.folder.path().join("artifacts")).unwrap();
    let settings = EngineSettings::default();
    let engine = Engine::start(
        app.database.db.clone(),
        artifacts,
        app.engine.ids.clone(),
        &settings,
    );
    engine.refresh_router().await.unwrap();
    engine
}

/// Walks `cases` random ways over a database of a kind.
fn walk(kind: &str, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let walked = runner.run(&steps(), |steps| {
        runtime.block_on(async {
            let Some(mut world) = World::new(kind, "greet").await else {
                return;
            };
            for step in &steps {
                Box::pin(world.take(step)).await;
                world.check().await;
            }
            world.other.stop().await;
        });
        Ok(())
    });
    walked.unwrap();
}

#[test]
fn any_way_ends_in_a_legal_state_with_one_live_version_on_sqlite() {
    walk("sqlite", 40);
}

#[test]
fn any_way_ends_in_a_legal_state_with_one_live_version_on_postgres() {
    walk("postgres", 15);
}
