//! Placing a draft among the examples that are there: each step of curation in turn may reject it with its reason, and what
//! is left takes the place of lesser twins.

use std::collections::BTreeMap;
use std::sync::Arc;

use hone_domain::{CurationStep, DecidedBy, ExampleStatus, PersonalHandling, Split, SubjectId, TaskKind};
use hone_storage::examples::Example;
use hone_storage::progress::Progress;
use hone_storage::tasks::Task;
use hone_storage::{Conn, OptionalText, StoredText, conversations, examples, progress, tasks};
use hone_text::{injection_signs, moderation};
use uuid::Uuid;

use super::draft::{Draft, Placed, Rejection};
use super::near::{GROUP_SIMILARITY, Near, SharedNearExamples};
use super::quality::{Judged, Quality, quality};
use crate::privacy::PersonalCleaner;
use crate::{Engine, EngineError, Served};

/// What placing the examples of a task needs, looked up once.
pub(crate) struct Curator<'a> {
    pub engine: &'a Engine,
    pub task: &'a Task,
    cleaner: PersonalCleaner,
    /// Classifiers that say what an example is about, with their names and tasks.
    classifiers: Vec<(String, Arc<Task>, Arc<Served>)>,
    near: SharedNearExamples,
    /// The last place in the order in which the task's examples became usable.
    pub near_seq: i64,
    /// What has become of the counters of the task since they were last written.
    pub change: Progress,
}

impl Engine {
    /// What placing the examples of a task needs. Called outside a transaction.
    pub(crate) async fn curator<'a>(&'a self, task: &'a Task) -> Result<Curator<'a>, EngineError> {
        let privacy = self.privacy(task.project()).await?;
        let mut classifiers = Vec::new();
        for (name, classifier) in &task.policy.curation.classifiers {
            let classifier = self.get_task(task.project(), classifier).await?;
            // One that serves nothing yet says nothing.
            if let Ok(served) = self.served(&classifier) {
                classifiers.push((name.clone(), classifier, served));
            }
        }
        let near = if task.policy.curation.near_duplicates > 0.0 {
            self.warm_near_examples(task.task_id()).await?
        } else {
            SharedNearExamples::default()
        };
        Ok(Curator {
            engine: self,
            task,
            cleaner: privacy.cleaner_of(&task.policy.curation.personal_data),
            classifiers,
            near,
            near_seq: 0,
            change: Progress::default(),
        })
    }
}

