//! Jobs over HTTP: a run ends with its job, and what fails can be tried again.

use hone_testkit::{SmallDisk, TestApp};
use rstest::rstest;
use serde_json::json;

use crate::desk::{classify, correct, versions};

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_with_its_job_and_is_tried_again_with_it(#[values("sqlite", "postgres")] kind: &str) {
    let Some(app) = TestApp::of_kind(kind).await else {
        return;
    };
    correct(&app, 30, 0).await;
    app.run_jobs().await;
    let (_, started) = app.post("/v1/tasks/intent/train", &json!({})).await;
    let (job, run) = (
        started["job_id"].as_str().unwrap(),
        started["run_id"].as_str().unwrap(),
    );
    let status = async || app.get(&format!("/v1/runs/{run}")).await.1["status"].clone();
    let (code, cancelled) = app.post(&format!("/v1/jobs/{job}/cancel"), &json!({})).await;
    assert_eq!((code, &cancelled["state"]), (200, &json!("cancelled")));
    assert_eq!(status().await, "cancelled");
    assert_eq!(
        app.post(&format!("/v1/jobs/{job}/cancel"), &json!({})).await.0,
        409
    );

    let (code, again) = app.post(&format!("/v1/jobs/{job}/retry"), &json!({})).await;
    assert_eq!((code, &again["state"]), (200, &json!("queued")), "{again}");
    app.run_jobs().await;
    assert_eq!(status().await, "completed");
    assert_eq!(
        app.post(&format!("/v1/jobs/{job}/retry"), &json!({})).await.0,
        409
    );
    // Automatic training is not held up by the run that was stopped.
    correct(&app, 150, 1_000).await;
    app.run_jobs().await;
    assert_eq!(versions(&app).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measurement_by_hand_is_a_job_with_the_evaluation_as_its_result() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    correct(&app, 60, 0).await;
    app.run_jobs().await;
    let (status, started) = app.post("/v1/tasks/intent/evaluate", &json!({})).await;
    assert_eq!(status, 202, "{started}");
    app.run_jobs().await;
    let (_, job) = app
        .get(&format!("/v1/jobs/{}", started["job_id"].as_str().unwrap()))
        .await;
    assert_eq!(
        (&job["state"], &job["result"]["version"]),
        (&json!("succeeded"), &json!("1.0.0"))
    );
    assert!(job["result"]["metrics"]["macro_f1"].as_f64().is_some(), "{job}");
    let (status, problem) = app
        .post("/v1/tasks/intent/evaluate", &json!({ "version": "9.9.9" }))
        .await;
    assert_eq!(status, 404, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_artifact_disk_fails_the_run_and_the_old_version_serves() {
    let app = TestApp::of_kind("sqlite").await.unwrap();
    correct(&app, 60, 0).await;
    app.run_jobs().await;
    let full = app.database.folder.path().join("artifacts");
    let kept = app.database.folder.path().join("kept");
    std::fs::rename(&full, &kept).unwrap();
    std::fs::create_dir(&full).unwrap();
    let Some(disk) = SmallDisk::mount(&full, "4k") else {
        return;
    };
    let (_, started) = app
        .post("/v1/tasks/intent/train", &json!({ "settings": { "c": 0.5 } }))
        .await;
    // Worth trying again: somebody may free space.
    for _attempt in 0..5 {
        app.run_jobs().await;
        app.clock.advance_us(1_000_000_000);
    }
    let path = format!("/v1/runs/{}", started["run_id"].as_str().unwrap());
    let (_, run) = app.get(&path).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert!(run["error"].as_str().unwrap().contains("free space"), "{run}");
    assert_eq!(classify(&app, "money back").await.1["model_version"], "1.0.0");
    for folder in std::fs::read_dir(&full).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap();
            let hash = hone_learn::artifact::content_hash(&std::fs::read(file.path()).unwrap());
            assert_eq!(file.file_name().to_str(), Some(hash.as_str()), "half-written");
        }
    }

    drop(disk);
    std::fs::remove_dir(&full).unwrap();
    std::fs::rename(&kept, &full).unwrap();
    let job = started["job_id"].as_str().unwrap();
    assert_eq!(
        app.post(&format!("/v1/jobs/{job}/retry"), &json!({})).await.0,
        200
    );
    app.run_jobs().await;
    assert_eq!(app.get(&path).await.1["status"], "completed");
}
