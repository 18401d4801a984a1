//! Ready examples from files and calls: checked, then placed among those that are there by the rules of curation.

use hone_domain::{ConversationId, DecidedBy, ExampleId, ExampleOrigin, InvalidInput, NewExample};
use hone_storage::tasks::Task;
use hone_storage::{Conn, examples};

use crate::curate::{Curator, Draft, Placed, standing_of};
use crate::{Engine, EngineError};

/// What became of an example that was brought in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedExample {
    /// Whether it was taken.
    pub placed: Placed,
    /// Whether it was not there before, by its id.
    pub is_new: bool,
}

impl Engine {
    /// Adds ready examples; all in one transaction, or none. One whose id is there already changes nothing and says what
    /// became of it then.
    pub async fn import_examples(
        &self,
        task: &Task,
        imports: Vec<NewExample>,
        origin: ExampleOrigin,
    ) -> Result<Vec<ImportedExample>, EngineError> {
        for (index, import) in imports.iter().enumerate() {
            import
                .validate(task.kind)
                .map_err(|error| at_index(error, index))?;
        }
        let privacy = self.privacy(task.project()).await?;
        let mut curator = self.curator(task).await?;
        let mut conn = self.db.begin().await?;
        curator.lock(&mut conn).await?;
        let mut placed = Vec::with_capacity(imports.len());
        for (index, import) in imports.into_iter().enumerate() {
            let id = import.id;
            let mut draft = self.draft_of(task, import, origin);
            privacy.cleaner().clean(&mut draft.input);
            privacy.cleaner().clean_option(&mut draft.target);
            privacy.cleaner().clean_option(&mut draft.label);
            if let Some(id) = id
                && let Some(earlier) = find_earlier(&mut conn, &curator, id, &draft, index).await?
            {
                placed.push(ImportedExample {
                    placed: earlier,
                    is_new: false,
                });
                continue;
            }
            placed.push(ImportedExample {
                placed: curator.place(&mut conn, draft, None).await?,
                is_new: true,
            });
        }
        curator.write_counters(&mut conn).await?;
        conn.commit().await?;
        Ok(placed)
    }

    fn draft_of(&self, task: &Task, import: NewExample, origin: ExampleOrigin) -> Draft {
        let NewExample {
            id,
            input,
            label,
            target,
            weight,
            conversation,
            split,
        } = import;
        Draft {
            id,
            interaction_id: None,
            subject_id: None,
            conversation_id: conversation.map(|name| ConversationId::derive(task.project(), &name).0),
            input,
            label,
            target,
            weight: weight.unwrap_or(1.0),
            is_validated: false,
            source: None,
            standing: standing_of(origin, false),
            decided_by: DecidedBy::Curation,
            judged_at_us: self.ids.now_us(),
            origin,
            split,
            language: None,
            near_group: None,
            near_bands: None,
            reason: format!("{origin} example"),
        }
    }
}

/// What became of the example with this id when it was added. What a person has said of it since is no other content.
async fn find_earlier(
    conn: &mut Conn,
    curator: &Curator<'_>,
    id: ExampleId,
    draft: &Draft,
    index: usize,
) -> Result<Option<Placed>, EngineError> {
    let Some(earlier) = examples::find(conn, id).await? else {
        return Ok(None);
    };
    let said = curator.as_learned(draft);
    let same_content =
        (&earlier.input.0, &earlier.label, &earlier.target.0) == (&said.input, &said.label, &said.target);
    let is_same = same_content || earlier.decided_by == DecidedBy::Person;
    if earlier.task_id != curator.task.id || !is_same {
        let detail = format!("{id} is taken by another example; send another id or Idempotency-Key");
        return Err(EngineError::field(format!("/examples/{index}/id"), detail));
    }
    Ok(Some(Placed::of(&earlier)))
}

fn at_index(error: InvalidInput, index: usize) -> InvalidInput {
    let prefixed = error.0.into_iter().map(|mut field| {
        field.pointer = format!("/examples/{index}{}", field.pointer);
        field
    });
    InvalidInput(prefixed.collect())
}
