//! What is operated from a shell: deployments that share traffic, what runs by the clock, reports of decisions.

use crate::support::{examples_file, run, run_json};

fn text(output: std::process::Output) -> String {
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_deployment_is_planned_watched_and_changed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let file = examples_file(data, 150);
    run_json(data, None, &["import", "intent", &file]);
    run_json(data, None, &["train", "intent"]);
    let manual = r#"{"deployment":{"automatic":false}}"#;
    assert!(
        run(data, None, &["task", "set", "intent", manual])
            .status
            .success()
    );
    run_json(data, None, &["train", "intent"]);

    let forecast = text(run(
        data,
        None,
        &["deploy", "intent", "1.1.0", "--strategy", "ab", "--dry-run"],
    ));
    assert!(forecast.contains("outcomes a day"), "{forecast}");
    let plan = r#"{"steps":[{"percent":10},{"percent":50}]}"#;
    let started = run_json(
        data,
        None,
        &[
            "deploy",
            "intent",
            "1.1.0",
            "--strategy",
            "canary",
            "--plan",
            plan,
        ],
    );
    assert_eq!(started["state"], "running");
    assert_eq!(
        run_json(data, None, &["deployment", "pause", "intent"])["state"],
        "paused"
    );
    let shown = text(run(data, None, &["deployment", "show", "intent"]));
    assert!(shown.contains("paused: canary of intent, 1.1.0 10 %"), "{shown}");
    let wrong = run(data, None, &["deploy", "intent", "1.1.0", "--strategy", "ab"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        String::from_utf8(wrong.stderr)
            .unwrap()
            .contains("promote it or roll it back first")
    );
    let wrong = run(
        data,
        None,
        &[
            "deploy",
            "intent",
            "1.1.0",
            "--strategy",
            "canary",
            "--plan",
            r#"{"steps":[{"percent":0}]}"#,
        ],
    );
    assert_eq!(wrong.status.code(), Some(3));
    assert!(
        String::from_utf8(wrong.stderr)
            .unwrap()
            .contains("/plan/steps/0/percent")
    );
    assert_eq!(
        run_json(data, None, &["deployment", "promote", "intent"])["state"],
        "live"
    );
    let listed = run_json(data, None, &["deployment", "list", "intent"]);
    assert_eq!(
        (&listed[0]["state"], &listed[1]["state"]),
        (&"live".into(), &"superseded".into())
    );
    assert_eq!(run_json(data, None, &["rollback", "intent"])["version"], "1.0.0");
}

#[test]
fn what_runs_by_the_clock_is_changed_and_run_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let file = examples_file(data, 150);
    run_json(data, None, &["import", "intent", &file]);
    let names = |value: &serde_json::Value| {
        let all = value.as_array().unwrap().iter();
        all.map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let listed = run_json(data, None, &["schedule", "list"]);
    assert_eq!(
        names(&listed),
        [
            "check-alerts",
            "check-triggers",
            "daily-curation",
            "daily-discovery",
            "daily-drift",
            "monthly-evaluation",
            "snapshots",
            "weekly-training"
        ]
    );
    let set = &[
        "schedule",
        "set",
        "nightly",
        "--action",
        "train",
        "--cron",
        "0 4 * * *",
        "--time-zone",
        "Asia/Tokyo",
    ];
    assert_eq!(run_json(data, None, set)["time_zone"], "Asia/Tokyo");
    let wrong = run(data, None, &["schedule", "set", "nightly", "--cron", "soon"]);
    assert_eq!(wrong.status.code(), Some(3));
    assert_eq!(
        run_json(data, None, &["schedule", "pause", "nightly"])["paused"],
        true
    );
    assert_eq!(
        run(data, None, &["schedule", "pause", "daily"]).status.code(),
        Some(4)
    );
    assert!(
        run(data, None, &["schedule", "remove", "nightly"])
            .status
            .success()
    );

    // The cycle trains the first version, and the run can be read afterwards.
    let cycle = run_json(data, None, &["cycle"]);
    assert!(cycle["jobs_done"].as_u64().unwrap() >= 3, "{cycle}");
    let runs = run_json(data, None, &["runs", "list", "intent"]);
    let id = runs[0]["id"].as_str().unwrap();
    let shown = text(run(data, None, &["runs", "show", id]));
    assert!(
        shown.contains("version 1.0.0") && shown.contains("accepted"),
        "{shown}"
    );
    let page = data.join("report.html");
    let report = text(run(data, None, &["report", "--html", page.to_str().unwrap()]));
    assert!(report.contains("| 1.0.0 | live |"), "{report}");
    assert!(std::fs::read_to_string(page).unwrap().contains("<td>1.0.0</td>"));
    let again = text(run(data, None, &["report", "--latest"]));
    assert_eq!(again, report);
}
