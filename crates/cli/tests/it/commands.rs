//! The commands as a person and a script use them.

use crate::support::{examples_file, hone, run, run_json};

#[test]
fn import_train_evaluate_predict_and_roll_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let file = examples_file(data, 150);
    let report = run_json(data, None, &["import", "intent", &file]);
    assert_eq!(
        (&report["lines"], &report["approved"]),
        (&150.into(), &150.into())
    );
    let again = run_json(data, None, &["import", "intent", &file]);
    assert_eq!(again["already"], 150, "a second import adds nothing");
    assert_eq!(run_json(data, None, &["train", "intent"])["version"], "1.0.0");
    assert_eq!(run_json(data, None, &["train", "intent"])["version"], "1.1.0");
    let evaluation = run_json(data, None, &["evaluate", "intent"]);
    assert!(evaluation["accuracy"].as_f64().unwrap() > 0.9, "{evaluation}");
    assert_eq!(
        run_json(data, None, &["predict", "intent", "reset my password"])["label"],
        "login"
    );
    assert_eq!(run_json(data, None, &["rollback", "intent"])["version"], "1.0.0");
    let models = run_json(data, None, &["models", "intent"]);
    let stages: Vec<&str> = models
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["retired", "live"]);
    let exported = run(data, None, &["export", "intent", "--format", "csv"]);
    assert_eq!(String::from_utf8(exported.stdout).unwrap().lines().count(), 151);
}

#[test]
fn exit_codes_tell_scripts_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let code = |args: &[&str]| run(data, None, args).status.code().unwrap();
    assert_eq!(code(&["predict", "nowhere", "text"]), 4);
    assert_eq!(code(&["task", "create", "bad name"]), 3);
    assert_eq!(
        code(&[
            "task",
            "create",
            "intent",
            "--policy",
            r#"{"training":{"min_samples":0}}"#
        ]),
        3
    );
    assert_eq!(code(&["frobnicate"]), 2);
    assert_eq!(code(&["task", "create", "intent"]), 0);
    assert_eq!(code(&["predict", "intent", "text"]), 4, "no model yet");
    std::fs::write(data.join("broken.jsonl"), "{\n[]\n").unwrap();
    assert_eq!(code(&["import", "intent", "broken.jsonl"]), 3);
    assert_eq!(code(&["train", "intent"]), 1, "too few examples");
    let refusing = [(
        "{\"features\":\"words\",\"max_features\":1,\"word_ngrams\":[1,1]}",
        5,
    )];
    assert_eq!(code(&["import", "intent", &examples_file(data, 150)]), 0);
    assert_eq!(code(&["train", "intent"]), 0);
    for (settings, expected) in refusing {
        assert_eq!(code(&["train", "intent", "--settings", settings]), expected);
    }
}

#[test]
fn configuration_comes_from_file_environment_and_flags_in_that_order() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    std::fs::write(
        data.join("hone.toml"),
        "project = \"from-file\"\n[server]\nlisten = \"127.0.0.1:1\"\n",
    )
    .unwrap();
    let check = |environment: Option<&str>, flags: &[&str]| -> serde_json::Value {
        let mut command = hone(data, None);
        if let Some(project) = environment {
            command.env("HONE_PROJECT", project);
        }
        let output = command.args(flags).args(["config", "check"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(check(None, &[])["project"], "from-file");
    assert_eq!(check(None, &[])["server"]["listen"], "127.0.0.1:1");
    assert_eq!(
        check(Some("from-environment"), &[])["project"],
        "from-environment"
    );
    assert_eq!(
        check(Some("from-environment"), &["--project", "from-flag"])["project"],
        "from-flag"
    );
    std::fs::write(data.join("hone.toml"), "projekt = \"x\"\n").unwrap();
    let refused = run(data, None, &["config", "check"]);
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("\"projekt\" is no setting")
    );
    // What the server would refuse when it starts.
    for (settings, said) in [
        (
            "[gateway.providers.x]\nkind = \"openai\"\nbase_url = \"notaurl\"\n",
            "providers.x.base_url",
        ),
        (
            "[gateway.providers.x]\nkind = \"openai\"\napi_key_env = \"HONE_NOT_SET\"\n",
            "gateway.providers.x.api_key_env",
        ),
        (
            "[gateway]\nprices = [{ provider = \"x\", model = \"y\", input = -1.0, output = 1.0 }]\n",
            "x/y",
        ),
        (
            "[telemetry]\notlp_endpoint = \"foo\"\n",
            "telemetry.otlp_endpoint",
        ),
    ] {
        std::fs::write(data.join("hone.toml"), settings).unwrap();
        for command in [&["config", "check"][..], &["doctor"]] {
            let refused = run(data, None, command);
            let told = [refused.stdout, refused.stderr].concat();
            assert!(!refused.status.success(), "{command:?} {settings}");
            assert!(
                String::from_utf8(told).unwrap().contains(said),
                "{command:?} {settings}"
            );
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_gives_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    // A file stands where the folder should be: even root cannot write below it.
    let data = folder.path().join("file");
    std::fs::write(&data, "").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hone"))
        .arg("--data")
        .arg(data.join("below"))
        .arg("init")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("the folder cannot be made") && error.contains("--data"),
        "{error}"
    );
}

#[test]
fn the_demo_turns_the_whole_loop() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hone"))
        .args(["--json", "demo", "--port", "0"])
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let story: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let stages: Vec<&str> = story["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["stage"].as_str().unwrap())
        .collect();
    assert!(
        stages.contains(&"live") && stages.contains(&"refused"),
        "{stages:?}"
    );
    let blocks = story["replay"].as_array().unwrap();
    let accuracy = |block: &serde_json::Value| block["accuracy"].as_f64().unwrap();
    // When a version begins to serve within a stretch depends on how fast the machine trains.
    let (early, late) = (
        accuracy(&blocks[0]),
        blocks.iter().rev().take(4).map(accuracy).sum::<f64>() / 4.0,
    );
    assert!(early < 0.2 && late > 0.6, "{blocks:?}");
}

#[test]
fn a_file_to_train_on_is_checked_without_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let good = r#"{"prompt":"hi","completion":"Hello.","label":true}"#;
    std::fs::write(data.join("rows.jsonl"), format!("{good}\n{{\n{good}\n")).unwrap();
    let file = data.join("rows.jsonl");
    let check = run(data, None, &["check", file.to_str().unwrap(), "--format", "kto"]);
    assert_eq!(check.status.code(), Some(3));
    let told = String::from_utf8(check.stdout).unwrap();
    for said in [
        "3 lines: 2 can be trained on, 1 cannot",
        "line 2: is no JSON",
        "the same as an earlier line (1): 3",
    ] {
        assert!(told.contains(said), "{told}");
    }
    std::fs::write(&file, good).unwrap();
    assert!(
        run(data, None, &["check", file.to_str().unwrap(), "--format", "kto"])
            .status
            .success()
    );
    assert!(
        !run(data, None, &["check", "none.jsonl", "--format", "kto"])
            .status
            .success()
    );
    assert!(!data.join("hone.sqlite").exists());
}