impl Curator<'_> {
    /// Lets nobody else curate the task until the transaction ends: two that see the same text at once would both find no twin
    /// of it. Called first in each transaction.
    pub async fn lock(&mut self, conn: &mut Conn) -> Result<(), EngineError> {
        let task = self.task.task_id();
        tasks::lock(conn, task).await?;
        self.change = Progress::default();
        self.near_seq = progress::get_near_seq(conn, task).await?;
        if self.task.policy.curation.near_duplicates > 0.0 {
            self.near.lock().await.catch_up(conn, task, self.near_seq).await?;
        }
        Ok(())
    }

    /// A draft without the personal data that the task does not learn from.
    pub fn as_learned(&self, draft: &Draft) -> Draft {
        let mut learned = draft.clone();
        self.cleaner.clean(&mut learned.input);
        self.cleaner.clean_option(&mut learned.target);
        if self.task.kind == TaskKind::Generate {
            self.cleaner.clean_option(&mut learned.label);
        }
        learned
    }

    /// Notes that what was placed is about to be committed.
    pub(super) async fn note_committing(&self) {
        if self.task.policy.curation.near_duplicates > 0.0 {
            self.near.lock().await.has_read_up_to(self.near_seq);
        }
    }

    /// Takes a draft through the steps and stores it as approved, or as rejected by the first step that does so. A person's
    /// approval passes all steps but consent.
    pub async fn place(
        &mut self,
        conn: &mut Conn,
        mut draft: Draft,
        earlier: Option<Example>,
    ) -> Result<Placed, EngineError> {
        let personal = self.cleaner.kinds_in(&draft.input);
        let has_target_personal = draft
            .target
            .as_deref()
            .is_some_and(|target| !self.cleaner.kinds_in(target).is_empty());
        let has_personal_data = !personal.is_empty() || has_target_personal;
        draft = self.as_learned(&draft);
        draft.near_group = draft
            .near_group
            .or(earlier.as_ref().and_then(|earlier| earlier.near_group));
        let quality = quality(&Judged {
            kind: self.task.kind,
            standing: draft.standing,
            input: &draft.input,
            target: draft.target.as_deref(),
            has_personal_data: has_personal_data && !self.cleaner.changes(),
        });
        let mut rejection = self.consent(conn, &draft).await?;
        if rejection.is_none() && draft.decided_by != DecidedBy::Person {
            rejection = self.check(&draft, has_personal_data, &quality);
        }
        if let Some(rejection) = rejection {
            return self.reject(conn, draft, earlier, Some(quality), rejection).await;
        }
        let own_id = earlier.as_ref().map(|example| example.id);
        if let Some(rejection) = self.yield_to_twin(conn, &mut draft, own_id).await? {
            return self.reject(conn, draft, earlier, Some(quality), rejection).await;
        }
        let (rejection, bands) = self
            .yield_to_near(conn, &mut draft, own_id, quality.score)
            .await?;
        if let Some(rejection) = rejection {
            return self.reject(conn, draft, earlier, Some(quality), rejection).await;
        }
        draft.near_bands = bands;
        let topics = self.topics(&draft.input)?;
        let example = self
            .store(conn, draft, earlier, Some(quality), topics, None)
            .await?;
        if let Some(bands) = &example.near_bands {
            self.near.lock().await.add_uncommitted(example.id, bands);
        }
        Ok(Placed::Approved(example.id))
    }

    async fn consent(&self, conn: &mut Conn, draft: &Draft) -> Result<Option<Rejection>, EngineError> {
        let Some(subject) = draft.subject_id else {
            return Ok(None);
        };
        let is_opted_out = conversations::is_opted_out(conn, SubjectId(subject)).await?;
        Ok(is_opted_out.then(|| Rejection::new(CurationStep::Consent, "the subject has opted out")))
    }

    /// The steps that look at the draft alone.
    fn check(&self, draft: &Draft, has_personal_data: bool, quality: &Quality) -> Option<Rejection> {
        let policy = &self.task.policy.curation;
        if has_personal_data && self.cleaner.handling() == PersonalHandling::Reject {
            return Some(Rejection::new(CurationStep::PersonalData, "has personal data"));
        }
        if let Some(problem) = text_problem(self.task, draft) {
            return Some(Rejection::new(CurationStep::Text, problem));
        }
        let answer = draft
            .target
            .as_deref()
            .filter(|_| self.task.kind == TaskKind::Generate);
        let texts = [
            (
                "the input",
                Some(draft.input.as_str()),
                policy.max_input_moderation,
            ),
            ("the answer", answer, policy.max_moderation),
        ];
        for (what, text, most) in texts {
            if let Some(text) = text.filter(|_| most < 1.0) {
                let seen = moderation(text);
                if seen.score > most {
                    let kinds = seen.kinds.join(", ");
                    let reason = format!("{what} is {kinds}: {:.1}, above {most}", seen.score);
                    return Some(Rejection::new(CurationStep::Moderation, reason));
                }
            }
        }
        if policy.max_injection < 1.0 {
            let seen = injection_signs(&draft.input);
            if seen.score > policy.max_injection {
                let reason = format!(
                    "signs of an injected instruction ({}): {:.2}, above {}",
                    seen.signs.join(", "),
                    seen.score,
                    policy.max_injection
                );
                return Some(Rejection::new(CurationStep::Injection, reason));
            }
        }
        if quality.score < policy.min_quality {
            let reason = format!(
                "quality {:.2} ({}), below {}",
                quality.score, quality.reasons, policy.min_quality
            );
            return Some(Rejection::new(CurationStep::Quality, reason));
        }
        None
    }

    /// Rejects the usable example with the same text, or says why it stays.
    async fn yield_to_twin(
        &mut self,
        conn: &mut Conn,
        draft: &mut Draft,
        own_id: Option<Uuid>,
    ) -> Result<Option<Rejection>, EngineError> {
        let hash = hone_text::normalised_hash(&draft.input);
        let twin = examples::find_usable_by_hash(conn, self.task.task_id(), &hash).await?;
        let Some(twin) = twin.filter(|twin| Some(twin.id) != own_id) else {
            return Ok(None);
        };
        if !draft.outranks(self.task.kind, &twin) {
            let reason = if draft.differs(self.task.kind, &twin) {
                format!("contradicts example {}, whose judgement stands", twin.id)
            } else {
                format!("duplicate of example {}", twin.id)
            };
            return Ok(Some(Rejection::new(CurationStep::Duplicates, reason)));
        }
        let reason = "superseded by a later judgement of the same text";
        self.supersede(conn, draft, twin, CurationStep::Duplicates, reason.to_owned())
            .await?;
        Ok(None)
    }

    /// Rejects usable examples with nearly the same text and the same target that are not as good, or says which is better.
    /// Those that are left are in one group, which never straddles the parts of a dataset. Gives the bands of the text too.
    async fn yield_to_near(
        &mut self,
        conn: &mut Conn,
        draft: &mut Draft,
        own_id: Option<Uuid>,
        score: f64,
    ) -> Result<(Option<Rejection>, Option<Vec<u8>>), EngineError> {
        let threshold = self.task.policy.curation.near_duplicates;
        if threshold <= 0.0 {
            return Ok((None, None));
        }
        let least = threshold.min(GROUP_SIMILARITY);
        let shared = self.near.clone();
        let known = shared.lock().await;
        let (near, bands) = known
            .find(conn, self.task.id, &draft.input, own_id, least)
            .await?;
        drop(known);
        let is_removed = |near: &Near, draft: &Draft| {
            near.similarity >= threshold
                && draft.decided_by != DecidedBy::Person
                && near.example.decided_by != DecidedBy::Person
                && !draft.differs(self.task.kind, &near.example)
        };
        let better = near.iter().find(|near| {
            let example = &near.example;
            is_removed(near, draft)
                && (example.is_validated, example.quality.unwrap_or(0.0)) >= (draft.is_validated, score)
        });
        if let Some(Near {
            example, similarity, ..
        }) = better
        {
            let reason = format!("{:.0} % the same as example {}", similarity * 100.0, example.id);
            return Ok((Some(Rejection::new(CurationStep::NearDuplicates, reason)), None));
        }
        for near in near {
            let group = near.example.near_group.unwrap_or(near.example.id);
            match draft.near_group {
                None => draft.near_group = Some(group),
                Some(own) if own != group => {
                    examples::merge_near_groups(conn, group, own).await?;
                }
                Some(_) => {}
            }
            if is_removed(&near, draft) {
                let reason = format!("{:.0} % the same as a better example", near.similarity * 100.0);
                self.supersede(conn, draft, near.example, CurationStep::NearDuplicates, reason)
                    .await?;
            }
        }
        Ok((None, Some(bands)))
    }

    /// Rejects an example in favour of a draft, which takes over its part of datasets: a text that was held out is not learned
    /// from in another guise.
    async fn supersede(
        &mut self,
        conn: &mut Conn,
        draft: &mut Draft,
        mut example: Example,
        step: CurationStep,
        reason: String,
    ) -> Result<(), EngineError> {
        let part: Option<Split> = example.split.as_deref().and_then(|split| split.parse().ok());
        draft.split = part.into_iter().chain(draft.split).min();
        self.change.usable_examples -= 1;
        example.status = example.status.transition(ExampleStatus::Rejected)?;
        example.step = Some(step.as_str().to_owned());
        example.reason = reason;
        // What was near the one is near the other, also what is found through neither any more.
        let group = example.near_group.unwrap_or(example.id);
        draft.near_group.get_or_insert(group);
        example.near_group = draft.near_group;
        example.updated_at_us = self.engine.ids.now_us();
        examples::upsert(conn, &example).await?;
        Ok(())
    }

    /// What the task's classifiers say an example is about; one that abstains says nothing.
    fn topics(&self, input: &str) -> Result<Option<BTreeMap<String, String>>, EngineError> {
        let mut topics = BTreeMap::new();
        for (name, task, served) in &self.classifiers {
            if let Some(label) = self.engine.predict(task, served, input)?.label {
                topics.insert(name.clone(), label);
            }
        }
        Ok((!topics.is_empty()).then_some(topics))
    }

    /// Stores a draft as rejected that no step has looked at; personal data is replaced all the same.
    pub async fn reject_unseen(
        &mut self,
        conn: &mut Conn,
        draft: Draft,
        earlier: Option<Example>,
        rejection: Rejection,
    ) -> Result<Placed, EngineError> {
        let draft = self.as_learned(&draft);
        self.reject(conn, draft, earlier, None, rejection).await
    }

    /// Stores a draft as rejected.
    async fn reject(
        &mut self,
        conn: &mut Conn,
        mut draft: Draft,
        earlier: Option<Example>,
        quality: Option<Quality>,
        rejection: Rejection,
    ) -> Result<Placed, EngineError> {
        draft.reason.clone_from(&rejection.reason);
        let example = self
            .store(conn, draft, earlier, quality, None, Some(rejection.step))
            .await?;
        Ok(Placed::Rejected(example.id, rejection))
    }

    /// Stores a draft: approved, or rejected by a step.
    async fn store(
        &mut self,
        conn: &mut Conn,
        draft: Draft,
        earlier: Option<Example>,
        quality: Option<Quality>,
        topics: Option<BTreeMap<String, String>>,
        step: Option<CurationStep>,
    ) -> Result<Example, EngineError> {
        let (ids, task) = (&self.engine.ids, self.task);
        let now_us = ids.now_us();
        let was_usable = earlier.as_ref().is_some_and(Example::is_usable);
        let unchanged = earlier.as_ref().is_some_and(|earlier| {
            earlier.label == draft.label && earlier.target.0 == draft.target && earlier.weight == draft.weight
        });
        // An example that is part of a dataset stays marked so while it stays usable.
        let status = match (&earlier, step) {
            (_, Some(_)) => ExampleStatus::Rejected,
            (Some(earlier), None) if earlier.status == ExampleStatus::Used => ExampleStatus::Used,
            (_, None) => ExampleStatus::Approved,
        };
        let kept_split = earlier
            .as_ref()
            .and_then(|earlier| earlier.split.as_deref()?.parse().ok());
        let example = Example {
            id: match (&earlier, draft.id) {
                (Some(earlier), _) => earlier.id,
                (None, Some(given)) => given.0,
                (None, None) => ids.next(),
            },
            project_id: task.project_id,
            task_id: task.id,
            interaction_id: draft.interaction_id,
            conversation_id: draft.conversation_id,
            input_hash: hone_text::normalised_hash(&draft.input).to_vec(),
            language: draft
                .language
                .or_else(|| hone_text::language(&draft.input).map(str::to_owned)),
            input: StoredText(draft.input),
            label: draft.label,
            target: OptionalText(draft.target),
            weight: draft.weight,
            status,
            origin: draft.origin,
            is_validated: draft.is_validated,
            split: earliest(kept_split, draft.split),
            reason: draft.reason,
            judged_at_us: draft.judged_at_us,
            created_at_us: earlier.as_ref().map_or(now_us, |earlier| earlier.created_at_us),
            updated_at_us: now_us,
            subject_id: draft.subject_id,
            step: step.map(|step| step.as_str().to_owned()),
            source: draft.source.map(|source| source.as_str().to_owned()),
            decided_by: draft.decided_by,
            quality: quality.as_ref().map(|quality| quality.score),
            quality_reasons: quality.map(|quality| quality.reasons),
            topics,
            near_group: draft.near_group,
            near_seq: draft.near_bands.is_some().then(|| {
                self.near_seq += 1;
                self.near_seq
            }),
            near_bands: draft.near_bands,
        };
        examples::upsert(conn, &example).await?;
        let is_usable = example.is_usable();
        self.change.usable_examples += i64::from(is_usable) - i64::from(was_usable);
        if is_usable && !(was_usable && unchanged) {
            self.change.new_examples += 1;
            self.change.new_validated += i64::from(draft.is_validated);
        }
        Ok(example)
    }
}

/// The earlier of two parts: what was held out may be learned from later, never the other way round.
fn earliest(a: Option<Split>, b: Option<Split>) -> Option<String> {
    let part = a.into_iter().chain(b).min();
    part.map(|split| split.as_str().to_owned())
}

/// Why a text cannot be learned from, if it cannot.
fn text_problem(task: &Task, draft: &Draft) -> Option<String> {
    if hone_text::normalise(&draft.input).is_empty() {
        return Some("empty after normalisation".to_owned());
    }
    let max = task.policy.curation.max_input_chars;
    if draft.input.chars().count() > max {
        return Some(format!("longer than {max} characters"));
    }
    let is_blank = |text: Option<&str>| text.is_none_or(|text| text.trim().is_empty());
    match task.kind {
        TaskKind::Classify if is_blank(draft.label.as_deref()) => Some("no label is known".to_owned()),
        TaskKind::Generate if is_blank(draft.target.as_deref()) => Some("no answer is known".to_owned()),
        _ => None,
    }
}
