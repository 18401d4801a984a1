//! `hone privacy` and `hone subject`.

use std::process::ExitCode;

use hone_domain::{ProjectPrivacy, parse_json};
use hone_engine::EngineError;
use hone_storage::projects;
use serde_json::json;

use crate::app::App;
use crate::args::{PrivacyArgs, SubjectCommand};
use crate::output::Output;

pub(super) async fn run(app: &App, args: &PrivacyArgs, output: Output) -> anyhow::Result<ExitCode> {
    let Some(privacy) = &args.privacy else {
        let project = projects::get(&mut app.engine.db.read().await?, app.project).await?;
        let privacy = json!(project.privacy.unwrap_or_default());
        output.result(&privacy, || output.raw(&privacy.to_string()));
        return Ok(ExitCode::SUCCESS);
    };
    let privacy: ProjectPrivacy = parse_json(privacy.as_bytes()).map_err(EngineError::from)?;
    app.engine.set_privacy(app.project, &privacy).await?;
    output.result(&json!(privacy), || {
        output.raw("privacy set; every server follows within a second, and what is stored stays as it is");
    });
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn subject(app: &App, command: SubjectCommand, output: Output) -> anyhow::Result<ExitCode> {
    let (user_id, opted_out) = match command {
        SubjectCommand::OptOut { user_id } => (user_id, true),
        SubjectCommand::OptIn { user_id } => (user_id, false),
    };
    app.engine.set_opted_out(app.project, &user_id, opted_out).await?;
    output.result(&json!({ "opted_out": opted_out }), || {
        output.raw(if opted_out {
            "nothing of this person becomes an example or goes into a further dataset"
        } else {
            "this person may be learned from; `hone curate TASK --again` takes what was rejected"
        });
    });
    Ok(ExitCode::SUCCESS)
}
