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
CREATE INDEX examples_by_subject ON examples (subject_id) WHERE subject_id IS NOT NULL;

-- The usable example that was last seen with a band; the key mixes the task and the band's hash.
CREATE TABLE example_bands (
    band INTEGER PRIMARY KEY NOT NULL,
    project_id BLOB NOT NULL,
    example_id BLOB NOT NULL
);
CREATE INDEX subjects_opted_out ON subjects (project_id) WHERE opted_out_at_us IS NOT NULL;
