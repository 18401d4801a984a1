//! Every noun of the registry and of access, written and read on both databases.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use hone_domain::{
    ConversationId, DatasetId, DeploymentId, DeploymentKind, DeploymentPlan, DeploymentState, ExampleId,
    ExampleOrigin, ExampleStatus, Identity, MissedRuns, ModelVersionId, ProjectId, RunId, RunStatus, Scope,
    Stage, Strategy, SubjectId, TaskId, TrainingTrigger,
};
use hone_storage::datasets::Dataset;
use hone_storage::deployments::Deployment;
use hone_storage::examples::Example;
use hone_storage::keys::ApiKey;
use hone_storage::runs::Run;
use hone_storage::schedules::Schedule;
use hone_storage::versions::ModelVersion;
use hone_storage::{
    Conn, Json, OptionalText, StoredText, conversations, datasets, deployments, examples, keys, projects,
    runs, schedules, versions,
};
use hone_testkit::{START_US, database_of_kind};
use rstest::rstest;
use serde_json::json;
use uuid::Uuid;

const PROJECT: ProjectId = ProjectId(Uuid::from_u128(1));
const TASK: TaskId = TaskId(Uuid::from_u128(2));

async fn project(conn: &mut Conn) {
    let project = projects::Project {
        limits: None,
        privacy: None,
        shipped_schedules: 0,
        id: PROJECT.0,
        name: "p".into(),
        pseudonym_key: vec![7; 32],
        created_at_us: START_US,
    };
    assert!(projects::insert(conn, &project).await.unwrap());
    assert!(!projects::insert(conn, &project).await.unwrap(), "one of a name");
}

fn example(number: u128) -> Example {
    Example {
        id: Uuid::from_u128(number),
        project_id: PROJECT.0,
        task_id: TASK.0,
        interaction_id: None,
        conversation_id: Some(Uuid::from_u128(99)),
        input: StoredText("wo ist mein Päckchen? 📦".into()),
        label: Some("order".into()),
        target: OptionalText(Some("unterwegs".into())),
        input_hash: vec![number as u8; 32],
        weight: 2.0,
        status: ExampleStatus::Approved,
        origin: ExampleOrigin::Live,
        is_validated: true,
        split: None,
        reason: "corrected by user".into(),
        judged_at_us: START_US,
        created_at_us: START_US,
        updated_at_us: START_US,
        subject_id: None,
        step: None,
        source: None,
        decided_by: hone_domain::DecidedBy::Curation,
        quality: Some(0.8),
        quality_reasons: None,
        language: None,
        topics: None,
        near_group: None,
        near_bands: None,
        near_seq: None,
    }
}

fn run(number: u128) -> Run {
    Run {
        id: Uuid::from_u128(number),
        project_id: PROJECT.0,
        task_id: TASK.0,
        reason: TrainingTrigger::Manual,
        status: RunStatus::Queued,
        trainer: "linear".into(),
        settings: json!({ "c": 0.5 }),
        seed: 7,
        dataset_id: None,
        artifact_hash: None,
        artifact_bytes: None,
        baseline_version_id: None,
        model_version_id: None,
        metrics: None,
        baseline_metrics: None,
        decision: None,
        error: None,
        created_at_us: START_US,
        started_at_us: None,
        finished_at_us: None,
        search: None,
    }
}

fn version(number: i64, run: u128) -> ModelVersion {
    ModelVersion {
        id: Uuid::from_u128(500 + number as u128),
        project_id: PROJECT.0,
        task_id: TASK.0,
        run_id: Uuid::from_u128(run),
        dataset_id: Some(Uuid::from_u128(40)),
        number,
        version: format!("1.{}.0", number - 1),
        stage: Stage::Candidate,
        artifact_hash: "ab".into(),
        artifact_bytes: 10,
        dataset_hash: Some("cd".into()),
        trainer: "linear".into(),
        settings: json!({}),
        metrics: json!({ "accuracy": 0.9 }),
        code_version: "0.1.0".into(),
        created_at_us: START_US,
    }
}

