//! `hone limits`.

use std::process::ExitCode;

use hone_domain::{Limits, parse_json};
use hone_engine::EngineError;
use hone_storage::{keys, projects};
use serde_json::json;

use crate::app::App;
use crate::args::LimitsArgs;
use crate::output::Output;

pub(super) async fn run(app: &App, args: &LimitsArgs, output: Output) -> anyhow::Result<ExitCode> {
    let Some(limits) = &args.limits else {
        return show(app, args, output).await;
    };
    let limits: Limits = parse_json(limits.as_bytes()).map_err(EngineError::from)?;
    match args.key {
        Some(id) => app.engine.set_key_limits(app.project, id, limits).await?,
        None => app.engine.set_project_limits(app.project, limits).await?,
    }
    output.result(&json!({ "limits": limits }), || {
        output.raw("limits set; every server knows them within seconds");
    });
    Ok(ExitCode::SUCCESS)
}

async fn show(app: &App, args: &LimitsArgs, output: Output) -> anyhow::Result<ExitCode> {
    let mut conn = app.engine.db.read().await?;
    let project = projects::get(&mut conn, app.project).await?;
    let mut owners = vec![("project".to_owned(), project.name, project.limits)];
    for key in keys::list(&mut conn, app.project).await? {
        owners.push((key.id.to_string(), key.name, key.limits));
    }
    if let Some(id) = args.key {
        owners.retain(|(owner, _, _)| *owner == id.to_string());
        if owners.is_empty() {
            let (noun, id) = ("key", id.to_string());
            return Err(EngineError::NotFound { noun, id }.into());
        }
    }
    let value = owners
        .iter()
        .map(|(owner, name, limits)| json!({ "owner": owner, "name": name, "limits": limits }));
    output.result(&value.collect(), || {
        let cells = owners.iter().map(|(owner, name, limits)| {
            let shown = limits.map_or_else(|| "none".to_owned(), |limits| json!(limits).to_string());
            vec![owner.clone(), name.clone(), shown]
        });
        output.table(&["owner", "name", "limits"], cells.collect());
    });
    Ok(ExitCode::SUCCESS)
}
