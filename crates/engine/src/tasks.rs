//! Making projects and tasks, and changing a task's policies.

use hone_domain::{InvalidInput, ProjectId, TaskId, TaskKind, TaskPolicy};
use hone_learn::find_trainer;
use hone_storage::projects;
use hone_storage::projects::Project;
use hone_storage::tasks::{self, Task};
use uuid::Uuid;

use crate::privacy::check_rule;
use crate::{Engine, EngineError};

impl Engine {
    /// The project with this name, which is made when it is missing.
    pub async fn ensure_project(&self, name: &str) -> Result<Project, EngineError> {
        require_name("/project", name)?;
        let mut conn = self.db.begin().await?;
        let mut pseudonym_key = vec![0; 32];
        self.ids.fill(&mut pseudonym_key);
        let now_us = self.ids.now_us();
        let id: Uuid = self.ids.next();
        let project = Project {
            id,
            name: name.to_owned(),
            pseudonym_key,
            created_at_us: now_us,
            limits: None,
            privacy: None,
            shipped_schedules: 0,
        };
        projects::insert(&mut conn, &project).await?;
        let stored = projects::find_by_name(&mut conn, name).await?;
        let stored = stored.ok_or_else(|| EngineError::NotFound {
            noun: "project",
            id: name.to_owned(),
        })?;
        self.add_shipped_schedules(&mut conn, &stored).await?;
        conn.commit().await?;
        Ok(stored)
    }

    /// Makes a task. One with the id that is asked for is not made twice.
    pub async fn create_task(
        &self,
        project: ProjectId,
        name: &str,
        kind: TaskKind,
        policy: TaskPolicy,
        id: Option<TaskId>,
    ) -> Result<Task, EngineError> {
        require_name("/name", name)?;
        self.check_policy(project, &policy).await?;
        let taken = || {
            EngineError::Conflict(format!(
                "task \"{name}\" exists; choose another name, or change its policy"
            ))
        };
        let now_us = self.ids.now_us();
        let task = Task {
            id: id.unwrap_or_else(|| self.ids.next()).0,
            project_id: project.0,
            name: name.to_owned(),
            kind,
            policy,
            created_at_us: now_us,
            updated_at_us: now_us,
        };
        let mut conn = self.db.begin().await?;
        if !tasks::insert(&mut conn, &task).await? {
            return match tasks::find_by_name(&mut conn, project, name).await? {
                Some(there) if there.id == task.id && there.kind == kind && there.policy == task.policy => {
                    Ok(there)
                }
                Some(_) => Err(taken()),
                None => Err(EngineError::id_is_taken("task", task.id)),
            };
        }
        conn.commit().await?;
        Ok(task)
    }

    /// Replaces a task's policies.
    pub async fn update_policy(
        &self,
        project: ProjectId,
        name: &str,
        policy: TaskPolicy,
    ) -> Result<Task, EngineError> {
        self.check_policy(project, &policy).await?;
        let mut conn = self.db.begin().await?;
        let found = tasks::find_by_name(&mut conn, project, name).await?;
        let mut task = found.ok_or_else(|| EngineError::NotFound {
            noun: "task",
            id: name.to_owned(),
        })?;
        task.updated_at_us = self.ids.now_us();
        tasks::update_policy(&mut conn, project, task.task_id(), &policy, task.updated_at_us).await?;
        conn.commit().await?;
        self.forget_task(project, name);
        task.policy = policy;
        Ok(task)
    }

    /// Refuses a policy whose numbers, trainer or classifiers cannot be.
    pub(crate) async fn check_policy(
        &self,
        project: ProjectId,
        policy: &TaskPolicy,
    ) -> Result<(), EngineError> {
        check_policy(policy)?;
        for (name, task) in &policy.curation.classifiers {
            let pointer = format!("/policy/curation/classifiers/{name}");
            match self.get_task(project, task).await {
                Ok(task) if task.kind == TaskKind::Classify => {}
                Ok(_) => {
                    let detail = format!("\"{task}\" is no classify task; name one that labels texts");
                    return Err(EngineError::field(pointer, detail));
                }
                Err(EngineError::NotFound { .. }) => {
                    let detail = format!("there is no task \"{task}\"; make it first");
                    return Err(EngineError::field(pointer, detail));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn check_policy(policy: &TaskPolicy) -> Result<(), EngineError> {
    policy.validate()?;
    check_rule("/policy/curation/personal_data", &policy.curation.personal_data)?;
    let training = &policy.training;
    let Some(trainer) = find_trainer(&training.trainer) else {
        let detail = format!("\"{}\" is no trainer; there is: linear", training.trainer);
        return Err(EngineError::field("/policy/training/trainer", detail));
    };
    trainer
        .check(&training.settings)
        .map_err(|error| EngineError::field("/policy/training/settings", error.to_string()))
}

/// Names appear in paths and on pages: letters, digits and `-_.`, at most 100 of them.
fn require_name(pointer: &str, name: &str) -> Result<(), InvalidInput> {
    let fits = (1..=100).contains(&name.len())
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character));
    if fits {
        Ok(())
    } else {
        let detail = format!("\"{name}\" is no name; use letters, digits, '-', '_' and '.', at most 100");
        Err(InvalidInput::field(pointer, detail))
    }
}
