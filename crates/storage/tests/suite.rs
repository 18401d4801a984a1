//! One suite for both databases.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking and says why it skips"
)]

use hone_domain::{
    AnswerSource, FeedbackKind, FeedbackSource, InteractionId, InteractionStatus, ProjectId, TaskKind,
    TaskPolicy,
};
use hone_storage::feedback::Feedback;
use hone_storage::interactions::{Filter, Interaction};
use hone_storage::projects::Project;
use hone_storage::tasks::Task;
use hone_storage::{
    Conn, Db, Inserted, OptionalText, StoredText, feedback, interactions, jobs, leases, progress, projects,
    statements, tasks,
};
use hone_testkit::{START_US, database_of_kind};
use rstest::rstest;
use uuid::Uuid;

async fn project_and_task(db: &Db) -> (ProjectId, Task) {
    let id = Uuid::from_u128(1);
    let project = Project {
        id,
        name: "p".into(),
        pseudonym_key: vec![7; 32],
        limits: None,
        privacy: None,
        shipped_schedules: 0,
        created_at_us: START_US,
    };
    let task = Task {
        id: Uuid::from_u128(2),
        project_id: id,
        name: "intent".into(),
        kind: TaskKind::Classify,
        policy: TaskPolicy::default(),
        created_at_us: START_US,
        updated_at_us: START_US,
    };
    let mut conn = db.begin().await.unwrap();
    assert!(projects::insert(&mut conn, &project).await.unwrap());
    assert!(tasks::insert(&mut conn, &task).await.unwrap());
    conn.commit().await.unwrap();
    (ProjectId(id), task)
}

fn interaction(number: u128, task: &Task, label: &str) -> Interaction {
    Interaction {
        id: Uuid::from_u128(number),
        project_id: task.project_id,
        task_id: task.id,
        conversation_id: None,
        turn: Some(0),
        subject_id: None,
        input: StoredText(format!("text {number} 🙂 我的卡")),
        output: OptionalText(None),
        label: Some(label.to_owned()),
        confidence: Some(0.5),
        source: AnswerSource::Model,
        status: InteractionStatus::Ok,
        model: None,
        model_version_id: None,
        latency_us: Some(1_200),
        tokens_input: None,
        tokens_output: Some(3),
        cost_micro_usd: None,
        action_type: None,
        target_tool: None,
        language: None,
        tags: Some("[\"a\"]".into()),
        is_reference: false,
        input_hash: vec![1; 16],
        content_hash: Some(vec![number as u8; 16]),
        occurred_at_us: START_US,
        created_at_us: START_US,
        request: OptionalText(None),
        reply: OptionalText(None),
        structured_prompt: OptionalText(None),
        first_token_us: None,
        error: None,
        flaws: None,
        personal_data: None,
        moderation: None,
        injection: None,
        near_bands: None,
    }
}

fn correction(number: u128, interaction: u128, label: &str) -> Feedback {
    Feedback {
        id: Uuid::from_u128(number),
        project_id: Uuid::from_u128(1),
        task_id: None,
        interaction_id: Some(Uuid::from_u128(interaction)),
        conversation_id: None,
        kind: FeedbackKind::Correction,
        value: None,
        name: None,
        label: Some(label.to_owned()),
        detected_label: None,
        is_mismatch: None,
        text: OptionalText(None),
        preference: OptionalText(None),
        source: FeedbackSource::Expert,
        content_hash: None,
        occurred_at_us: START_US,
        created_at_us: START_US,
    }
}

