//! The queue as its users see it, on both databases: once, in time, again after a crash, never by two.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking and says why it skips"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hone_domain::{Ids, JobId, ManualClock, MissedRuns, ProjectId, SECOND_US};
use hone_jobs::{
    GiveUpFuture, GivenUp, Handler, HandlerFuture, JobContext, JobError, NewJobSpec, Scheduler, Worker,
    enqueue,
};
use hone_storage::jobs::JobRow;
use hone_storage::schedules::{self, Schedule};
use hone_storage::{Conn, Db, jobs};
use hone_testkit::{database_of_kind, ids};
use rstest::rstest;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PROJECT: ProjectId = ProjectId(Uuid::from_u128(1));

/// Counts its runs; fails the first `failures` of them.
struct Count {
    runs: Arc<AtomicUsize>,
    failures: usize,
}

impl Handler for Count {
    fn kind(&self) -> &'static str {
        "Count"
    }

    fn run<'a>(&'a self, _context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(async move {
            if self.runs.fetch_add(1, Ordering::SeqCst) < self.failures {
                return Err(JobError::Transient("not yet".to_owned()));
            }
            Ok(serde_json::json!({}))
        })
    }
}

fn worker(db: &Db, ids: &Ids, failures: usize) -> (Worker, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = Count {
        runs: runs.clone(),
        failures,
    };
    (
        Worker::new(db.clone(), ids.clone(), vec![Arc::new(handler)]),
        runs,
    )
}

/// Works longer than a heartbeat inside one transaction; notes why it was given up.
struct Slow {
    given_up: Arc<Mutex<Option<GivenUp>>>,
}

impl Handler for Slow {
    fn kind(&self) -> &'static str {
        "Count"
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(async move {
            let mut conn = context.db.begin().await?;
            context.hold_in(&mut conn).await?;
            tokio::time::sleep(Duration::from_millis(2_300)).await;
            let result = serde_json::json!({});
            context.finish_in(&mut conn, &result).await?;
            conn.commit().await?;
            Ok(result)
        })
    }

    fn give_up<'a>(&'a self, _conn: &'a mut Conn, _job: &'a JobRow, why: &'a GivenUp) -> GiveUpFuture<'a> {
        *self.given_up.lock().unwrap() = Some(why.clone());
        Box::pin(async { Ok(()) })
    }
}

#[rstest]
#[tokio::test]
async fn a_heartbeat_does_not_stand_in_the_way_of_its_own_work(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (ids, _clock) = ids();
    let given_up = Arc::new(Mutex::new(None));
    let handler = Slow { given_up };
    let worker = Worker::new(database.db.clone(), ids.clone(), vec![Arc::new(handler)]);
    let id = add(&database.db, &ids, None).await;
    // A heartbeat that was waited for would hold the work up until its connection times out, or for ever.
    let done = tokio::time::timeout(Duration::from_secs(10), worker.run_until_idle()).await;
    assert_eq!(done.expect("the work goes on").unwrap(), 1);
    assert_eq!(state(&database.db, id).await, "succeeded");
}

#[rstest]
#[tokio::test]
async fn a_job_whose_workers_were_all_killed_is_given_up_with_its_handler_told(
    #[values("sqlite", "postgres")] kind: &str,
) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (ids, clock) = ids();
    let given_up = Arc::new(Mutex::new(None));
    let handler = Slow {
        given_up: given_up.clone(),
    };
    let worker = Worker::new(database.db.clone(), ids.clone(), vec![Arc::new(handler)]);
    let id = add(&database.db, &ids, None).await;
    for killed in 0..5 {
        let (now_us, token) = (ids.now_us(), Uuid::from_u128(killed));
        let mut conn = database.db.begin().await.unwrap();
        let claimed = jobs::claim(&mut conn, now_us, now_us + 20 * SECOND_US, token).await;
        assert!(claimed.unwrap().is_some());
        conn.commit().await.unwrap();
        clock.advance_us(21 * SECOND_US);
    }
    worker.run_until_idle().await.unwrap();
    assert_eq!(state(&database.db, id).await, "dead");
    let why = given_up.lock().unwrap().clone();
    assert!(matches!(why, Some(GivenUp::Failed(error)) if error.contains("5 attempts")));
}

