//! `hone init` and `hone key`.

use std::process::ExitCode;

use hone_domain::{HOUR_US, ScopeSet, format_rfc3339};
use hone_engine::NewKey;
use hone_storage::keys;
use serde_json::json;

use crate::app::App;
use crate::args::KeyCommand;
use crate::output::Output;

/// Makes a first key; database and project were made when the app was opened.
pub(super) async fn init(app: &App, output: Output) -> anyhow::Result<ExitCode> {
    output.say(format!("database  {}", app.config.shown_database()));
    output.say(format!("project   {}", app.config.project));
    if keys::list(&mut app.engine.db.read().await?, app.project)
        .await?
        .is_empty()
    {
        let new = app
            .engine
            .create_key(app.project, "default", ScopeSet::all(), None)
            .await?;
        print_new(&new, output);
    } else {
        output.result(&json!({ "key": null }), || {
            output.raw("keys      there are some already; `hone key create` makes another");
        });
    }
    output.say("next      hone task create intent, then hone serve");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn run(app: &App, command: KeyCommand, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::Create {
            name,
            scopes,
            expires_in,
        } => {
            let scopes: ScopeSet = scopes.parse()?;
            let expires_at_us =
                expires_in.map(|days| app.engine.ids.now_us() + i64::from(days) * 24 * HOUR_US);
            let new = app
                .engine
                .create_key(app.project, &name, scopes, expires_at_us)
                .await?;
            print_new(&new, output);
        }
        KeyCommand::List => list(app, output).await?,
        KeyCommand::Revoke { id } => {
            app.engine.revoke_key(app.project, id).await?;
            output.result(&json!({ "id": id, "state": "revoked" }), || {
                output.raw(&format!("key {id} works no longer"));
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_new(new: &NewKey, output: Output) {
    let expires_at = new.key.expires_at_us.map(format_rfc3339);
    let value = json!({
        "id": new.key.id, "key": new.secret, "scopes": new.key.scopes.to_string(), "expires_at": expires_at,
    });
    output.result(&value, || {
        output.raw(&format!(
            "key       {}   (shown once; scopes {}; {})",
            new.secret,
            new.key.scopes,
            expires_at.map_or_else(|| "does not expire".to_owned(), |at| format!("works until {at}"))
        ));
        output.raw(&format!("id        {}", new.key.id));
    });
}

async fn list(app: &App, output: Output) -> anyhow::Result<()> {
    let rows = keys::list(&mut app.engine.db.read().await?, app.project).await?;
    let now_us = app.engine.ids.now_us();
    let state = |key: &keys::ApiKey| match (key.revoked_at_us, key.expires_at_us) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(until)) if until <= now_us => "expired".to_owned(),
        (None, Some(until)) => format!("works until {}", format_rfc3339(until)),
        (None, None) => "works".to_owned(),
    };
    let value = rows.iter().map(|key| {
        json!({ "id": key.id, "name": key.name, "scopes": key.scopes.to_string(), "state": state(key) })
    });
    output.result(&value.collect(), || {
        let cells = rows.iter().map(|key| {
            vec![
                key.id.to_string(),
                key.name.clone(),
                key.scopes.to_string(),
                state(key),
            ]
        });
        output.table(&["id", "name", "scopes", "state"], cells.collect());
    });
    Ok(())
}