#[rstest]
#[tokio::test]
async fn keys_conversations_and_subjects(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let mut conn = database.db.begin().await.unwrap();
    project(&mut conn).await;
    let key = ApiKey {
        limits: None,
        id: Uuid::from_u128(3),
        project_id: PROJECT.0,
        name: "app".into(),
        scopes: "record,predict".parse().unwrap(),
        expires_at_us: Some(START_US + 1),
        revoked_at_us: None,
        created_at_us: START_US,
    };
    keys::insert(&mut conn, &key, b"hash").await.unwrap();
    let found = keys::find_by_hash(&mut conn, b"hash").await.unwrap().unwrap();
    assert!(found.scopes.allows(Scope::Predict) && !found.scopes.allows(Scope::Admin));
    assert!(keys::find_by_hash(&mut conn, b"other").await.unwrap().is_none());

    for (first_at_us, last_at_us) in [(50, 60), (10, 20), (70, 90)] {
        conversations::add_turns(
            &mut conn,
            PROJECT,
            ConversationId::derive(PROJECT, "chat"),
            "chat",
            2,
            first_at_us,
            last_at_us,
        )
        .await
        .unwrap();
    }
    let listed = conversations::list(&mut conn, PROJECT, None, 10).await.unwrap();
    assert_eq!(
        (listed[0].turns, listed[0].started_at_us, listed[0].last_at_us),
        (6, 10, 90)
    );
    let identity = Identity {
        user_id: "ann".into(),
        ip_address: Some("192.0.2.1".into()),
        user_agent: None,
    };
    for _again in 0..2 {
        conversations::upsert_subject(
            &mut conn,
            PROJECT,
            SubjectId(Uuid::from_u128(4)),
            &identity,
            START_US,
        )
        .await
        .unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn examples_and_datasets(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let mut conn = database.db.begin().await.unwrap();
    let (task, id) = (TASK, ExampleId(Uuid::from_u128(10)));
    examples::upsert(&mut conn, &example(10)).await.unwrap();
    let changed = Example {
        label: Some("refund".into()),
        split: Some("test".into()),
        judged_at_us: START_US + 5,
        ..example(10)
    };
    examples::upsert(&mut conn, &changed).await.unwrap();
    let found = examples::find(&mut conn, id).await.unwrap().unwrap();
    assert_eq!(
        (found.label.as_deref(), found.split.as_deref(), found.judged_at_us),
        (Some("refund"), Some("test"), START_US + 5)
    );
    assert_eq!(found.input.0, example(10).input.0);
    let hash = vec![10u8; 32];
    let twin = examples::find_usable_by_hash(&mut conn, task, &hash)
        .await
        .unwrap();
    assert_eq!(twin.unwrap().id, id.0);
    assert!(examples::freeze(&mut conn, id, "train").await.unwrap());
    let usable = examples::list_usable(&mut conn, task, Uuid::nil(), 10)
        .await
        .unwrap();
    assert_eq!(usable[0].status, ExampleStatus::Used);

    let dataset = Dataset {
        id: Uuid::from_u128(40),
        project_id: PROJECT.0,
        task_id: TASK.0,
        content_hash: "abc".into(),
        size_bytes: 5,
        example_count: 1,
        statistics: json!({ "by_label": { "refund": 1 } }),
        created_at_us: START_US,
    };
    datasets::insert(&mut conn, &dataset).await.unwrap();
    let same = Dataset {
        id: Uuid::from_u128(41),
        ..dataset.clone()
    };
    let stored = datasets::insert(&mut conn, &same).await.unwrap();
    assert_eq!(stored.id, dataset.id, "the same contents are one dataset");
    let found = datasets::find(&mut conn, PROJECT, DatasetId(dataset.id))
        .await
        .unwrap();
    assert_eq!(found.unwrap().statistics, dataset.statistics);
}

#[rstest]
#[tokio::test]
async fn runs_versions_and_deployments(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let mut conn = database.db.begin().await.unwrap();
    runs::insert(&mut conn, &run(30)).await.unwrap();
    assert_eq!(runs::count_unfinished(&mut conn, TASK).await.unwrap(), 1);
    let completed = Run {
        status: RunStatus::Completed,
        decision: Some(Json(json!({ "accepted": true }))),
        finished_at_us: Some(START_US),
        ..run(30)
    };
    runs::update(&mut conn, &completed).await.unwrap();
    assert_eq!(runs::count_unfinished(&mut conn, TASK).await.unwrap(), 0);
    let found = runs::get_locked(&mut conn, RunId(Uuid::from_u128(30)))
        .await
        .unwrap();
    assert_eq!(
        (found.status, found.settings),
        (RunStatus::Completed, json!({ "c": 0.5 }))
    );
    let decided = runs::list_decided(&mut conn, TASK, 10).await.unwrap();
    assert_eq!(decided[0].decision, json!({ "accepted": true }));

    assert!(versions::insert(&mut conn, &version(1, 30)).await.unwrap());
    let again = ModelVersion {
        id: Uuid::from_u128(900),
        ..version(2, 30)
    };
    assert!(
        !versions::insert(&mut conn, &again).await.unwrap(),
        "one version a run"
    );
    assert!(versions::insert(&mut conn, &version(2, 31)).await.unwrap());
    let latest = versions::find_latest(&mut conn, TASK).await.unwrap().unwrap();
    assert_eq!((latest.number, latest.version.as_str()), (2, "1.1.0"));
    let id = ModelVersionId(latest.id);
    versions::set_stage(&mut conn, id, Stage::Live).await.unwrap();
    assert_eq!(versions::get(&mut conn, id).await.unwrap().stage, Stage::Live);

    let mut epochs = Vec::new();
    for (number, previous) in [(1u128, None), (2, Some(Uuid::from_u128(501)))] {
        let deployment = Deployment {
            id: Uuid::from_u128(600 + number),
            project_id: PROJECT.0,
            task_id: TASK.0,
            model_version_id: Uuid::from_u128(500 + number),
            previous_version_id: previous,
            kind: DeploymentKind::Gate,
            reason: "better".into(),
            created_at_us: START_US,
            state: DeploymentState::Live,
            plan: Some(Json(DeploymentPlan::of(Strategy::Ab))),
            arms: None,
            step: 0,
            step_at_us: START_US,
            turn: 1,
            look: None,
            live_at_us: Some(START_US),
            live_epoch: Some(number as i64),
        };
        deployments::insert(&mut conn, &deployment).await.unwrap();
        let version = deployment.model_version_id;
        deployments::serve(&mut conn, PROJECT, TASK, version, deployment.id, None)
            .await
            .unwrap();
        let serving = deployments::find_serving(&mut conn, TASK).await.unwrap().unwrap();
        assert_eq!(serving.deployment_id, deployment.id);
        epochs.push(serving.epoch);
    }
    assert_eq!(epochs, [1, 2]);
    let latest = DeploymentId(Uuid::from_u128(602));
    let found = deployments::find(&mut conn, PROJECT, latest)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.previous_version_id, Some(Uuid::from_u128(501)));
    assert_eq!(found.plan.unwrap().0, DeploymentPlan::of(Strategy::Ab));
    let live = deployments::list_live(&mut conn, TASK, None, 10).await.unwrap();
    assert_eq!(live[0].id, latest.0);
    let before = deployments::list_live(&mut conn, TASK, Some(2), 10).await;
    assert_eq!(before.unwrap().len(), 1);
    assert_eq!(deployments::count_turns(&mut conn, TASK).await.unwrap(), 2);
}

#[rstest]
#[tokio::test]
async fn schedules_come_due(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let mut conn = database.db.begin().await.unwrap();
    let schedule = Schedule {
        id: Uuid::from_u128(9),
        project_id: PROJECT.0,
        name: "hourly".into(),
        cron: "0 * * * *".into(),
        kind: "CheckTriggers".into(),
        payload: json!({ "a": 1 }),
        paused: false,
        next_at_us: START_US,
        time_zone: "Europe/Berlin".into(),
        missed: MissedRuns::Skip,
        last_at_us: None,
    };
    assert!(schedules::insert(&mut conn, &schedule).await.unwrap());
    assert!(!schedules::insert(&mut conn, &schedule).await.unwrap());
    assert!(
        schedules::list_due(&mut conn, START_US - 1)
            .await
            .unwrap()
            .is_empty()
    );
    let due = schedules::list_due(&mut conn, START_US).await.unwrap();
    assert_eq!(
        (due[0].name.as_str(), &due[0].payload),
        ("hourly", &json!({ "a": 1 }))
    );
    assert_eq!(schedules::list(&mut conn, PROJECT).await.unwrap().len(), 1);
}