/// Works until it is asked to stop.
struct Endless;

impl Handler for Endless {
    fn kind(&self) -> &'static str {
        "Count"
    }

    fn run<'a>(&'a self, context: &'a JobContext) -> HandlerFuture<'a> {
        Box::pin(async move {
            loop {
                context.check_cancelled()?;
                tokio::task::yield_now().await;
            }
        })
    }
}

#[rstest]
#[tokio::test]
async fn a_worker_that_stops_gives_its_job_back(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (ids, _clock) = ids();
    let endless = Worker::new(database.db.clone(), ids.clone(), vec![Arc::new(Endless)]);
    let id = add(&database.db, &ids, None).await;
    let stop = CancellationToken::new();
    let stopping = async {
        while state(&database.db, id).await != "running" {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::join!(endless.run(1, stop.clone()), stopping);
    assert_eq!(state(&database.db, id).await, "queued");
    let (next, runs) = worker(&database.db, &ids, 0);
    assert_eq!(next.run_until_idle().await.unwrap(), 1);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let ended = jobs::find(&mut database.db.read().await.unwrap(), id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.attempt, 1, "to be interrupted is no failed attempt");
}

async fn add(db: &Db, ids: &Ids, unique_key: Option<&str>) -> JobId {
    let spec = NewJobSpec {
        id: None,
        project: PROJECT,
        task: None,
        kind: "Count",
        payload: serde_json::json!({}),
        unique_key: unique_key.map(str::to_owned),
        delay_us: 0,
    };
    let mut conn = db.begin().await.unwrap();
    let id = enqueue(&mut conn, ids, spec).await.unwrap();
    conn.commit().await.unwrap();
    id
}

async fn state(db: &Db, id: JobId) -> String {
    jobs::find(&mut db.read().await.unwrap(), id)
        .await
        .unwrap()
        .unwrap()
        .state
}

#[rstest]
#[tokio::test]
async fn a_job_runs_once_and_only_one_of_a_key_waits(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (ids, _clock) = ids();
    let (worker, runs) = worker(&database.db, &ids, 0);
    let first = add(&database.db, &ids, Some("once")).await;
    assert_eq!(add(&database.db, &ids, Some("once")).await, first);
    assert_eq!(worker.run_until_idle().await.unwrap(), 1);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(state(&database.db, first).await, "succeeded");
    assert_ne!(add(&database.db, &ids, Some("once")).await, first);
}

#[rstest]
#[tokio::test]
async fn failures_are_tried_again_later_and_end_dead(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (ids, clock) = ids();
    let (worker, runs) = worker(&database.db, &ids, usize::MAX);
    let id = add(&database.db, &ids, None).await;
    for attempt in 1..=5 {
        assert_eq!(worker.run_until_idle().await.unwrap(), 1, "attempt {attempt}");
        assert_eq!(worker.run_until_idle().await.unwrap(), 0, "no second try at once");
        clock.advance_us(1_000 * SECOND_US);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 5);
    assert_eq!(state(&database.db, id).await, "dead");
}

#[rstest]
#[tokio::test]
async fn the_job_of_a_killed_worker_is_taken_up_and_the_old_token_is_refused(
    #[values("sqlite", "postgres")] kind: &str,
) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (ids, clock) = ids();
    let (worker, runs) = worker(&database.db, &ids, 0);
    let id = add(&database.db, &ids, None).await;
    // Another process claims it and is killed: nobody extends the lease.
    let (now_us, token) = (ids.now_us(), Uuid::from_u128(77));
    let mut conn = database.db.begin().await.unwrap();
    let claimed = jobs::claim(&mut conn, now_us, now_us + 20 * SECOND_US, token)
        .await
        .unwrap();
    conn.commit().await.unwrap();
    assert_eq!(claimed.unwrap().id, id.0);
    assert_eq!(worker.run_until_idle().await.unwrap(), 0, "the lease holds");
    clock.advance_us(21 * SECOND_US);
    assert_eq!(worker.run_until_idle().await.unwrap(), 1);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let mut conn = database.db.begin().await.unwrap();
    assert!(
        !jobs::finish(&mut conn, id, token, "succeeded", None, None, now_us)
            .await
            .unwrap(),
        "fenced"
    );
}

#[rstest]
#[tokio::test]
async fn two_workers_share_the_work_without_running_anything_twice(
    #[values("sqlite", "postgres")] kind: &str,
) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (ids, _clock) = ids();
    let (worker, runs) = worker(&database.db, &ids, 0);
    for _ in 0..30 {
        add(&database.db, &ids, None).await;
    }
    let (a, b) = tokio::join!(worker.run_until_idle(), worker.run_until_idle());
    assert_eq!(a.unwrap() + b.unwrap(), 30);
    assert_eq!(runs.load(Ordering::SeqCst), 30);
}

