//! A whole life in simulated time: a task starts empty, collects, trains, canaries, gets a bad version injected, rolls back, drifts,
//! alerts, retrains, improves. Days go by as the clock says; everything by itself is started by the schedules.
use hone_jobs::Scheduler;
use hone_testkit::TestApp;
use rstest::rstest;
use serde_json::{Value, json};

use crate::desk::{LABELS, versions};

const MINUTE_US: i64 = 60_000_000;
/// What nobody asked about in the beginning.
const NEW_TOPIC: (&str, &str) = ("crypto", "pay with bitcoin wallet");

/// How people react to an answer.
#[derive(Clone, Copy, PartialEq)]
enum Reaction {
    /// They name the right label.
    Correct,
    /// They say whether it was right.
    Thumb,
}

struct Life {
    app: TestApp,
    scheduler: Scheduler,
    asked: usize,
}

impl Life {
    /// People ask so many times, ten minutes apart, of which this share is about the new topic; gives the share of right answers.
    async fn go_on(&mut self, messages: usize, new_topic: f64, reaction: Reaction) -> f64 {
        let mut right_answers = 0;
        for number in 0..messages {
            self.asked += 1;
            let is_new = (number as f64 * 0.618_034).fract() < new_topic;
            let (label, text) = if is_new { NEW_TOPIC } else { LABELS[self.asked % 3] };
            let text = format!("{text} {:x}", self.asked.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let (answered, id) = self.ask(&text).await;
            right_answers += usize::from(answered == label);
            let said = match reaction {
                Reaction::Correct => json!({ "interaction_id": id, "kind": "correction", "label": label }),
                Reaction::Thumb => json!({ "interaction_id": id, "kind": "thumb", "up": answered == label }),
            };
            assert_eq!(self.app.post("/v1/feedback", &said).await.0, 201);
            self.app.clock.advance_us(10 * MINUTE_US);
            if number % 6 == 5 {
                self.work().await;
            }
        }
        self.work().await;
        right_answers as f64 / messages as f64
    }

    async fn work(&self) {
        self.scheduler.tick().await.unwrap();
        self.app.run_jobs().await;
        self.app.run_jobs().await;
    }

    /// Asks the version that serves; before there is one, somebody else has answered something.
    async fn ask(&self, text: &str) -> (String, Value) {
        let conversation = format!("talk {}", self.asked);
        let body = json!({ "task": "intent", "text": text, "conversation": conversation });
        let (status, answer) = self.app.post("/v1/classify", &body).await;
        if status == 200 {
            let prediction = &answer["predictions"][0];
            return (
                prediction["label"].as_str().unwrap().to_owned(),
                prediction["interaction_id"].clone(),
            );
        }
        let new =
            json!({ "task": "intent", "input": text, "label": "unknown", "conversation": conversation });
        let (status, body) = self.app.post("/v1/interactions", &new).await;
        assert_eq!(status, 201, "{body}");
        ("unknown".to_owned(), body["id"].clone())
    }

    /// Changes how the task trains.
    async fn set_policy(&self, policy: &Value, change: impl Fn(&mut Value)) {
        let mut changed = policy.clone();
        change(&mut changed["policy"]["training"]);
        let (status, body) = self.app.put("/v1/tasks/intent", &changed).await;
        assert_eq!(status, 200, "{body}");
        // A server remembers policies for half a second.
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    }

    /// The version that serves.
    async fn live(&self) -> String {
        let all = versions(&self.app).await;
        all.into_iter().find(|(_, stage)| stage == "live").unwrap().0
    }

    /// Lets people ask until another version than this one serves everything; gives the share of right answers after that.
    async fn until_replaced(&mut self, version: &str, new_topic: f64) -> f64 {
        for _ in 0..12 {
            self.go_on(40, new_topic, Reaction::Thumb).await;
            if self.live().await != version {
                return self.go_on(20, new_topic, Reaction::Thumb).await;
            }
        }
        panic!("{version} serves for ever: {}", self.deployment().await);
    }

    /// The names of alerts that stand there, each once.
    async fn alerts(&self, state: &str) -> Vec<String> {
        let (_, list) = self.app.get(&format!("/v1/alerts?state={state}")).await;
        let items = list["items"].as_array().unwrap().iter();
        let mut names: Vec<String> = items
            .map(|item| item["rule"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    async fn task_health(&self) -> Value {
        self.app.get("/v1/health").await.1["tasks"][0].clone()
    }

    /// The latest deployment.
    async fn deployment(&self) -> Value {
        self.app.get("/v1/deployments?task=intent").await.1["items"][0].clone()
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_task_learns_is_hurt_recovers_and_follows_what_people_ask(
    #[values("sqlite", "postgres")] kind: &str,
) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    let policy = json!({ "policy": {
        "training": { "new_samples": 60, "accuracy_below": 0.0, "max_age_hours": 0 },
        "deployment": { "plan": { "strategy": "canary", "goal": { "metric": "correctness", "margin": 0.4 }, "guardrails": [],
            "steps": [{ "percent": 50, "min_minutes": 10, "min_outcomes": 10 }] } } } });
    let scheduler = Scheduler::new(app.database.db.clone(), app.engine.ids.clone());
    let mut life = Life {
        app,
        scheduler,
        asked: 0,
    };
    life.set_policy(&policy, |_| {}).await;

    // Empty: nothing is wrong, and it says what it waits for.
    life.work().await;
    let newborn = life.task_health().await;
    assert_eq!(
        (&newborn["status"], &newborn["serving"]),
        (&json!("healthy"), &Value::Null),
        "{newborn}"
    );
    assert!(
        newborn["recommendations"][0]
            .as_str()
            .unwrap()
            .contains("first training starts with 20")
    );

    // It collects and trains: the first version serves at once.
    life.go_on(30, 0.0, Reaction::Correct).await;
    assert_eq!(
        versions(&life.app).await,
        [("1.0.0".to_owned(), "live".to_owned())]
    );

    // It trains again; the next version goes through a canary, and serves when it has proven itself.
    life.go_on(70, 0.0, Reaction::Correct).await;
    let candidate = versions(&life.app).await[0].clone();
    assert_eq!(candidate, ("1.1.0".to_owned(), "candidate".to_owned()));
    life.set_policy(&policy, |training| training["automatic"] = json!(false))
        .await;
    assert!(life.until_replaced("1.0.0", 0.0).await > 0.95);
    assert_eq!(life.live().await, "1.1.0");

    // A bad version is injected past the gate, and goes by itself.
    let starved = json!({ "settings": { "max_features": 1, "word_ngrams": [1, 1] } });
    assert_eq!(life.app.post("/v1/tasks/intent/train", &starved).await.0, 202);
    life.work().await;
    let (bad, stage) = versions(&life.app).await[0].clone();
    assert_eq!(stage, "refused");
    let plan = json!({ "strategy": "canary", "steps": [{ "percent": 50 }] });
    let inject = json!({ "task": "intent", "version": bad, "plan": plan, "reason": "injected" });
    let (status, injected) = life.app.post("/v1/deployments", &inject).await;
    assert_eq!(status, 201, "{injected}");
    for _ in 0..5 {
        life.go_on(40, 0.0, Reaction::Thumb).await;
        if life.deployment().await["state"] == "rolled_back" {
            break;
        }
    }
    let rolled_back = life.deployment().await;
    assert_eq!(rolled_back["state"], "rolled_back", "{rolled_back}");
    assert!(life.alerts("noted").await.contains(&"rollback".to_owned()));
    assert!(life.go_on(30, 0.0, Reaction::Thumb).await > 0.95);

    // People begin to ask about something else. It is said twice over: answers are wrong, and requests have changed.
    // Nobody names the right label yet, so that there is little to learn from.
    life.set_policy(&policy, |training| training["new_samples"] = json!(100_000))
        .await;
    let mut right = 0.0;
    for _ in 0..6 {
        right = life.go_on(144, 0.6, Reaction::Thumb).await;
        if life.alerts("noted").await.contains(&"drift".to_owned()) {
            break;
        }
    }
    assert!(right < 0.5, "{right}");
    assert!(life.alerts("noted").await.contains(&"drift".to_owned()));
    assert!(life.alerts("firing").await.contains(&"accuracy".to_owned()));
    let sick = life.task_health().await;
    assert_eq!(
        (&sick["status"], &sick["label"]),
        (&json!("unhealthy"), &json!("needs_improvement"))
    );
    let (_, drift) = life.app.get("/v1/tasks/intent/drift").await;
    let words = drift["items"][0]["words"].as_array().unwrap();
    assert!(words.iter().any(|word| word["word"] == "bitcoin"), "{drift}");

    // They say what is right; it trains, the new version proves itself, and all is well again.
    life.set_policy(&policy, |training| training["new_samples"] = json!(60))
        .await;
    for _ in 0..20 {
        right = life.go_on(60, 0.6, Reaction::Correct).await;
        if right > 0.95 {
            break;
        }
    }
    assert!(right > 0.95, "{right}: {}", life.deployment().await);
    life.go_on(150, 0.6, Reaction::Thumb).await;
    let well = life.task_health().await;
    assert_eq!(
        (&well["status"], &well["label"]),
        (&json!("healthy"), &json!("excellent")),
        "{well}"
    );
    assert!(!life.alerts("firing").await.contains(&"accuracy".to_owned()));
    // At the end of each hour and day its metrics were frozen.
    let (_, days) = life.app.get("/v1/snapshots?task=intent&period=daily").await;
    assert!(days["items"].as_array().unwrap().len() >= 5, "{days}");
}
