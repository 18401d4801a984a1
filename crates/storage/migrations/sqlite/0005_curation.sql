-- What can be said of an interaction's texts alone, computed once when it arrives, so that nothing rescans history: names
-- of flaws, kinds of personal data, scores of moderation and injection (0 to 1), and the bands of near-duplicates.
ALTER TABLE interactions ADD COLUMN flaws TEXT;
ALTER TABLE interactions ADD COLUMN personal_data TEXT;
ALTER TABLE interactions ADD COLUMN moderation REAL;
ALTER TABLE interactions ADD COLUMN injection REAL;
ALTER TABLE interactions ADD COLUMN near_bands BLOB;

-- What becomes of personal data before anything is stored, as JSON.
ALTER TABLE projects ADD COLUMN privacy TEXT;

-- Nothing of a subject who opted out becomes an example or goes into a dataset.
ALTER TABLE subjects ADD COLUMN opted_out_at_us INTEGER;

-- The step of curation that rejected it; the person's or the program's word it rests on; who decided last (curation or a
-- person, whom curation does not overrule); how good it is and why; the group of near-duplicates that never straddles parts.
ALTER TABLE examples ADD COLUMN subject_id BLOB;
ALTER TABLE examples ADD COLUMN step TEXT;
ALTER TABLE examples ADD COLUMN source TEXT;
ALTER TABLE examples ADD COLUMN decided_by TEXT NOT NULL DEFAULT 'curation';
ALTER TABLE examples ADD COLUMN quality REAL;
ALTER TABLE examples ADD COLUMN quality_reasons TEXT;
ALTER TABLE examples ADD COLUMN language TEXT;
ALTER TABLE examples ADD COLUMN topics TEXT;
ALTER TABLE examples ADD COLUMN near_group BLOB;
CREATE INDEX examples_rejected ON examples (task_id, step, created_at_us, id) WHERE status = 'rejected';
CREATE INDEX examples_by_near_group ON examples (near_group) WHERE near_group IS NOT NULL;
CREATE INDEX examples_by_subject ON examples (task_id, subject_id) WHERE subject_id IS NOT NULL;

-- The bands by which near-duplicates of an example are found, and its place in the order in which a task's examples became
-- usable: who keeps an index of the bands reads on from where they were.
ALTER TABLE examples ADD COLUMN near_bands BLOB;
ALTER TABLE examples ADD COLUMN near_seq INTEGER;
ALTER TABLE task_progress ADD COLUMN near_seq INTEGER NOT NULL DEFAULT 0;
CREATE INDEX examples_by_near_seq ON examples (task_id, near_seq) WHERE near_seq IS NOT NULL;

-- With the project first and the time last: otherwise all feedback of a project is walked through.
DROP INDEX feedback_by_interaction;
DROP INDEX feedback_before_interaction;
CREATE INDEX feedback_before_interaction ON feedback (project_id, task_id, interaction_id, id)
    WHERE task_id IS NULL AND interaction_id IS NOT NULL;
CREATE INDEX feedback_of_interaction ON feedback (project_id, interaction_id, created_at_us, id)
    WHERE interaction_id IS NOT NULL;

CREATE INDEX subjects_opted_out ON subjects (project_id) WHERE opted_out_at_us IS NOT NULL;

-- What was asked again in a conversation is read from the index alone.
DROP INDEX interactions_by_conversation;
CREATE INDEX interactions_by_conversation ON interactions (conversation_id, input_hash, task_id)
    WHERE conversation_id IS NOT NULL;

-- Whom the examples are about that were made before this was kept.
UPDATE examples SET subject_id = (SELECT subject_id FROM interactions
    WHERE interactions.project_id = examples.project_id AND interactions.id = examples.interaction_id)
    WHERE interaction_id IS NOT NULL;