#[rstest]
#[tokio::test]
async fn a_cancelled_job_does_not_run(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (ids, _clock) = ids();
    let (worker, runs) = worker(&database.db, &ids, 0);
    let id = add(&database.db, &ids, None).await;
    let mut conn = database.db.begin().await.unwrap();
    let cancelled = jobs::cancel(&mut conn, PROJECT, id, ids.now_us()).await.unwrap();
    assert_eq!(cancelled, jobs::Cancelled::Stopped);
    conn.commit().await.unwrap();
    worker.run_until_idle().await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    assert_eq!(state(&database.db, id).await, "cancelled");
}

async fn schedule(db: &Db, clock: &ManualClock, missed: MissedRuns) {
    use hone_domain::Clock as _;
    let schedule = Schedule {
        id: Uuid::from_u128(9),
        project_id: PROJECT.0,
        name: "half-hourly".into(),
        cron: "*/30 * * * *".into(),
        kind: "Count".into(),
        payload: serde_json::json!({}),
        paused: false,
        next_at_us: clock.now_us() + 1_800 * SECOND_US,
        time_zone: "UTC".into(),
        missed,
        last_at_us: None,
    };
    let mut conn = db.begin().await.unwrap();
    schedules::insert(&mut conn, &schedule).await.unwrap();
    conn.commit().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn one_leader_enqueues_a_due_schedule_once_however_late(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (ids, clock) = ids();
    let (worker, runs) = worker(&database.db, &ids, 0);
    schedule(&database.db, &clock, MissedRuns::RunOnce).await;
    let (first, second) = (
        Scheduler::new(database.db.clone(), ids.clone()),
        Scheduler::new(database.db.clone(), ids.clone()),
    );
    assert!(first.tick().await.unwrap());
    assert!(!second.tick().await.unwrap(), "one leader");
    // The leader dies; two runs are missed; the other takes over and runs it once.
    clock.advance_us(4_000 * SECOND_US);
    assert!(second.tick().await.unwrap());
    assert!(second.tick().await.unwrap());
    worker.run_until_idle().await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[rstest]
#[tokio::test]
async fn missed_runs_are_left_out_where_the_rule_says_so(#[values("sqlite", "postgres")] kind: &str) {
    let Some(database) = database_of_kind(kind).await else {
        return;
    };
    let (ids, clock) = ids();
    let (worker, runs) = worker(&database.db, &ids, 0);
    schedule(&database.db, &clock, MissedRuns::Skip).await;
    let scheduler = Scheduler::new(database.db.clone(), ids.clone());
    clock.advance_us(4_000 * SECOND_US);
    assert!(scheduler.tick().await.unwrap());
    assert_eq!(
        worker.run_until_idle().await.unwrap(),
        0,
        "nobody was there in time"
    );
    // The next one comes in time.
    clock.advance_us(1_405 * SECOND_US);
    assert!(scheduler.tick().await.unwrap());
    worker.run_until_idle().await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let mut conn = database.db.read().await.unwrap();
    let found = schedules::find(&mut conn, PROJECT, "half-hourly")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.last_at_us, Some(ids.now_us()));
}
