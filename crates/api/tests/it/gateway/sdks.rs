//! The official SDKs against the whole app. Their scripts are in `tests/sdks`; `scripts/test` installs what they need.

use std::path::Path;
use std::process::Command;

use rstest::rstest;
use serde_json::json;

use super::*;

/// Runs a script that ends with an error when one of its checks fails.
#[rstest]
#[case::openai_python("python", "openai_python.py")]
#[case::openai_node("node", "openai_node.mjs")]
#[case::anthropic_python("python", "anthropic_python.py")]
#[case::opentelemetry_python("python", "opentelemetry_python.py")]
#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_works_unchanged(#[case] language: &str, #[case] script: &str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "scripts/test names the folder of the SDKs"
    )]
    let Ok(tools) = std::env::var("HONE_TEST_SDKS") else {
        println!("skipped: HONE_TEST_SDKS names no folder with the SDKs; scripts/test installs them");
        return;
    };
    let (app, _standin) = app().await;
    let impatient = |model: &str| json!({ "gateway": { "models": [{ "model": model }], "retries": 0, "first_token_timeout_ms": 300 } });
    generate_task(&app, "impatient", impatient("openai/silent")).await;
    let folder = Path::new(&tools);
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/sdks")
        .join(script);
    let mut command = if language == "python" {
        let mut command = Command::new(folder.join("venv/bin/python"));
        command.arg(&source);
        command
    } else {
        // Node looks for packages beside the script.
        let copy = folder.join("node").join(script);
        std::fs::copy(&source, &copy).unwrap();
        let mut command = Command::new("node");
        command.arg(copy);
        command
    };
    command.env("HONE_URL", &app.address).env("HONE_KEY", &app.key);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(
        said.lines().filter(|line| line.starts_with("ok ")).count() >= 5,
        "{said}"
    );
}
