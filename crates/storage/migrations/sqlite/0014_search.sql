-- What a search for settings tried and what it chose.
ALTER TABLE runs ADD COLUMN search TEXT;

-- Jobs that come each minute are forgotten when the next one is over.
CREATE INDEX jobs_succeeded ON jobs (project_id, kind) WHERE state = 'succeeded';