#[rstest]
#[tokio::test]
async fn every_statement_can_be_prepared(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let mut conn = database.db.begin().await.unwrap();
    for statement in hone_storage::bulk_statements(&database.db) {
        conn.prepare(statement).await.unwrap();
    }
    for (name, statement) in statements() {
        if let Err(error) = conn.prepare(statement).await {
            panic!("{name} on {kind}: {error}\n{statement}");
        }
    }
    let claim = jobs::claim_statement(&mut conn);
    conn.prepare(claim).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn interactions_are_inserted_once_in_any_number(
    #[values("sqlite", "postgres")] kind: &str,
    #[values(1, 31, 32, 33, 100)] count: u128,
) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (project, task) = project_and_task(&database.db).await;
    let rows: Vec<Interaction> = (1..=count)
        .map(|number| interaction(number, &task, "a"))
        .collect();
    let insert = async |rows: &[Interaction]| {
        let mut conn = database.db.begin().await.unwrap();
        let outcomes = interactions::insert_many(&mut conn, rows).await.unwrap();
        conn.commit().await.unwrap();
        outcomes
    };
    assert!(
        insert(&rows)
            .await
            .iter()
            .all(|outcome| *outcome == Inserted::New)
    );
    assert!(
        insert(&rows)
            .await
            .iter()
            .all(|outcome| *outcome == Inserted::Duplicate)
    );
    let mut changed = rows[0].clone();
    changed.content_hash = Some(vec![99; 16]);
    let twin = interaction(1_000, &task, "b");
    let outcomes = insert(&[changed, twin.clone(), twin]).await;
    assert_eq!(outcomes, [Inserted::Conflict, Inserted::New, Inserted::Duplicate]);

    let mut conn = database.db.read().await.unwrap();
    assert_eq!(
        interactions::count(&mut conn, project, task.task_id())
            .await
            .unwrap(),
        count as i64 + 1
    );
    let stored = interactions::find(&mut conn, project, InteractionId(Uuid::from_u128(1)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.input.0, "text 1 🙂 我的卡");
    assert_eq!((stored.latency_us, stored.confidence), (Some(1_200), Some(0.5)));
}

#[rstest]
#[tokio::test]
async fn lists_page_by_key_and_filter(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (project, task) = project_and_task(&database.db).await;
    let rows: Vec<Interaction> = (1..=10)
        .map(|number| interaction(number, &task, if number % 2 == 0 { "even" } else { "odd" }))
        .collect();
    let mut conn = database.db.begin().await.unwrap();
    interactions::insert_many(&mut conn, &rows).await.unwrap();
    conn.commit().await.unwrap();
    let mut conn = database.db.read().await.unwrap();
    for task in [None, Some(task.id)] {
        let filter = Filter {
            task,
            label: Some("even".into()),
            ..Filter::default()
        };
        let first = interactions::list(&mut conn, project, &filter, None, 3)
            .await
            .unwrap();
        let numbers = |rows: &[Interaction]| rows.iter().map(|row| row.id.as_u128()).collect::<Vec<_>>();
        assert_eq!(numbers(&first), [10, 8, 6]);
        let after = Some(InteractionId(first[2].id));
        let second = interactions::list(&mut conn, project, &filter, after, 3)
            .await
            .unwrap();
        assert_eq!(numbers(&second), [4, 2]);
    }
}

#[rstest]
#[tokio::test]
async fn feedback_joins_its_interaction_early_or_late(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (project, task) = project_and_task(&database.db).await;
    let mut conn = database.db.begin().await.unwrap();
    let early = feedback::insert(&mut conn, &correction(1, 50, "b"))
        .await
        .unwrap();
    assert_eq!(
        (early.inserted, early.task, early.is_mismatch),
        (Inserted::New, None, None)
    );
    interactions::insert_many(
        &mut conn,
        &[interaction(50, &task, "a"), interaction(51, &task, "b")],
    )
    .await
    .unwrap();
    let late = feedback::insert(&mut conn, &correction(2, 51, "b"))
        .await
        .unwrap();
    assert_eq!((late.task, late.is_mismatch), (Some(task.task_id()), Some(false)));
    let joined = feedback::join_early(&mut conn, project).await.unwrap();
    assert_eq!(joined.len(), 1);
    assert_eq!(
        (joined[0].task_id, joined[0].is_mismatch),
        (Some(task.id), Some(true))
    );
    assert_eq!(joined[0].detected_label.as_deref(), Some("a"));
    assert!(feedback::join_early(&mut conn, project).await.unwrap().is_empty());
    conn.commit().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_nothing(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (project, task) = project_and_task(&database.db).await;
    let mut conn = database.db.begin().await.unwrap();
    interactions::insert_many(&mut conn, &[interaction(1, &task, "a")])
        .await
        .unwrap();
    drop(conn);
    let mut conn = database.db.read().await.unwrap();
    assert_eq!(
        interactions::count(&mut conn, project, task.task_id())
            .await
            .unwrap(),
        0
    );
}

#[rstest]
#[tokio::test]
async fn the_inbox_gives_each_entry_to_one_worker(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (project, task) = project_and_task(&database.db).await;
    let id = InteractionId(Uuid::from_u128(5));
    let mut conn = database.db.begin().await.unwrap();
    progress::push_inbox(&mut conn, project, task.task_id(), id)
        .await
        .unwrap();
    progress::push_inbox(&mut conn, project, task.task_id(), id)
        .await
        .unwrap();
    assert_eq!(
        progress::list_inbox(&mut conn, task.task_id(), 10).await.unwrap(),
        [id]
    );
    assert!(progress::take_inbox(&mut conn, project, id).await.unwrap());
    assert!(!progress::take_inbox(&mut conn, project, id).await.unwrap());
    conn.commit().await.unwrap();
}

async fn lease(db: &Db, holder: u128, now_us: i64) -> Option<i64> {
    let mut conn: Conn = db.begin().await.unwrap();
    let token = leases::acquire(&mut conn, "leader", Uuid::from_u128(holder), now_us, now_us + 100)
        .await
        .unwrap();
    conn.commit().await.unwrap();
    token
}

#[rstest]
#[tokio::test]
async fn a_lease_has_one_holder_and_its_token_rises(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    assert_eq!(lease(&database.db, 1, 0).await, Some(1));
    assert_eq!(lease(&database.db, 2, 50).await, None);
    assert_eq!(lease(&database.db, 1, 90).await, Some(1));
    assert_eq!(lease(&database.db, 2, 200).await, Some(2));
    assert_eq!(lease(&database.db, 1, 201).await, None);
}
