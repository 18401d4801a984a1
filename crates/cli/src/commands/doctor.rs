//! `hone doctor`: checks what must be right for Hone to run, and says what to do where it is not.

use std::process::ExitCode;

use hone_domain::ModelVersionId;
use hone_storage::{deployments, jobs, keys, versions};
use serde_json::json;

use crate::app::App;
use crate::config::Config;
use crate::output::Output;

/// Name of a check and what came of it.
type Check = (&'static str, Result<String, String>);

pub(super) async fn run(config: Config, output: Output) -> anyhow::Result<ExitCode> {
    let database = config.shown_database();
    let gateway = config.gateway.check();
    let mut checks: Vec<Check> = vec![
        ("configuration", Ok(format!("data in {}", config.data.display()))),
        (
            "providers",
            gateway
                .map(|()| format!("{} configured", config.gateway.providers.len()))
                .map_err(|error| format!("{error:#}")),
        ),
    ];
    match App::open(config).await {
        Err(error) => checks.push(("database", Err(format!("{error:#}")))),
        Ok(app) => {
            checks.push((
                "database",
                Ok(format!("{} opened, schema up to date", app.engine.db.kind())),
            ));
            if let Err(error) = check_app(&app, &mut checks).await {
                checks.push(("database", Err(format!("{error:#}"))));
            }
            app.close().await;
        }
    }
    let failed = checks.iter().filter(|check| check.1.is_err()).count();
    let values = checks.iter().map(|(name, outcome)| match outcome {
        Ok(note) => json!({ "check": name, "ok": true, "note": note }),
        Err(problem) => json!({ "check": name, "ok": false, "note": problem }),
    });
    output.result(&values.collect(), || {
        for (name, outcome) in &checks {
            let (mark, note) = match outcome {
                Ok(note) => ("ok  ", note),
                Err(problem) => ("FAIL", problem),
            };
            output.raw(&format!("{mark}  {name:14} {note}"));
        }
        if failed > 0 {
            output.raw(&format!("{failed} check(s) failed; the database is {database}"));
        }
    });
    Ok(ExitCode::from(u8::from(failed > 0)))
}

async fn check_app(app: &App, checks: &mut Vec<Check>) -> anyhow::Result<()> {
    let probe = app.engine.artifacts.put("hone doctor").await;
    checks.push((
        "artifacts",
        probe
            .map(|_| "the folder can be written to".to_owned())
            .map_err(|error| error.to_string()),
    ));
    let mut conn = app.engine.db.read().await?;
    let now_us = app.engine.ids.now_us();
    let count = keys::list(&mut conn, app.project)
        .await?
        .iter()
        .filter(|key| key.revoked_at_us.is_none() && key.expires_at_us.is_none_or(|until| until > now_us))
        .count();
    let hint = "no API key; make one with `hone key create`".to_owned();
    checks.push((
        "keys",
        if count > 0 {
            Ok(format!("{count} working"))
        } else {
            Err(hint)
        },
    ));
    let dead = jobs::list(&mut conn, app.project, Some("dead"), None, 10).await?;
    let first = dead.first().and_then(|job| job.error.clone()).unwrap_or_default();
    let hint = format!(
        "{} given up, the last because: {first}; see `hone jobs list --state dead`",
        dead.len()
    );
    checks.push((
        "jobs",
        if dead.is_empty() {
            Ok("none given up".to_owned())
        } else {
            Err(hint)
        },
    ));
    for serving in deployments::list_serving(&mut conn).await? {
        let version = versions::get(&mut conn, ModelVersionId(serving.model_version_id)).await?;
        let loaded = app.engine.artifacts.get(&version.artifact_hash).await;
        let outcome = loaded
            .map(|_| format!("version {} is whole", version.version))
            .map_err(|error| error.to_string());
        checks.push(("live model", outcome));
    }
    Ok(())
}
