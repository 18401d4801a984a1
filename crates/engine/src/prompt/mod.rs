//! Versions of `generate` tasks: a provider's model, the prompt it is asked with, and the rated examples that go along.
//! Registered, deployed and rolled back like classifiers; the gateway asks with them.

mod examples;
mod template;

use hone_domain::{
    ModelVersionId, ProjectId, PromptSpec, RunStatus, Stage, TaskKind, TrainingTrigger, Version,
};
use hone_storage::runs::{self, Run};
use hone_storage::tasks::Task;
use hone_storage::versions::{self, ModelVersion};
use hone_storage::{Conn, deployments, tasks};
use serde_json::json;

use crate::{Engine, EngineError};

pub(crate) use examples::ExampleIndexes;
pub use examples::NearExample;
pub use template::{Prompt, PromptProblem, RenderedMessage};

/// The trainer that runs of such versions name.
pub const PROMPT_TRAINER: &str = "prompt";

/// How a version is stored as an artifact.
#[derive(serde::Serialize, serde::Deserialize)]
struct StoredPrompt {
    /// Raised when the document changes so that older programs cannot read it.
    format: u32,
    prompt: PromptSpec,
}

/// The format that is written.
const FORMAT: u32 = 1;

impl Engine {
    /// Registers a version of a `generate` task; gives it, and whether it serves. The first one serves at once where the
    /// task deploys by itself; a later one when it is deployed. A version with the id that is asked for is not made twice.
    pub async fn register_prompt(
        &self,
        project: ProjectId,
        task_name: &str,
        spec: PromptSpec,
        id: Option<ModelVersionId>,
    ) -> Result<(ModelVersion, bool), EngineError> {
        spec.validate()?;
        Prompt::compile(spec.clone())?.require_possible_inputs()?;
        let stored = StoredPrompt {
            format: FORMAT,
            prompt: spec.clone(),
        };
        let bytes = serde_json::to_vec(&stored).map_err(|error| EngineError::Dataset(error.to_string()))?;
        let artifact_bytes = bytes.len() as i64;
        let found = self.get_task(project, task_name).await?;
        if found.kind != TaskKind::Generate {
            let detail = format!(
                "\"{task_name}\" is a classify task; its versions are trained: hone train {task_name}"
            );
            return Err(EngineError::field("/task", detail));
        }
        let artifact_hash = self.artifacts.put(bytes).await?;
        let mut conn = self.db.begin().await?;
        tasks::lock(&mut conn, found.task_id()).await?;
        let task = tasks::get(&mut conn, found.task_id()).await?;
        let serving = deployments::find_serving(&mut conn, task.task_id()).await?;
        let id = id.unwrap_or_else(|| self.ids.next());
        if let Some(earlier) = versions::find(&mut conn, id).await? {
            if earlier.task_id != task.id || earlier.artifact_hash != artifact_hash {
                return Err(EngineError::id_is_taken("model version", id));
            }
            let serves = serving.is_some_and(|serving| serving.model_version_id == id.0);
            return Ok((earlier, serves));
        }
        let deploys = serving.is_none() && task.policy.deployment.automatic;
        let artifact = (artifact_hash, artifact_bytes);
        let version = self
            .add_prompt_version(&mut conn, &task, id, &spec, artifact, deploys)
            .await?;
        if deploys {
            let reason = "there is no version to compare it with; the first one always serves";
            self.deploy_accepted(&mut conn, &task, &version, reason).await?;
        }
        conn.commit().await?;
        if deploys {
            self.refresh_router().await?;
        }
        Ok((version, deploys))
    }

    /// Adds the run and the version in the caller's transaction.
    async fn add_prompt_version(
        &self,
        conn: &mut Conn,
        task: &Task,
        id: ModelVersionId,
        spec: &PromptSpec,
        (artifact_hash, artifact_bytes): (String, i64),
        deploys: bool,
    ) -> Result<ModelVersion, EngineError> {
        let latest = versions::find_latest(conn, task.task_id()).await?;
        let semantic = match &latest {
            Some(latest) => {
                let inputs_changed =
                    latest.settings.get("inputs").filter(|inputs| !inputs.is_null()) != spec.inputs.as_ref();
                latest
                    .version
                    .parse::<Version>()
                    .unwrap_or(Version::FIRST)
                    .next(inputs_changed)
            }
            None => Version::FIRST,
        };
        let settings = serde_json::to_value(spec).map_err(|error| EngineError::Dataset(error.to_string()))?;
        let now_us = self.ids.now_us();
        let version = ModelVersion {
            id: id.0,
            project_id: task.project_id,
            task_id: task.id,
            run_id: self.ids.next(),
            dataset_id: None,
            number: latest.map_or(1, |latest| latest.number + 1),
            version: semantic.to_string(),
            stage: Stage::Candidate,
            artifact_hash,
            artifact_bytes,
            dataset_hash: None,
            trainer: PROMPT_TRAINER.to_owned(),
            settings,
            metrics: json!({}),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at_us: now_us,
        };
        let run = Run {
            id: version.run_id,
            project_id: task.project_id,
            task_id: task.id,
            reason: TrainingTrigger::Manual,
            status: RunStatus::Completed,
            trainer: PROMPT_TRAINER.to_owned(),
            settings: version.settings.clone(),
            seed: 0,
            dataset_id: None,
            artifact_hash: Some(version.artifact_hash.clone()),
            artifact_bytes: Some(artifact_bytes),
            baseline_version_id: None,
            model_version_id: Some(version.id),
            metrics: None,
            baseline_metrics: None,
            decision: Some(hone_storage::Json(json!({
                "accepted": true, "deployed": deploys, "reason": "registered by hand",
            }))),
            error: None,
            search: None,
            created_at_us: now_us,
            started_at_us: Some(now_us),
            finished_at_us: Some(now_us),
        };
        runs::insert(conn, &run).await?;
        runs::update(conn, &run).await?;
        versions::insert(conn, &version).await?;
        Ok(version)
    }

    /// Loads and compiles a stored prompt.
    pub(crate) async fn load_prompt(&self, hash: &str) -> Result<Prompt, EngineError> {
        let bytes = self.artifacts.get(hash).await?;
        let unreadable =
            |problem: String| EngineError::Dataset(format!("prompt {hash} cannot be read: {problem}"));
        let stored: StoredPrompt =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if stored.format != FORMAT {
            return Err(unreadable(format!(
                "format {} is newer than this program",
                stored.format
            )));
        }
        Prompt::compile(stored.prompt)
    }
}
